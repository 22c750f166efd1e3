#include "monitor/chart.h"

namespace boreal::monitor {

// The series colours keep a contrast of at least 4.5 on both grounds and differ in lightness for
// those who see few colours.
std::string_view chart_css() {
  return R"css(:root{color-scheme:light dark;
--ground:#fcfcfa;--panel:#ffffff;--ink:#1a2026;--soft:#59636e;--faint:#87919b;--rule:#dfe2e1;
--grid:#ebedec;--tint:#f3f5f3;
--s1:#1f63ad;--s2:#b8500f;--s3:#13785f;--s4:#7d45a8;--s5:#b3314f;--s6:#76660a;--good:#13785f;
--bad:#b3314f;--mark:#dff0ea}
@media (prefers-color-scheme:dark){:root{
--ground:#101418;--panel:#161b20;--ink:#e4e8eb;--soft:#a2adb7;--faint:#74808b;--rule:#2b3238;
--grid:#20262c;--tint:#1b2127;
--s1:#6fabf0;--s2:#ee9a5c;--s3:#4ec7a4;--s4:#c195e6;--s5:#f2859d;--s6:#d3bd54;--good:#4ec7a4;
--bad:#f2859d;--mark:#17392f}}
@media print{:root{color-scheme:light;
--ground:#ffffff;--panel:#ffffff;--ink:#1a2026;--soft:#59636e;--faint:#87919b;--rule:#dfe2e1;
--grid:#ebedec;--tint:#f3f5f3;
--s1:#1f63ad;--s2:#b8500f;--s3:#13785f;--s4:#7d45a8;--s5:#b3314f;--s6:#76660a;--good:#13785f;
--bad:#b3314f;--mark:#dff0ea}}
svg.chart{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",
sans-serif;font-variant-numeric:tabular-nums;display:block}
svg.chart text{fill:var(--soft)}
svg.chart .strong{fill:var(--ink)}
svg.chart .heading{fill:var(--ink);font-size:15px;font-weight:600}
svg.chart .value{font-weight:600}
svg.chart .grid{stroke:var(--grid);stroke-width:1}
svg.chart .base{stroke:var(--faint);stroke-width:1}
svg.chart .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;
stroke-linecap:round}
svg.chart .raw{fill:none;stroke:currentColor;stroke-width:1;stroke-linejoin:round;opacity:.28}
svg.chart .dashed{stroke-dasharray:6 5}
svg.chart .dot{fill:currentColor;stroke:var(--panel);stroke-width:1.5}
svg.chart .own{fill:currentColor}
svg.chart .bar{fill:currentColor;opacity:.82}
svg.chart .piece{fill:currentColor;opacity:.9;stroke:var(--panel);stroke-width:1}
svg.chart .inside{fill:var(--panel);font-size:11px}
svg.chart .track{fill:var(--tint)}
svg.chart .whisker{stroke:var(--ink);stroke-width:1.5;fill:none}
svg.chart .chance{stroke:var(--ink);stroke-width:2;stroke-dasharray:3 2}
svg.chart .hit rect{fill:transparent}
svg.chart .hit .show{opacity:0}
svg.chart .hit:hover .show{opacity:1}
svg.chart .guide{stroke:var(--faint);stroke-width:1}
.c0{color:var(--faint)}
.c1{color:var(--s1)}.c2{color:var(--s2)}.c3{color:var(--s3)}.c4{color:var(--s4)}.c5{
color:var(--s5)}.c6{color:var(--s6)}
)css";
}

}  // namespace boreal::monitor
