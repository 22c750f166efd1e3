// prep: documents and tables -> cards, a tokenizer, token shards and evaluation items in one output
// folder.
//
//   OUT/tokenizer/tokenizer.json: trained, or a copy of the one that was named
//   OUT/shards/<source>/train.*, valid.*: token shards (tokens/shard.h), no valid.* if nothing
//     validates
//   OUT/eval/<task>.jsonl: items (prep/eval_items.h)
//   OUT/facts.csv: the named set of facts, each train or validation
//   OUT/tables/<source>.yaml: descriptions drafted for tables that came without one
//   OUT/prep.json: PrepSummary; written last, so it stands for a whole prep
//   OUT/prep/: locks, the stamp that was begun, and what ranks tell one another (prep/outputs.h)
//
// All of it is a function of the input files, the spec's data, tokenizer, cards, seed, and the
// format version; not of the number of ranks. A run over a finished folder of equal stamp gives the
// stored summary; over a folder that a killed run left, whatever its ranks, it does what is
// missing; over another stamp's folder it begins anew.
//
// Ranks share a folder and send no messages: each makes the units that are its own by hash, then
// those that nobody has in hand (prep/work_list.h). Any of them, started alone, makes everything.
// Thread rule: a rank a thread; a lone prep, and each rank, once a folder at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/env.h"
#include "base/result.h"
#include "corpus/drop_log.h"
#include "spec/run_spec.h"

namespace boreal::prep {

struct SourceSummary {
  std::string name;
  std::string kind;  // table, text, jsonl, shards, synthetic
  std::string file;
  std::string table;  // name of the table
  std::string bundle;
  std::string licence;
  std::int64_t read = 0;     // rows, JSON lines, or texts
  std::int64_t records = 0;  // of a table
  std::int64_t facts = 0;    // of a table, all
  std::int64_t facts_trained = 0;
  std::int64_t facts_validation = 0;
  std::int64_t documents_train = 0;
  std::int64_t documents_valid = 0;
  std::int64_t tokens_train = 0;  // end tokens included
  std::int64_t tokens_valid = 0;
  std::int64_t loss_tokens_train = 0;  // those that count in the loss
  std::string train_prefix;            // relative to OUT, "" = none
  std::string valid_prefix;
  std::map<std::string, corpus::Dropped> dropped;  // by reason

  bool operator==(const SourceSummary&) const = default;
};

struct PrepSummary {
  std::string stamp;
  std::map<std::string, std::string> inputs;  // XXH3-128 of each file that was read, by path
  std::int64_t tables = 0;
  std::int64_t records = 0;
  std::int64_t facts = 0;
  std::int64_t facts_trained = 0;
  std::int64_t facts_validation = 0;
  std::int64_t documents = 0;  // train and validation
  std::int64_t tokens = 0;     // train
  std::int64_t tokens_valid = 0;
  std::int64_t vocab = 0;
  std::string tokenizer_fingerprint;  // "" = no source needed one
  // Names and aliases of the tables, and those whose ids change with the place where they stand.
  std::int64_t names = 0;
  std::int64_t names_unstable = 0;
  std::map<std::string, std::int64_t> eval_items;  // by task
  std::vector<SourceSummary> sources;              // in the order of the spec
  std::map<std::string, std::uint64_t>
      files;             // bytes of each file written, by path relative to OUT
  bool skipped = false;  // the folder was finished before; not stored
};

struct Progress {
  std::string stage;   // read, tokenizer, shards, eval
  std::string source;  // "" = all
  std::int64_t done = 0;
  std::int64_t total = 0;
};
using OnProgress = std::function<void(const Progress&)>;

struct PrepOptions {
  std::int64_t rank = 0;  // 0 <= rank < ranks
  std::int64_t ranks = 1;
  // How long nothing may come of what other ranks have in hand. Above the longest time that one
  // source takes: a rank that died has nothing in hand, so this ends only what hangs.
  double wait_s = 6 * 3600;
  const Clock* clock = &Clock::real();
};

// Relative paths of sources and of the tokenizer are looked for under data.root, then from the
// working folder; cards.families the other way round. Every rank returns the same summary (but for
// skipped), or the same error of the spec or the inputs. Kinds: usage for the spec, refused for an
// input, failed for the disk or a folder in use, try_again after wait_s.
Result<PrepSummary> run(Env& env, const spec::RunSpec& spec, const std::string& out_dir,
                        const OnProgress& on_progress = {}, const PrepOptions& options = {});

// What keeps the spec from using what was prepared in out_dir: one line for each input file whose
// content is not what prep read there. None if nothing was prepared or all is the same.
Result<std::vector<std::string>> changed_inputs(Env& env, const spec::RunSpec& spec,
                                                const std::string& out_dir);

// The summary of a finished folder; refused if prep did not finish there.
Result<PrepSummary> read_summary(Env& env, const std::string& out_dir);

// One JSON object, ending in a newline.
std::string to_json(const PrepSummary& summary);

}  // namespace boreal::prep
