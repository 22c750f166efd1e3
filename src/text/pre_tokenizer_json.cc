#include "text/pre_tokenizer_json.h"

#include <algorithm>

namespace boreal::text {

using nlohmann::json;

namespace {

Result<std::string> type_of(const json& value, const std::string& place) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  return fields.string("type");
}

// The list of a Sequence.
Result<const json*> list_of(const json& value, const std::string& place, const std::string& key) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  RETURN_IF_ERROR(fields.string("type"));
  ASSIGN_OR_RETURN(const json* list, fields.require(key));
  RETURN_IF_ERROR(fields.done());
  if (!list->is_array())
    return refused("{}.{} is {}, an array is wanted", place, key, list->type_name());
  return list;
}

struct ByteLevel {
  bool add_prefix_space = false;
  bool use_regex = true;
};

Result<ByteLevel> read_byte_level(const json& value, const std::string& place) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  ASSIGN_OR_RETURN(const std::string type, fields.string("type"));
  if (type != "ByteLevel") {
    return refused("{} is {}, which boreal does not have there (ByteLevel)", place, shown(type));
  }
  ByteLevel level;
  ASSIGN_OR_RETURN(level.add_prefix_space, fields.boolean("add_prefix_space"));
  ASSIGN_OR_RETURN(level.use_regex, fields.boolean("use_regex", true));
  RETURN_IF_ERROR(fields.boolean("trim_offsets", true));
  RETURN_IF_ERROR(fields.done());
  return level;
}

// The regular expression of a Split that isolates its matches.
Result<std::string> read_split(const json& value, const std::string& place, bool covers) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  ASSIGN_OR_RETURN(const std::string type, fields.string("type"));
  if (type != "Split") {
    return refused("{} is {}, which boreal does not have there (Split)", place, shown(type));
  }
  ASSIGN_OR_RETURN(const json* pattern_value, fields.require("pattern"));
  ASSIGN_OR_RETURN(JsonFields pattern, JsonFields::of(*pattern_value, place + ".pattern"));
  ASSIGN_OR_RETURN(std::string regex, pattern.string("Regex"));
  RETURN_IF_ERROR(pattern.done());
  ASSIGN_OR_RETURN(const std::string behavior, fields.string("behavior"));
  ASSIGN_OR_RETURN(const bool invert, fields.boolean("invert", false));
  RETURN_IF_ERROR(fields.done());
  // Where a pattern covers all text, removing what does not match isolates the matches just as
  // well.
  if (behavior != (invert && covers ? "Removed" : "Isolated")) {
    return refused("{} has behavior {} with invert {}; boreal has Isolated, or {}", place,
                   shown(behavior), invert,
                   covers ? "Removed inverted" : "for one Split alone Removed inverted");
  }
  return regex;
}

Status read_digits(const json& value, const std::string& place, const ByteLevel& level) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  RETURN_IF_ERROR(fields.string("type"));
  ASSIGN_OR_RETURN(const bool individual, fields.boolean("individual_digits"));
  RETURN_IF_ERROR(fields.done());
  if (individual && level.use_regex && !level.add_prefix_space) return Done{};
  return refused(
      "{} is \"Digits\" with individual_digits {} before ByteLevel with use_regex {} and "
      "add_prefix_space {}; boreal has true, true and false",
      place, individual, level.use_regex, level.add_prefix_space);
}

Status read_splits(const json& list, const std::string& place, TokenizerModel& model) {
  std::vector<std::string> regexes;
  const std::size_t splits = list.size() - 1;
  for (std::size_t i = 0; i < splits; ++i) {
    ASSIGN_OR_RETURN(std::string regex,
                     read_split(list[i], fmt::format("{}[{}]", place, i), splits == 1));
    regexes.push_back(std::move(regex));
  }
  const auto known = split_pattern_of_regexes(regexes);
  if (!known) {
    const std::string first =
        splits == 1 ? "pattern " + shown(regexes[0])
                    : fmt::format("pattern {} and the {} behind it", shown(regexes[0]), splits - 1);
    return refused("{}[0].{} is none that boreal has (it has those of {})", place, first,
                   split_pattern_names());
  }
  model.pattern = *known;
  return Done{};
}

