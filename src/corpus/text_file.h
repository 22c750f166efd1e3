// Whole text files as UTF-8: plain, .gz (RFC 1952, several members) or .zst (RFC 8878, several
// frames). Errors are of kind refused and name the file and the byte: damaged or cut compression,
// bytes that are not UTF-8. Thread rule: functions without state; env is used as its own contract
// says.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/result.h"

namespace boreal::corpus {

// The decompressed text. A byte order mark at the start is dropped; bytes that are not UTF-8 are
// refused.
Result<std::string> read_text_file(Env& env, const std::string& path);

// `name` is the file's, for messages.
Result<std::string> decompress_gzip(std::string_view bytes, const std::string& name);
Result<std::string> decompress_zstd(std::string_view bytes, const std::string& name);

// The first byte that begins no well-formed UTF-8 sequence (Unicode 15, table 3-7), if there is
// one.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// "data/a.CSV.gz" -> ".csv" and "a": the ending in lower case and the stem, without the
// compression.
std::string data_suffix(std::string_view path);
std::string data_stem(std::string_view path);

}  // namespace boreal::corpus
