// Tokenizer: exact bytes <-> ids, read from and written to tokenizer.json.
// Immutable after loading, so any number of threads may encode and decode at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::text {

using TokenId = std::int32_t;

struct TokenizerModel;  // tokenizer_model.h

// A token and the bytes [begin, end) of the input it stands for (of the normalised text, if the
// tokenizer normalises or adds a blank in front). Spans are in order and do not overlap; gaps are
// bytes that the vocabulary lacks.
struct TokenSpan {
  TokenId id = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct EncodeOptions {
  // Whether special tokens written in the text become their ids. Off for text that we did not write
  // ourselves. Added tokens that are not special are always found.
  bool parse_special = false;
};

class Tokenizer {
 public:
  // Refused (kind refused) with the file, the place and the reason if it is damaged or uses a part
  // we do not have.
  static Result<Tokenizer> load(Env& env, const std::string& path);
  static Result<Tokenizer> parse(std::string_view json, const std::string& name);
  // Precondition: the invariants of TokenizerModel.
  static Tokenizer build(TokenizerModel model);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Texts below 4 GiB; near-linear time on any bytes.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  std::vector<TokenSpan> encode_spans(std::string_view text, EncodeOptions options = {}) const;
  // The bytes of the ids, one after another; ids outside the vocabulary give nothing.
  // decode(encode(x)) == x for every byte string x where the vocabulary holds all 256 bytes and
  // nothing normalises.
  std::string decode(std::span<const TokenId> ids) const;

  // Highest id + 1, added tokens included.
  std::int64_t vocab_size() const;
  // The id whose token is exactly these bytes (an added token's text, or a byte string of the
  // vocabulary).
  std::optional<TokenId> id_of(std::string_view token) const;
  bool is_special(TokenId id) const;
  // The end-of-text token: "<|endoftext|>" if there is one.
  std::optional<TokenId> end_of_text() const;
  // 32 hex digits over all that decides ids. Equal fingerprints encode equally.
  const std::string& fingerprint() const;
  // tokenizer.json, loadable by Hugging Face tokenizers, ending in a newline.
  std::string to_json() const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace boreal::text