Status read_sequence(const json& value, const std::string& place, TokenizerModel& model) {
  ASSIGN_OR_RETURN(const json* list, list_of(value, place, "pretokenizers"));
  const std::string inside = place + ".pretokenizers";
  if (list->size() < 2) {
    return refused("{}: boreal has the sequence of Splits, or of Digits, and one ByteLevel",
                   inside);
  }
  const std::string last = fmt::format("{}[{}]", inside, list->size() - 1);
  ASSIGN_OR_RETURN(const ByteLevel level, read_byte_level(list->back(), last));
  ASSIGN_OR_RETURN(const std::string first, type_of((*list)[0], inside + "[0]"));
  if (first == "Digits" && list->size() == 2) {
    model.pattern = SplitPattern::starcoder;
    return read_digits((*list)[0], inside + "[0]", level);
  }
  RETURN_IF_ERROR(read_splits(*list, inside, model));
  if (level.use_regex || level.add_prefix_space) {
    return refused(
        "{}: after a Split, boreal has ByteLevel only with use_regex "
        "and add_prefix_space false (they are {} and {})",
        last, level.use_regex, level.add_prefix_space);
  }
  return Done{};
}

Status check_post_processor(const json& value, const std::string& place) {
  ASSIGN_OR_RETURN(const std::string type, type_of(value, place));
  if (type == "TemplateProcessing") return Done{};
  if (type != "Sequence") return check_byte_level(value, place);
  ASSIGN_OR_RETURN(const json* list, list_of(value, place, "processors"));
  for (std::size_t i = 0; i < list->size(); ++i)
    RETURN_IF_ERROR(check_post_processor((*list)[i], fmt::format("{}.processors[{}]", place, i)));
  return Done{};
}

std::string split_json(std::string_view regex) {
  return fmt::format(
      R"({{"type": "Split", "pattern": {{"Regex": {}}}, "behavior": "Isolated", "invert": false}})",
      json(regex).dump());
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kQuotedMax = 60;
  return text.size() <= kQuotedMax ? fmt::format("\"{}\"", text)
                                   : fmt::format("\"{}...\"", text.substr(0, kQuotedMax));
}

Status read_normalizer(const json& value, TokenizerModel& model) {
  const std::string place = "normalizer";
  ASSIGN_OR_RETURN(const std::string type, type_of(value, place));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const json* list, list_of(value, place, "normalizers"));
    for (const json& part : *list) RETURN_IF_ERROR(read_normalizer(part, model));
    return Done{};
  }
  if (type != "NFC") return refused("normalizer {} is none that boreal has (NFC)", shown(type));
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  RETURN_IF_ERROR(fields.string("type"));
  model.nfc = true;
  return fields.done();
}

Status read_pre_tokenizer(const json& value, TokenizerModel& model) {
  const std::string place = "pre_tokenizer";
  ASSIGN_OR_RETURN(const std::string type, type_of(value, place));
  if (type == "Sequence") return read_sequence(value, place, model);
  ASSIGN_OR_RETURN(const ByteLevel level, read_byte_level(value, place));
  model.pattern = level.use_regex ? SplitPattern::gpt2 : SplitPattern::whole;
  model.add_prefix_space = level.add_prefix_space;
  return Done{};
}

Status check_byte_level(const json& value, const std::string& place) {
  RETURN_IF_ERROR(read_byte_level(value, place));
  return Done{};
}

Status read_post_processor(const json& value, TokenizerModel& model) {
  RETURN_IF_ERROR(check_post_processor(value, "post_processor"));
  if (value.at("type") != "ByteLevel") model.post_processor = value.dump();
  return Done{};
}

std::string byte_level_json(bool add_prefix_space, bool use_regex) {
  return fmt::format(
      R"({{"type": "ByteLevel", "add_prefix_space": {}, "trim_offsets": true, "use_regex": {}}})",
      add_prefix_space, use_regex);
}

std::string pre_tokenizer_json(const TokenizerModel& model) {
  if (model.pattern == SplitPattern::gpt2 || model.pattern == SplitPattern::whole)
    return byte_level_json(model.add_prefix_space, model.pattern == SplitPattern::gpt2);
  const bool starcoder = model.pattern == SplitPattern::starcoder;
  std::string parts = starcoder ? R"({"type": "Digits", "individual_digits": true})" : "";
  for (const std::string_view regex : regexes_of(model.pattern))
    parts += (parts.empty() ? "" : ", ") + split_json(regex);
  return fmt::format(R"({{"type": "Sequence", "pretokenizers": [{}, {}]}})", parts,
                     byte_level_json(false, starcoder));
}

}  // namespace boreal::text
