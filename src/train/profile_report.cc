#include "train/profile_report.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <vector>

#include "base/check.h"

namespace boreal::train {

using device::Profile;
using device::SpanKind;
using device::SpanRecord;

namespace {

constexpr std::array<std::string_view, 7> kKinds = {
    "matrix products", "attention", "packing, transposing", "norms, activations",
    "cross-entropy",   "optimizer", "outside of kernels"};
constexpr std::size_t kOutside = kKinds.size() - 1;
constexpr std::string_view kOther = "other";
constexpr double kSmallPlace = 0.002;  // of the step

std::string_view name_of(SpanKind kind) {
  switch (kind) {
    case SpanKind::step: return "step";
    case SpanKind::phase: return "phase";
    case SpanKind::layer: return "layer";
    case SpanKind::kernel: return "kernel";
  }
  return "?";
}

std::string title_of(const SpanRecord& span) {
  return span.index < 0 ? std::string(span.name) : fmt::format("{} {}", span.name, span.index);
}

double rate(std::int64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds * 1e-9 : 0;
}

// Names are literals of ours: nothing in them needs escaping.
std::string event(const std::string& name, std::string_view category, std::int64_t track,
                  double begin_s, double end_s, const std::string& args) {
  return fmt::format(
      ",\n{{\"name\":\"{}\",\"cat\":\"{}\",\"ph\":\"X\",\"pid\":0,\"tid\":{},\"ts\":{:.3f},"
      "\"dur\":{:.3f}{}}}",
      name, category, track, begin_s * 1e6, (end_s - begin_s) * 1e6, args);
}

std::string work_of(const SpanRecord& span) {
  if (span.kind != SpanKind::kernel) return "";
  return fmt::format(
      ",\"args\":{{\"flops\":{},\"bytes\":{},\"gflop_per_s\":{:.3f},\"gb_per_s\":{:.3f}}}",
      span.flops, span.bytes, rate(span.flops, span.seconds()), rate(span.bytes, span.seconds()));
}

std::string track_name(std::int64_t track, const std::string& name) {
  return fmt::format(
      ",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":0,\"tid\":{0},\"args\":{{\"name\":"
      "\"{1}\"}}}},\n{{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":0,\"tid\":{0},"
      "\"args\":{{\"sort_index\":{0}}}}}",
      track, name);
}

struct Steps {
  double seconds = 0;
  std::int64_t count = 0;
};

Steps steps_of(const Profile& profile) {
  Steps steps;
  for (const SpanRecord& span : profile.records())
    if (span.kind == SpanKind::step) steps.seconds += span.seconds(), ++steps.count;
  CHECK_GE(steps.count, 1);
  return steps;
}

// Where the span's time is counted: the outermost layer around it, else the phase, else "other".
// Nothing where it is no part of a step: what comes between steps, as saving, is not asked for.
std::optional<std::string_view> place_of(const std::vector<SpanRecord>& records, std::size_t at) {
  std::string_view place = kOther;
  bool in_step = false;
  for (auto i = static_cast<std::int64_t>(at); i >= 0;) {
    const SpanRecord& span = records[static_cast<std::size_t>(i)];
    if (span.kind == SpanKind::layer || (span.kind == SpanKind::phase && place == kOther))
      place = span.name;
    in_step = span.kind == SpanKind::step;
    i = span.parent;
  }
  return in_step ? std::optional(place) : std::nullopt;
}

monitor::StackedBar empty_bar(std::string_view name) {
  return {.name = std::string(name), .values = std::vector<double>(kKinds.size())};
}

void add(monitor::StackedBar& bar, const monitor::StackedBar& more) {
  for (std::size_t i = 0; i < bar.values.size(); ++i) bar.values[i] += more.values[i];
}

// Places that a picture cannot show become one.
void gather_small(std::vector<monitor::StackedBar>& bars, double least) {
  monitor::StackedBar other = empty_bar(kOther);
  std::erase_if(bars, [&](const monitor::StackedBar& bar) {
    const double length = std::accumulate(bar.values.begin(), bar.values.end(), 0.0);
    const bool small = bar.name == kOther || length < least;
    if (small) add(other, bar);
    return small;
  });
  bars.push_back(other);
}

}  // namespace

std::string_view kind_of_kernel(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 12> kBegins = {{
      {"gemm", 0},
      {"weight_gradient", 0},
      {"attention", 1},
      {"pack", 2},
      {"transpose", 2},
      {"convert", 2},
      {"softmax", 4},
      {"rescale_sums", 4},
      {"cross_entropy", 4},
      {"adamw", 5},
      {"sum_squares", 5},
      {"fill_zero", 5},
  }};
  for (const auto& [begin, kind] : kBegins)
    if (name.starts_with(begin)) return kKinds[kind];
  return kKinds[3];
}

std::string trace_json(const Profile& profile) {
  const auto& records = profile.records();
  const double zero_s = records.empty() ? 0 : records.front().begin_s;
  std::string out =
      "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
      "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":0,\"args\":{\"name\":\"boreal train\"}}";
  out += track_name(0, "steps, phases, layers, kernels");
  for (std::int64_t part = 0; part < profile.threads(); ++part)
    out += track_name(part + 1, fmt::format("thread {} at work", part));
  for (const SpanRecord& span : records)
    out += event(title_of(span), name_of(span.kind), 0, span.begin_s - zero_s, span.end_s - zero_s,
                 work_of(span));
  for (std::int64_t part = 0; part < profile.threads(); ++part)
    for (const device::WorkRecord& work : profile.work(part)) {
      const std::string name =
          work.span < 0 ? "work" : title_of(records[static_cast<std::size_t>(work.span)]);
      out += event(name, "work", part + 1, work.begin_s - zero_s, work.end_s - zero_s, "");
    }
  return out + "\n]}\n";
}

monitor::Table kernel_table(const Profile& profile, double peak_flops) {
  struct Sum {
    std::int64_t calls = 0, flops = 0, bytes = 0;
    double seconds = 0;
  };
  std::map<std::string_view, Sum> by_name;
  Sum all;
  for (std::size_t i = 0; i < profile.records().size(); ++i) {
    const SpanRecord& span = profile.records()[i];
    if (span.kind != SpanKind::kernel || !place_of(profile.records(), i)) continue;
    for (Sum* sum : {&by_name[span.name], &all}) {
      ++sum->calls;
      sum->flops += span.flops, sum->bytes += span.bytes, sum->seconds += span.seconds();
    }
  }
  std::vector<std::pair<std::string, Sum>> rows(by_name.begin(), by_name.end());
  std::ranges::sort(
      rows, [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  const Steps steps = steps_of(profile);
  rows.emplace_back("outside of kernels", Sum{.seconds = steps.seconds - all.seconds});
  rows.emplace_back("the step", Sum{all.calls, all.flops, all.bytes, steps.seconds});
  monitor::Table table{
      .title = fmt::format("Where the time of a step goes (mean of {})", steps.count),
      .columns = {{"kernel", "kernel"},
                  {"calls", "calls", monitor::NumberStyle::plain, 0},
                  {"ms", "ms", monitor::NumberStyle::plain, 2},
                  {"share", "share, %", monitor::NumberStyle::percent, 1},
                  {"gflop_per_s", "GFLOP/s", monitor::NumberStyle::plain, 1},
                  {"peak_share", "of peak, %", monitor::NumberStyle::percent, 1},
                  {"gb_per_s", "GB/s", monitor::NumberStyle::plain, 1}},
      .total_rows = 1};
  const auto count = static_cast<double>(steps.count);
  for (const auto& [name, sum] : rows) {
    const double gflops = rate(sum.flops, sum.seconds);
    const auto some = [](double value) {
      return value > 0 ? monitor::Cell(value) : monitor::Cell();
    };
    table.rows.push_back({name, static_cast<double>(sum.calls) / count, sum.seconds / count * 1e3,
                          sum.seconds / steps.seconds, some(gflops),
                          some(peak_flops > 0 ? gflops * 1e9 / peak_flops : 0),
                          some(rate(sum.bytes, sum.seconds))});
  }
  return table;
}

monitor::StackedChart time_chart(const Profile& profile, const std::string& title) {
  const auto& records = profile.records();
  std::vector<double> own_s;  // of each span, without its children
  own_s.reserve(records.size());
  for (const SpanRecord& span : records) {
    own_s.push_back(span.seconds());
    if (span.parent >= 0) own_s[static_cast<std::size_t>(span.parent)] -= span.seconds();
  }
  const Steps steps = steps_of(profile);
  const double scale = 1e3 / static_cast<double>(steps.count);
  monitor::StackedChart chart{.title = title, .value_label = "milliseconds of a step"};
  chart.series.assign(kKinds.begin(), kKinds.end());
  chart.rest = true;
  monitor::StackedBar whole = empty_bar("step");
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto place = place_of(records, i);
    if (!place) continue;
    auto bar = std::ranges::find(chart.bars, *place, &monitor::StackedBar::name);
    if (bar == chart.bars.end()) bar = chart.bars.insert(bar, empty_bar(*place));
    const std::string_view kind =
        records[i].kind == SpanKind::kernel ? kind_of_kernel(records[i].name) : kKinds[kOutside];
    const auto series = static_cast<std::size_t>(std::ranges::find(kKinds, kind) - kKinds.begin());
    bar->values[series] += std::max(0.0, own_s[i]) * scale;
  }
  for (const monitor::StackedBar& bar : chart.bars) add(whole, bar);
  gather_small(chart.bars, kSmallPlace * steps.seconds * scale);
  chart.bars.insert(chart.bars.begin(), whole);
  return chart;
}

}  // namespace boreal::train
