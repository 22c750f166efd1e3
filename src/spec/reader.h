// Reads, prints and hashes a RunSpec. One list of fields (RunSpec::visit) serves all three.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "spec/run_spec.h"

namespace boreal::spec {

// Reads a YAML file. `base: other.yaml` (relative to the file) is read first and overridden key by
// key (lists are replaced). `sets` are "a.b=value" in order, applied last; list elements by index
// ("data.sources.0.weight=2"). A single value of `sets` is taken as it stands, to the last
// character; lists and sections are written as YAML ("optim.betas=[0.9, 0.99]"). An absent name of
// the run or of a source becomes its file's. Unknown and duplicate keys, wrong types, values out of
// range (validate) are errors of kind usage: file and line or the --set, both values, nearest key.
Result<RunSpec> read_run_spec(Env& env, const std::string& path,
                              const std::vector<std::string>& sets);

// What a spec must satisfy whatever the verb: known words, positive sizes, heads that divide, one
// kind per source.
Status validate(const RunSpec& spec);

// All keys with their values, in the order of visit, as YAML that read_run_spec reads back to the
// same spec.
std::string resolved_yaml(const RunSpec& spec);

// 32 hex digits over what decides the numbers of a run: resolved_yaml without world, threads,
// checkpoint and eval.
std::string spec_hash(const RunSpec& spec);

// One line a key: "train.batch_sequences  int  8  rows in one optimizer step". `sections`:
// top-level keys to list ({} = all).
std::string describe_keys(const std::vector<std::string>& sections);

}  // namespace boreal::spec
