#include "corpus/dedup.h"

#include "base/hash.h"

namespace boreal::corpus {

std::string Dedup::key_of(std::string_view text) {
  return xxh3_128_hex(text);
}

}  // namespace boreal::corpus
