// Document: a piece of text and everything that must not be lost about it. Thread rule: a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boreal::corpus {

struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where a document came from. Written beside the token shards, one line a document.
struct Provenance {
  std::string source;    // name of the source
  std::string file;      // path as given
  std::int64_t row = 0;  // 1-based line or record of the file
  std::string licence;
  std::string bundle;
  std::string record;                   // name of the record, for cards
  std::string card;                     // family of the template, for cards; "" for plain text
  std::vector<std::string> properties;  // that the card states
};

struct Document {
  std::string text;
  // Byte ranges of the text that count in the loss; empty = the whole text.
  std::vector<ByteRange> loss;
  Provenance from;
  bool validation = false;
};

}  // namespace boreal::corpus
