// Report: what a run did, as one HTML file that needs nothing else: no network, no script, style
// and charts inside. It follows the reader's light or dark setting, fits phone and paper. All text
// is escaped; a content security policy forbids whatever might still slip through.
//
// Blocks appear in the order in which they are added, under the section added last. Thread rule: a
// value, one thread's.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "monitor/chart.h"
#include "monitor/table.h"

namespace boreal::monitor {

struct ReportHead {
  std::string title = {};
  std::string subtitle = {};  // one sentence: what this is
  std::vector<std::pair<std::string, std::string>> facts =
      {};  // {"spec", hash}, {"finished", time}, ...
};

// A key figure: "Recall, trained pairs", "84.2", "%", "chance 5.1 %".
struct Figure {
  std::string label = {};
  std::string value = {};
  std::string unit = {};
  std::string note = {};
};

struct Sample {
  std::string prompt = {};
  std::string completion = {};
  std::string expected = {};  // "" = nothing to compare with
  std::optional<bool> correct = {};
  std::string note = {};
};

struct StageTime {
  std::string name = {};
  double wall_s = 0;
  std::string note = {};
};

class Report {
 public:
  explicit Report(ReportHead head) : head_(std::move(head)) {}

  void add_section(const std::string& title, const std::string& lead = "");
  void add_text(const std::string& paragraph);
  void add_figures(const std::vector<Figure>& figures);
  // Numbers to the right; scores with their error, the 95 % interval as a small picture and a mark
  // at chance.
  void add_table(const Table& table);
  void add_line_chart(const LineChart& chart);
  void add_bar_chart(const BarChart& chart);
  void add_samples(const std::vector<Sample>& samples);
  void add_preformatted(const std::string& title, const std::string& text);
  // Stages one after the other on one scale of time.
  void add_stages(const std::vector<StageTime>& stages);

  std::string html() const;
  Status write(Env& env, const std::string& path) const;

 private:
  void add_figure_element(const std::string& title, const std::string& content,
                          const std::string& caption);

  ReportHead head_;
  std::vector<std::string> sections_;
  std::string body_;
};

}  // namespace boreal::monitor
