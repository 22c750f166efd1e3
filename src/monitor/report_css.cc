#include "monitor/report_css.h"

namespace boreal::monitor {

std::string_view report_css() {
  return R"css(*{box-sizing:border-box}
html{background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;border-top:4px solid;
border-image:linear-gradient(90deg,#2fb58e,#3f8fd8 55%,#8a5cc9) 1}
main,header,nav,footer{max-width:61rem;margin-inline:auto;padding-inline:1.5rem}
header{padding-top:2.6rem}
h1{font-size:2.05rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0 0 .4rem;
overflow-wrap:anywhere;text-wrap:balance}
.subtitle{font-size:1.1rem;color:var(--soft);margin:0;max-width:46rem}
.facts{display:flex;flex-wrap:wrap;gap:.2rem 1.8rem;margin:1.1rem 0 0;font-size:.86rem;
color:var(--ink)}
.facts div{display:flex;gap:.45rem;min-width:0}
.facts dt{color:var(--soft)}
.facts dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
nav{margin-top:1.6rem;font-size:.9rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.5rem;list-style:none;margin:0;padding:.65rem 0;
border-block:1px solid var(--rule)}
nav a{color:var(--s1);text-decoration:none}
nav a:hover,nav a:focus-visible{text-decoration:underline;text-underline-offset:.2em}
section{padding-top:2.6rem}
h2{font-size:1.35rem;line-height:1.3;font-weight:640;letter-spacing:-.01em;margin:0 0 .35rem;
overflow-wrap:anywhere}
h3{font-size:1rem;font-weight:620;margin:0 0 .6rem;overflow-wrap:anywhere}
p{margin:.3rem 0 .9rem;max-width:46rem;overflow-wrap:anywhere}
.lead{color:var(--soft);margin-bottom:1.2rem}
.figures{display:grid;gap:.8rem;margin:1.4rem 0 1.6rem;padding:0}
.n3{grid-template-columns:repeat(3,1fr)}
.n4{grid-template-columns:repeat(4,1fr)}
.n5{grid-template-columns:repeat(5,1fr)}
.figures div{background:var(--panel);border:1px solid var(--rule);border-radius:8px;
padding:.85rem 1rem .8rem;break-inside:avoid}
.figures dt{font-size:.84rem;line-height:1.35;color:var(--soft);overflow-wrap:anywhere}
.figures dd{margin:.15rem 0 0}
.figures .big{font-size:1.75rem;line-height:1.25;font-weight:620;letter-spacing:-.02em;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.figures .unit{font-size:.95rem;font-weight:500;letter-spacing:0;color:var(--soft);
margin-left:.22em}
.figures .note{font-size:.8rem;line-height:1.4;color:var(--soft);overflow-wrap:anywhere}
figure{margin:1rem 0 1.8rem;background:var(--panel);border:1px solid var(--rule);
border-radius:8px;padding:1rem 1.15rem .9rem;break-inside:avoid}
.scroll{overflow-x:auto}
.scroll>svg{width:100%;min-width:38rem;height:auto}
figcaption{font-size:.84rem;line-height:1.45;color:var(--soft);margin-top:.65rem;
overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.92rem;line-height:1.4;
font-variant-numeric:tabular-nums}
th,td{padding:.42rem .9rem .42rem 0;text-align:left;vertical-align:middle;unicode-bidi:isolate}
th:last-child,td:last-child{padding-right:0}
th{font-size:.82rem;font-weight:550;color:var(--soft);vertical-align:bottom}
thead th{border-bottom:1px solid var(--faint)}
tbody td{border-bottom:1px solid var(--grid);overflow-wrap:break-word}
tbody tr:last-child td{border-bottom:0}
tr.total td{font-weight:620}
tr.total.first td{border-top:1px solid var(--faint)}
.number{text-align:right;white-space:nowrap}
.error{color:var(--soft);font-weight:400}
.none{color:var(--faint)}
.picture{width:6rem}
td:first-child{min-width:6rem}
svg.chart.interval{display:inline-block;vertical-align:middle}
svg.chart .span{fill:currentColor;opacity:.38}
svg.chart .mark{stroke:currentColor;stroke-width:2.5;stroke-linecap:round}
svg.chart.interval .chance{stroke:var(--faint);stroke-width:1.5}
.samples{list-style:none;margin:1rem 0 1.8rem;padding:0;display:grid;gap:.7rem}
.samples li{background:var(--panel);border:1px solid var(--rule);border-radius:8px;
padding:.8rem 1.1rem;break-inside:avoid}
.samples .text{margin:0;max-width:none;white-space:pre-wrap;overflow-wrap:anywhere;
unicode-bidi:isolate}
.samples .prompt{color:var(--soft)}
.samples mark{background:var(--mark);color:var(--ink);border-radius:3px;padding:.08em .18em;
-webkit-box-decoration-break:clone;box-decoration-break:clone}
.samples .verdict{margin:.4rem 0 0;max-width:none;font-size:.84rem;color:var(--soft);
white-space:pre-wrap;unicode-bidi:isolate}
.right{color:var(--good);font-weight:620}.wrong{color:var(--bad);font-weight:620}
pre{margin:0;font:.82rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
white-space:pre-wrap;overflow-wrap:anywhere;
tab-size:2;max-height:32rem;overflow-y:auto}
.stages td:first-child{white-space:nowrap;font-weight:550}
.stages .track{width:45%}
.stages .error{padding-left:.9rem}
.stages .track div{background:var(--tint);border-radius:3px;height:1rem}
.stages .track span{display:block;height:1rem;border-radius:3px;background:var(--s1);min-width:2px}
footer{margin-top:3rem;padding-block:1.2rem 2.5rem;font-size:.82rem;color:var(--soft)}
@media (max-width:40rem){
main,header,nav,footer{padding-inline:1rem}
header{padding-top:1.8rem}
h1{font-size:1.6rem}
figure{padding:.85rem .85rem .75rem}
.n3,.n4,.n5{grid-template-columns:repeat(2,1fr);gap:.55rem}
.figures .big{font-size:1.4rem}
.stages .track{width:35%}}
@media (max-width:31.25rem){
.scroll>svg{min-width:0}
.scroll>table{width:max-content;min-width:100%}
td{max-width:16rem}}
@media print{
html{font-size:11px}
body{border-top:0}
nav{display:none}
main,header,footer{max-width:none;padding-inline:0}
section{padding-top:1.4rem}
h2,h3,.lead{break-after:avoid}
pre{max-height:none;overflow:visible}
.scroll{overflow:visible}
.scroll>svg{min-width:0}
figure:has(pre){break-inside:auto}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)css";
}

}  // namespace boreal::monitor
