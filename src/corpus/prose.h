// Documents that are text already: JSON lines with the text under one key, and plain text as one
// stream. Thread rule: functions without state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/document.h"
#include "corpus/drop_log.h"

namespace boreal::corpus {

struct ProseOptions {
  std::string source = {};
  std::string bundle = {};     // "" = the source's name
  std::string licence = {};    // "" = unknown
  std::string field = "text";  // of a JSON line
  double validation = 0.05;
  std::int64_t records_max = 0;  // JSON lines picked by hash; 0 = all
  std::uint64_t seed = 1;
};

struct Prose {
  std::int64_t read = 0;  // lines of JSON, or 1
  std::vector<Document> documents;
  DropLog dropped;
};

// One document a line, validation by hash of the text, the share as near as whole documents come.
// Refused: a line without the field, or where it is no text. Left out: empty texts, lines beyond
// records_max.
Result<Prose> read_json_documents(Env& env, const std::string& path, const ProseOptions& options);

// One document of training text and, if validation > 0, one of validation text: the last share of
// the bytes, cut at a line border.
Result<Prose> read_plain_text(Env& env, const std::string& path, const ProseOptions& options);

}  // namespace boreal::corpus
