// The parts of tokenizer.json around the model: what happens to text before it and to ids behind
// it. Thread rule: values of one thread. Include in .cc files only (the JSON library is heavy).
#pragma once

#include "text/json_fields.h"
#include "text/tokenizer_model.h"

namespace boreal::text {

// A text as it stands in messages: in quotes, cut where it is long.
std::string shown(std::string_view text);

// Sets nfc; refused with the place if it does anything else.
Status read_normalizer(const nlohmann::json& value, TokenizerModel& model);
// Sets pattern and add_prefix_space; refused with the place if boreal has no such split.
Status read_pre_tokenizer(const nlohmann::json& value, TokenizerModel& model);
// ByteLevel, which leaves ids as they are: its fields are checked.
Status check_byte_level(const nlohmann::json& value, const std::string& place);
// Sets post_processor, unless it is a ByteLevel alone.
Status read_post_processor(const nlohmann::json& value, TokenizerModel& model);

std::string pre_tokenizer_json(const TokenizerModel& model);
std::string byte_level_json(bool add_prefix_space, bool use_regex);

}  // namespace boreal::text
