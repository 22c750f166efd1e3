#include "corpus/dedup.h"

#include "base/hash.h"

namespace boreal::corpus {

bool Dedup::is_new(std::string_view text) {
  return seen_.insert(xxh3_128_hex(text)).second;
}

}  // namespace boreal::corpus
