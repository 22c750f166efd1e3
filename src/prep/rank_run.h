// RankRun: what one rank of a prep does, from the inputs to the summary. Stages, each with its
// units shared out (prep/work_list.h):
//
//   words      a source's pieces, counted      only if a tokenizer is trained
//   tokenizer  one unit: OUT/tokenizer         out of all words
//   texts      a source's documents by hash    each rank finds the duplicates among all of them
//   shards     OUT/shards/<source>             and the source's part of the summary
//   eval       a table's items
//   summary    one unit: facts, descriptions, items by task, prep.json
//
// Tables are small and decide names and facts together, so every rank reads them all; prose is read
// by who makes something of it. Thread rule: one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "prep/inputs.h"
#include "prep/joined.h"
#include "prep/outputs.h"
#include "prep/prep.h"
#include "prep/shards.h"
#include "prep/units.h"
#include "prep/work_list.h"
#include "text/tokenizer.h"

namespace boreal::prep {

class RankRun {
 public:
  // `finished` gives the summary of a folder that is finished. All references outlive this.
  RankRun(Env& env, const spec::RunSpec& spec, const Inputs& inputs, Outputs& outputs,
          const OnProgress& on_progress, const PrepOptions& options,
          std::function<std::optional<PrepSummary>()> finished);

  Result<PrepSummary> all();

 private:
  void report(const std::string& stage, const std::string& source, std::size_t done,
              std::size_t total) const;
  // The units of `of` by their places in units_; is_done and make take such a place.
  Status each(const std::string& stage, const std::vector<std::size_t>& of,
              const std::function<bool(std::size_t)>& is_done,
              const std::function<Status(std::size_t)>& make);
  Status once(const std::string& stage, const std::string& file,
              const std::function<bool()>& is_done, const std::function<Status()>& make);
  std::string told_name(const std::string& stage, std::size_t i) const;
  bool is_told(const std::string& stage, std::size_t i) const;
  // What was told of a unit; what is damaged is made again.
  Result<std::string> told(const std::string& stage, std::size_t i,
                           Status (RankRun::*make)(std::size_t));

  Status read();
  Status load(std::size_t i);
  // With its documents as they are written, but for duplicates.
  Status prepare(std::size_t i);

  Status make_tokenizer();
  Status count_words(std::size_t i);
  Result<text::Tokenizer> train_tokenizer();
  Status write_tokenizer();

  Status tell_texts(std::size_t i);
  Status find_duplicates();
  Status make_shards(std::size_t i);
  bool shards_are_made(std::size_t i) const;
  Status write_shards(const Unit& unit, SourceSummary& source);
  Status tell_items(std::size_t i);

  Status write_summary();
  Status write_facts();
  Status write_items();
  Status list_files();

  Env& env_;
  const spec::RunSpec& spec_;
  const Inputs& inputs_;
  Outputs& outputs_;
  const OnProgress& on_progress_;
  const PrepOptions& options_;
  std::function<std::optional<PrepSummary>()> finished_;
  std::vector<Unit> units_;             // one a source, in the order of the spec
  std::vector<bool> loaded_;            // by unit: it was read
  std::vector<bool> prepared_;          // by unit
  std::vector<std::size_t> sources_;    // places of all units,
  std::vector<std::size_t> documents_;  // of those that hold documents,
  std::vector<std::size_t> tables_;     // of those that are tables
  Joined joined_;
  std::optional<text::Tokenizer> tokenizer_;  // if there are documents
  std::vector<std::vector<bool>> keep_;       // by unit and document: no other said it before
  PrepSummary summary_;
};

}  // namespace boreal::prep
