// The tokenizer in a GGUF file: llama.cpp's lists where it splits text as the tokenizer does, and
// tokenizer.json whole beside them. Thread rule: pure functions.
#pragma once

#include <string>

#include "infer/gguf_model.h"

namespace boreal::infer {

// tokenizer_json "": says that there is none. Refused: damaged, or more ids than `vocab`.
Result<GgufTokenizer> add_tokenizer_facts(const std::string& tokenizer_json, std::int64_t vocab,
                                          tensor::GgufFacts& facts);

// tokenizer.json made out of llama.cpp's lists; "" where text is split in a way that we do not
// have.
Result<std::string> tokenizer_of_lists(const tensor::GgufFile& file);

}  // namespace boreal::infer
