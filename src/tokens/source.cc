#include "tokens/source.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace boreal::tokens {

Status check_options(const StreamOptions& options) {
  if (options.sequence < 1 || options.sequence > std::numeric_limits<std::int32_t>::max())
    return wrong_usage("a row of {} tokens is not possible", options.sequence);
  if (options.batch_sequences < 1)
    return wrong_usage("a batch of {} rows is not possible", options.batch_sequences);
  if (options.warm_steps < 0 ||
      options.warm_steps > std::numeric_limits<std::int64_t>::max() / options.batch_sequences)
    return wrong_usage("{} warm steps are not possible", options.warm_steps);
  if (!(options.warm_share >= 0 && options.warm_share <= 1))
    return wrong_usage("a warm share of {} is not between 0 and 1", options.warm_share);
  return Done{};
}

namespace {

// What the open shard says of itself must suit the run.
Status check_shard(const StreamSource& source, const StreamOptions& options,
                   const ShardInfo& info) {
  if (info.has_meta && !options.tokenizer_fingerprint.empty() &&
      info.tokenizer_fingerprint != options.tokenizer_fingerprint) {
    return refused(
        "source {}: {} was written with tokenizer {}, the run has {}; prepare it again with this "
        "tokenizer",
        source.name, info.prefix, info.tokenizer_fingerprint, options.tokenizer_fingerprint);
  }
  if (options.vocab > 0 && info.max_id >= options.vocab)
    return refused("source {}: {} holds id {}, the model's vocabulary ends below {}", source.name,
                   info.prefix, info.max_id, options.vocab);
  return Done{};
}

// For a shard that does not know its highest id.
Status scan_ids(const ShardReader& shard, std::int64_t vocab) {
  std::vector<std::int32_t> ids(std::size_t{1} << 16);
  for (std::int64_t at = 0; at < shard.info().tokens;) {
    const std::int64_t n = std::min<std::int64_t>(shard.info().tokens - at, std::int64_t{1} << 16);
    const auto part = std::span(ids).first(static_cast<std::size_t>(n));
    shard.read_ids(at, part);
    const auto wrong = std::ranges::find_if(part, [&](std::int32_t id) { return id >= vocab; });
    if (wrong != part.end())
      return refused("{}.bin: token {} is {}, the model's vocabulary ends below {}",
                     shard.info().prefix, at + (wrong - part.begin()), *wrong, vocab);
    at += n;
  }
  return Done{};
}

}  // namespace

Result<ShardReader> open_shard(Env& env, const StreamSource& source, const StreamOptions& options) {
  auto shard = ShardReader::open(env, source.prefix, {.meta_optional = source.meta_optional});
  if (!shard.ok()) return std::move(shard).error().within("source " + source.name);
  RETURN_IF_ERROR(check_shard(source, options, shard->info()));
  return shard;
}

Status verify_shard(const ShardReader& shard, const StreamSource& source,
                    const StreamOptions& options) {
  const auto check = [&]() -> Status {
    RETURN_IF_ERROR(shard.verify());
    if (options.vocab > 0 && !shard.info().has_meta) return scan_ids(shard, options.vocab);
    return Done{};
  };
  auto status = check();
  if (!status.ok()) return std::move(status).error().within("source " + source.name);
  return Done{};
}

}  // namespace boreal::tokens
