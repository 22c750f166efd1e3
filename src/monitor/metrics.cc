#include "monitor/metrics.h"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "monitor/number_text.h"

namespace boreal::monitor {

namespace {

using Json = nlohmann::ordered_json;

Result<double> number_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return refused("key \"{}\" is missing", key);
  if (found->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!found->is_number())
    return refused("key \"{}\" is a {}, not a number", key, found->type_name());
  return found->get<double>();
}

Result<std::int64_t> count_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return refused("key \"{}\" is missing", key);
  if (!found->is_number_integer())
    return refused("key \"{}\" is a {}, not a whole number", key, found->type_name());
  return found->get<std::int64_t>();
}

Result<StepMetrics> parse_line(std::string_view line) {
  const Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded() || !object.is_object()) return refused("no JSON object");
  StepMetrics row;
  ASSIGN_OR_RETURN(row.step, count_at(object, "step"));
  ASSIGN_OR_RETURN(row.tokens, count_at(object, "tokens"));
  ASSIGN_OR_RETURN(row.loss, number_at(object, "loss"));
  ASSIGN_OR_RETURN(row.grad_norm, number_at(object, "grad_norm"));
  ASSIGN_OR_RETURN(row.lr, number_at(object, "lr"));
  ASSIGN_OR_RETURN(row.step_ms, number_at(object, "step_ms"));
  ASSIGN_OR_RETURN(row.tokens_per_s, number_at(object, "tokens_per_s"));
  ASSIGN_OR_RETURN(row.flop_utilisation, number_at(object, "flop_utilisation"));
  if (object.contains("validation_loss")) {
    ASSIGN_OR_RETURN(row.validation_loss, number_at(object, "validation_loss"));
  }
  const auto phases = object.find("phases_ms");
  if (phases == object.end() || !phases->is_object())
    return refused("key \"phases_ms\" is missing or no object");
  for (const auto& phase : phases->items()) {
    ASSIGN_OR_RETURN(const double ms, number_at(*phases, phase.key().c_str()));
    row.phases_ms.emplace_back(phase.key(), ms);
  }
  return row;
}

// Walks the whole lines of a file, checking that steps rise.
class LineReader {
 public:
  LineReader(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  // False at the end and at a last line without newline.
  bool has_line() const { return text_.find('\n', offset_) != std::string_view::npos; }
  std::size_t offset_bytes() const { return offset_; }

  Result<StepMetrics> next() {
    const std::size_t end = text_.find('\n', offset_);
    auto row = parse_line(text_.substr(offset_, end - offset_));
    ++line_;
    if (!row.ok()) return std::move(row).error().within(fmt::format("{}:{}", path_, line_));
    if (row->step <= last_step_)
      return refused("{}:{}: step {} follows step {}", path_, line_, row->step, last_step_);
    last_step_ = row->step;
    offset_ = end + 1;
    return row;
  }

 private:
  std::string_view text_;
  const std::string& path_;
  std::size_t offset_ = 0;
  std::int64_t line_ = 0;
  std::int64_t last_step_ = 0;
};

// Bytes of the rows of steps up to resume_step. What follows them is not even parsed: it is cut,
// whatever it holds.
Result<std::uint64_t> bytes_to_keep(std::string_view text, const std::string& path,
                                    std::int64_t resume_step) {
  LineReader reader(text, path);
  std::int64_t step = 0;
  while (step < resume_step && reader.has_line()) {
    ASSIGN_OR_RETURN(const StepMetrics row, reader.next());
    step = row.step;
  }
  if (step != resume_step)
    return refused(
        "{}: rows end at step {}, the checkpoint is of step {}; was the file replaced? Move it "
        "away to begin a new one",
        path, step, resume_step);
  return static_cast<std::uint64_t>(reader.offset_bytes());
}

}  // namespace

std::string metrics_line(const StepMetrics& row) {
  std::string line = fmt::format(
      R"({{"step":{},"tokens":{},"loss":{},"grad_norm":{},"lr":{},)"
      R"("step_ms":{},"tokens_per_s":{},"flop_utilisation":{})",
      row.step, row.tokens, json_number(row.loss), json_number(row.grad_norm), json_number(row.lr),
      json_number(row.step_ms), json_number(row.tokens_per_s), json_number(row.flop_utilisation));
  if (row.validation_loss)
    line += fmt::format(R"(,"validation_loss":{})", json_number(*row.validation_loss));
  line += R"(,"phases_ms":{)";
  for (std::size_t i = 0; i < row.phases_ms.size(); ++i) {
    const auto& [name, ms] = row.phases_ms[i];
    const std::string key = Json(name).dump(-1, ' ', false, Json::error_handler_t::replace);
    line += fmt::format("{}{}:{}", i == 0 ? "" : ",", key, json_number(ms));
  }
  return line + "}}";
}

bool equal_but_for_times(const StepMetrics& a, const StepMetrics& b) {
  const auto same = [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y) ||
           (std::isnan(x) && std::isnan(y));
  };
  if (a.validation_loss.has_value() != b.validation_loss.has_value()) return false;
  return a.step == b.step && a.tokens == b.tokens && same(a.loss, b.loss) &&
         same(a.grad_norm, b.grad_norm) && same(a.lr, b.lr) &&
         same(a.validation_loss.value_or(0), b.validation_loss.value_or(0));
}

Result<MetricsWriter> MetricsWriter::open(Env& env, const std::string& path,
                                          std::int64_t resume_step) {
  CHECK_GE(resume_step, 0);
  if (resume_step > 0 && env.exists(path)) {
    ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
    ASSIGN_OR_RETURN(const std::uint64_t keep_bytes, bytes_to_keep(text, path, resume_step));
    RETURN_IF_ERROR(env.truncate(path, keep_bytes));
    ASSIGN_OR_RETURN(auto file, env.append_to(path));
    return MetricsWriter(std::move(file), resume_step);
  }
  ASSIGN_OR_RETURN(auto file, env.create(path));
  RETURN_IF_ERROR(env.sync_dir(parent_path(path)));
  return MetricsWriter(std::move(file), resume_step);
}

Status MetricsWriter::append(const StepMetrics& row) {
  CHECK_GT(row.step, last_step_);
  RETURN_IF_ERROR(file_->append(metrics_line(row) + "\n"));
  last_step_ = row.step;
  return Done{};
}

Status MetricsWriter::sync() {
  return file_->sync();
}

Result<std::vector<StepMetrics>> read_metrics(Env& env, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
  LineReader reader(text, path);
  std::vector<StepMetrics> rows;
  while (reader.has_line()) {
    ASSIGN_OR_RETURN(StepMetrics row, reader.next());
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace boreal::monitor
