// What tools/oracle/compare_tokenizers.py compares, for many texts at once:
//   text_probe ids TOKENIZER          the ids of each text, special tokens in it being text
//   text_probe pieces PATTERN         the bytes of each piece of each text
//   text_probe json TOKENIZER         what to_json() writes, without texts
// Standard input: for each text its size in bytes (u32) and the text. Standard output: for each
// text how many numbers (u32) and the numbers (u32). Little-endian. Exit code 1 with a line on what
// is wrong.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "text/split.h"
#include "text/tokenizer.h"

namespace {

using namespace boreal;
using Numbers = std::vector<std::uint32_t>;

bool read_text(std::string& text) {
  std::uint32_t size = 0;
  if (std::fread(&size, sizeof(size), 1, stdin) != 1) return false;
  text.resize(size);
  return std::fread(text.data(), 1, size, stdin) == size;
}

template <class NumbersOf>
int answer_all(const NumbersOf& numbers_of) {
  for (std::string text; read_text(text);) {
    const Numbers numbers = numbers_of(text);
    const auto count = static_cast<std::uint32_t>(numbers.size());
    std::fwrite(&count, sizeof(count), 1, stdout);
    std::fwrite(numbers.data(), sizeof(std::uint32_t), numbers.size(), stdout);
  }
  return 0;
}

Numbers pieces(text::SplitPattern pattern, std::string_view text) {
  Numbers sizes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text::piece_end(pattern, text, at);
    sizes.push_back(static_cast<std::uint32_t>(end - at));
    at = end;
  }
  return sizes;
}

int fail(const std::string& message) {
  std::fprintf(stderr, "text_probe: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return fail("wants ids TOKENIZER or pieces PATTERN");
  if (std::string(argv[1]) == "pieces") {
    const auto pattern = text::split_pattern_named(argv[2]);
    if (!pattern) return fail(std::string("no pattern ") + argv[2]);
    return answer_all([&](const std::string& text) { return pieces(*pattern, text); });
  }
  const auto tokenizer = text::Tokenizer::load(Env::real(), argv[2]);
  if (!tokenizer.ok()) return fail(tokenizer.error().message);
  if (std::string(argv[1]) == "json") {
    const std::string json = tokenizer->to_json();
    return std::fwrite(json.data(), 1, json.size(), stdout) == json.size() ? 0
                                                                           : fail("cannot write");
  }
  return answer_all([&](const std::string& text) {
    const auto ids = tokenizer->encode(text);
    return Numbers(ids.begin(), ids.end());
  });
}
