// The tasks that a line or a spec names, as files of items. Thread rule: the main thread.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "eval/item.h"

namespace boreal::app {

// Items of all tasks: names of OUT/eval/NAME.jsonl, or paths of item files; perplexity has none.
// `out` "" where no run is given, so that there are only paths. Blanks around a name are dropped.
// Usage: a task that is named twice (its items would count twice), or a name without a run.
Result<std::vector<eval::Item>> read_tasks(Env& env, const std::vector<std::string>& names,
                                           const std::string& out, std::int64_t max_items);

}  // namespace boreal::app
