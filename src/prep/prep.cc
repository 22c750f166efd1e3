#include "prep/prep.h"

#include <optional>

#include "prep/inputs.h"
#include "prep/outputs.h"
#include "prep/rank_run.h"

namespace boreal::prep {

namespace {

// The stored summary if the folder is finished under this stamp with all its files.
std::optional<PrepSummary> finished(Env& env, const std::string& out_dir,
                                    const std::string& stamp) {
  auto stored = read_summary(env, out_dir);
  if (!stored.ok() || stored->stamp != stamp) return std::nullopt;
  for (const auto& [file, bytes] : stored->files) {
    const auto size = env.file_size(join_path(out_dir, file));
    if (!size.ok() || *size != bytes) return std::nullopt;
  }
  stored->skipped = true;
  return std::move(stored).value();
}

}  // namespace

Result<std::vector<std::string>> changed_inputs(Env& env, const spec::RunSpec& spec,
                                                const std::string& out_dir) {
  std::vector<std::string> changes;
  const auto stored = read_summary(env, out_dir);
  if (!stored.ok()) return changes;
  ASSIGN_OR_RETURN(const Inputs inputs, resolve_inputs(env, spec));
  if (inputs.stamp == stored->stamp) return changes;
  for (const auto& [path, hash] : inputs.hashes) {
    const auto before = stored->inputs.find(path);
    if (before == stored->inputs.end())
      changes.push_back(path + " was not read");
    else if (before->second != hash)
      changes.push_back(fmt::format("{} had the hash {}, now {}", path, before->second, hash));
  }
  if (changes.empty()) changes.push_back("the inputs are others than the prepared ones");
  return changes;
}

Result<PrepSummary> run(Env& env, const spec::RunSpec& spec, const std::string& out_dir,
                        const OnProgress& on_progress, const PrepOptions& options) {
  CHECK(options.rank >= 0 && options.rank < options.ranks, "rank {} of {}", options.rank,
        options.ranks);
  if (spec.cards.heldout_every == 1 || spec.cards.heldout_every < 0) {
    return wrong_usage(
        "cards.heldout_every is {}, expected 0 (hold nothing out) or at least 2; 1 would hold a "
        "family out of everything",
        spec.cards.heldout_every);
  }
  ASSIGN_OR_RETURN(const Inputs inputs, resolve_inputs(env, spec));
  ASSIGN_OR_RETURN(Outputs outputs, Outputs::open(env, out_dir, inputs.stamp, options));
  const auto is_finished = [&] { return finished(env, out_dir, inputs.stamp); };
  auto stored = is_finished();
  Result<PrepSummary> summary = failed("not run");
  if (stored) {
    summary = std::move(*stored);
  } else {
    RankRun rank(env, spec, inputs, outputs, on_progress, options, is_finished);
    summary = rank.all();
    // Others may have finished, and taken away what this rank was looking for.
    if (!summary.ok() && options.ranks > 1 && (stored = is_finished())) {
      stored->skipped = false;
      summary = std::move(*stored);
    }
  }
  if (summary.ok()) outputs.tidy();
  return summary;
}

}  // namespace boreal::prep
