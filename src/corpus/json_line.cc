#include "corpus/json_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace boreal::corpus {

namespace {

using json = nlohmann::json;

// Takes the events of one line. Depth 1 are the fields; what lies deeper is only checked to be
// JSON.
class FieldCollector final : public nlohmann::json_sax<json> {
 public:
  std::vector<JsonField> fields;
  std::string fault;  // "" = none

  bool null() override { return value("", JsonField::Kind::null); }
  bool boolean(bool b) override { return value(b ? "true" : "false", JsonField::Kind::boolean); }
  bool number_integer(number_integer_t v) override {
    return value(std::to_string(v), JsonField::Kind::number);
  }
  bool number_unsigned(number_unsigned_t v) override {
    return value(std::to_string(v), JsonField::Kind::number);
  }
  bool number_float(number_float_t /*v*/, const string_t& written) override {
    return value(written, JsonField::Kind::number);
  }
  bool string(string_t& v) override { return value(v, JsonField::Kind::text); }
  bool binary(binary_t& /*v*/) override { return false; }
  bool start_object(std::size_t /*n*/) override {
    if (depth_ > 0 && !value("an object", JsonField::Kind::nested)) return false;
    ++depth_;
    return true;
  }
  bool key(string_t& k) override {
    if (depth_ != 1) return true;
    if (std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return f.key == k; })) {
      fault = fmt::format("the key '{}' stands twice", k);
      return false;
    }
    fields.push_back({k, "", JsonField::Kind::null});
    return true;
  }
  bool end_object() override { return --depth_, true; }
  bool start_array(std::size_t /*n*/) override {
    if (!value("a list", JsonField::Kind::nested)) return false;
    ++depth_;
    return true;
  }
  bool end_array() override { return --depth_, true; }
  bool parse_error(std::size_t at, const std::string& last, const json::exception& /*e*/) override {
    fault = fmt::format("bad JSON at byte {} of the line, near '{}'", at, last);
    return false;
  }

 private:
  bool value(std::string text, JsonField::Kind kind) {
    if (depth_ == 0) {
      fault = "the line is no object: expected { \"key\": value, ... }";
      return false;
    }
    if (depth_ == 1) {
      fields.back().text = std::move(text);
      fields.back().kind = kind;
    }
    return true;
  }

  int depth_ = 0;
};

}  // namespace

Result<std::vector<JsonObject>> parse_json_lines(std::string_view text, const std::string& file) {
  std::vector<JsonObject> objects;
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++line_number;
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    FieldCollector collector;
    if (!json::sax_parse(line.begin(), line.end(), &collector) || !collector.fault.empty()) {
      return refused("{}:{}: {}", file, line_number, collector.fault);
    }
    objects.push_back({line_number, std::move(collector.fields)});
  }
  return objects;
}

}  // namespace boreal::corpus
