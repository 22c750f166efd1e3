// All that decides the ids of a tokenizer, as plain data: what tokenizer.json says and what the
// trainer makes. Thread rule: a value.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/split.h"
#include "text/tokenizer.h"

namespace boreal::text {

// A token that is looked for in the text before anything is split.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows the blanks in front of it
  bool rstrip = false;       // swallows the blanks behind it
  bool normalized = false;   // looked for in the normalised text, itself normalised
  bool special =
      false;  // steers the model; text that spells it is encoded as text unless asked otherwise
};

struct VocabularyEntry {
  std::string bytes;
  // False: tokenizer.json spells it with characters outside the byte alphabet, so `bytes` are its
  // UTF-8 and no text leads to it.
  bool in_alphabet = true;
};

struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId id = 0;  // of the two joined
};

// Invariants: ids are below vocabulary.size() or those of added tokens; all spellings differ; no
// pair merges twice; the ids of added tokens differ, and an added token spelled as a vocabulary
// entry has its id.
struct TokenizerModel {
  bool nfc = false;
  bool add_prefix_space =
      false;                   // a blank before each stretch of text that does not begin with one
  bool ignore_merges = false;  // a piece that is a token as a whole is not built by merges
  SplitPattern pattern = SplitPattern::gpt2;
  std::vector<std::optional<VocabularyEntry>> vocabulary;  // by id; ids may be left out
  std::vector<Merge> merges;                               // by rank
  std::vector<AddedToken> added_tokens;                    // in the order of the file
  // JSON of what Hugging Face tokenizers put around the ids of a text when asked for special
  // tokens, such as a first token. Kept to be written back: whoever wants such tokens puts them
  // there, and no id of a text depends on it. Empty: nothing.
  std::string post_processor;
};

// `name` stands in messages. Unknown parts, damage and contradictions are refused with their place.
Result<TokenizerModel> model_of_json(std::string_view json, const std::string& name);
std::string json_of_model(const TokenizerModel& model);

}  // namespace boreal::text
