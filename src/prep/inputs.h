// Inputs: the sources of a spec with their paths, and the stamp of everything that decides what
// prep writes. Thread rule: values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "spec/run_spec.h"

namespace boreal::prep {

// Part of the stamp. Raised whenever the same inputs and spec give other files.
inline constexpr int kFormatVersion = 1;

enum class SourceKind { table, text, jsonl, shards, synthetic };
std::string_view name_of(SourceKind kind);

struct Input {
  SourceKind kind = SourceKind::table;
  std::string name;  // names a folder: letters, digits, '.', '_', '-'
  std::string path;  // "" for synthetic
  spec::SourceSpec source;
};

struct Inputs {
  std::vector<Input> sources;
  std::string families_path;                  // "" if no source is a table
  std::string tokenizer_path;                 // "" if one is trained, or none is needed
  std::map<std::string, std::string> hashes;  // XXH3-128 of each file that is read, by path
  std::string stamp;                          // 32 hex digits
};

// Finds every file and hashes it. usage: no source, a kind missing or twice, a name twice. refused:
// a file that is nowhere.
Result<Inputs> resolve_inputs(Env& env, const spec::RunSpec& spec);

}  // namespace boreal::prep
