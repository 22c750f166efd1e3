// RunLedger: owns an output folder while a run works in it. Holds OUT/.lock (a second process is
// told who holds it), refuses a folder that another spec or something else wrote, and keeps
// OUT/run.json, from which `boreal run` knows the finished stages.
//
// run.json is replaced as a whole at every change, so a killed run leaves the state before or
// after. With more than one rank, rank 0 alone opens the ledger. Thread rule: one thread's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/env.h"
#include "base/result.h"

namespace boreal::monitor {

struct StageRecord {
  std::string name = {};
  std::string input_hash = {};  // of all that the stage's result depends on; the caller's
  double start_s = 0;           // seconds since 1970, of the latest attempt
  double wall_s = 0;  // of all attempts at this input together, but for those that were killed
  std::int64_t peak_rss_bytes = 0;  // of the process, the largest of those attempts
  std::int64_t attempts = 0;
  bool done = false;
};

struct RunIdentity {
  std::string spec_hash = {};
  std::string resolved_yaml = {};  // written to OUT/resolved.yaml, and compared key by key when the
                                   // hashes differ; "" = neither
  std::map<std::string, std::string> facts =
      {};  // what else results may depend on: version, ISA, libraries
  // Sections of resolved_yaml that the hash leaves out (spec::spec_hash).
  std::vector<std::string> not_hashed = {"world", "threads", "mesh", "dist", "checkpoint", "eval"};
};

class RunLedger {
 public:
  // Makes the folder if need be. Errors: failed if another process holds the folder (pid, host,
  // since when); refused if another spec wrote it (both hashes, the keys that differ), unless
  // nothing was finished there and no checkpoint saved, if it holds files but no run.json, or if
  // run.json is damaged.
  static Result<RunLedger> open(Env& env, const Clock& clock, const std::string& out_folder,
                                const RunIdentity& identity);
  // Counts the time of a stage that ended with an error.
  ~RunLedger();
  RunLedger(RunLedger&&) = default;
  RunLedger& operator=(RunLedger&&) = delete;

  // Finished with the same input.
  bool is_done(std::string_view stage, std::string_view input_hash) const;
  Status begin(std::string_view stage, std::string_view input_hash);
  // Requires begin of the same stage by this ledger.
  Status finish(std::string_view stage);
  // The attempt that was just finished had nothing to do: the record is again what it was before.
  Status found_done(std::string_view stage);
  // The largest of the stages.
  std::int64_t peak_rss_bytes() const;

  // In the order in which they were first begun.
  const std::vector<StageRecord>& stages() const { return stages_; }
  // Facts that differ from those of the process that last wrote here: "isa: avx2, was avx512". The
  // results may differ in bits.
  const std::vector<std::string>& changed_facts() const { return changed_facts_; }

 private:
  RunLedger(Env& env, const Clock& clock, std::string folder)
      : env_(&env), clock_(&clock), folder_(std::move(folder)) {}
  Status take_lock();
  Status read(const RunIdentity& identity);
  // No stage is done and no checkpoint is there.
  Result<bool> is_worthless() const;
  void count_attempt(StageRecord& record) const;
  Status write() const;
  StageRecord* find(std::string_view stage);

  Env* env_;
  const Clock* clock_;
  std::string folder_;
  std::unique_ptr<FileLock> lock_;
  std::string spec_hash_;
  std::string created_;
  std::map<std::string, std::string> facts_;
  std::vector<std::string> changed_facts_;
  std::vector<StageRecord> stages_;
  std::optional<StageRecord> before_;  // of the stage begun last
  double began_s_ = 0;
  std::string running_;
};

// "train.steps: 200, was 100" for every key whose value differs between two YAML texts, in the
// order of the keys, but for those in the sections to leave out. A text that is no YAML gives one
// line that says so.
std::vector<std::string> differing_keys(const std::string& now_yaml, const std::string& before_yaml,
                                        const std::vector<std::string>& leave_out = {});

}  // namespace boreal::monitor
