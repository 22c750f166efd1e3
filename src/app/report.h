// report.html of a recipe: what went in, how training went, how well the model recalls, what it
// says.
#pragma once

#include <string>
#include <vector>

#include "app/stages.h"

namespace boreal::app {

struct Story {
  prep::PrepSummary prep;
  EvalOutcome eval;
  std::vector<Completed> samples;
  std::string generate_command;  // for the reader's own prompt
  std::int64_t peak_rss_bytes = 0;
};

// Without those held out for validation, as PrepSummary::tokens.
std::int64_t training_documents(const prep::PrepSummary& prep);

// Writes OUT/report.html and returns its path.
Result<std::string> write_report(const Run& run, const Story& story);

}  // namespace boreal::app
