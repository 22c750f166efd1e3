#include "tokens/token_stream.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/philox.h"
#include "tokens/row.h"
#include "tokens/sample_map.h"
#include "tokens/shard.h"
#include "tokens/source.h"

namespace boreal::tokens {

namespace {

struct Source {
  std::string name;
  std::int64_t synthetic_vocab = 0;
  std::optional<ShardReader> shard;  // none: synthetic
  std::optional<Rng> rng;            // of a synthetic source
  SampleMap map;
  SampleMap warm_map;
  std::int64_t warm_samples = 0;  // draws of this source that fall into the warm stretch
};

// Tokens of the first documents that are at least `share` of all and hold at least a row.
std::int64_t warm_tokens(const ShardReader& shard, double share, std::int64_t sequence) {
  const ShardInfo& info = shard.info();
  const auto wanted =
      static_cast<std::int64_t>(std::ceil(share * static_cast<double>(info.documents)));
  std::int64_t documents = std::clamp<std::int64_t>(wanted, 1, info.documents);
  if (shard.document_begin(documents) < sequence) documents = shard.document_at(sequence - 1) + 1;
  return shard.document_begin(documents);
}

Status check_sources(const std::vector<StreamSource>& sources, const StreamOptions& options) {
  if (sources.empty()) return wrong_usage("there is no source to train on");
  std::set<std::string> names;
  for (const StreamSource& source : sources) {
    if (!names.insert(source.name).second)
      return wrong_usage(
          "two sources are named {}; the name decides the order, so they would be read in step",
          source.name);
    if (!source.prefix.empty()) continue;
    const std::int64_t limit =
        options.vocab > 0 ? options.vocab : std::numeric_limits<std::int32_t>::max();
    if (source.synthetic_vocab < 1 || source.synthetic_vocab > limit)
      return wrong_usage("source {}: {} synthetic ids are not between 1 and {}", source.name,
                         source.synthetic_vocab, limit);
  }
  return Done{};
}

Result<Source> open_source(Env& env, const StreamSource& from, const StreamOptions& options) {
  Source source;
  source.name = from.name;
  source.synthetic_vocab = from.synthetic_vocab;
  if (from.prefix.empty()) {
    source.rng.emplace(options.seed, "synthetic tokens", from.name);
    return source;
  }
  ASSIGN_OR_RETURN(source.shard, open_shard(env, from, options));
  const std::int64_t tokens = source.shard->info().tokens;
  if (tokens < options.sequence)
    return refused(
        "source {}: {} holds {} tokens, fewer than one row of {}; shorten data.sequence or add "
        "text",
        from.name, from.prefix, tokens, options.sequence);
  const std::uint64_t key = mix(mix(0, options.seed), from.name);
  source.map = SampleMap(key, tokens, options.sequence);
  if (options.warm_share > 0 && options.warm_share < 1) {
    const std::int64_t part = warm_tokens(*source.shard, options.warm_share, options.sequence);
    source.warm_map = SampleMap(mix(key, "warm"), part, options.sequence);
  }
  return source;
}

// Flipped bytes are found before training where that costs little.
Status verify_small(const std::vector<StreamSource>& from, const std::vector<Source>& sources,
                    const StreamOptions& options) {
  std::uint64_t bytes = 0;
  for (const Source& source : sources)
    if (source.shard) bytes += source.shard->info().bytes;
  if (options.verify_bytes_max < 0 || bytes > static_cast<std::uint64_t>(options.verify_bytes_max))
    return Done{};
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (sources[i].shard) RETURN_IF_ERROR(verify_shard(*sources[i].shard, from[i], options));
  return Done{};
}

}  // namespace

struct TokenStream::Parts {
  StreamOptions options;
  Blend blend;
  std::vector<Source> sources;

  void fill(std::int64_t n, RowView row) const;
};

Result<TokenStream> TokenStream::open(Env& env, const std::vector<StreamSource>& sources,
                                      StreamOptions options) {
  RETURN_IF_ERROR(check_options(options));
  RETURN_IF_ERROR(check_sources(sources, options));
  std::vector<double> weights;
  for (const StreamSource& source : sources) weights.push_back(source.weight);
  ASSIGN_OR_RETURN(Blend blend, Blend::create(weights));
  std::vector<Source> opened;
  for (const StreamSource& source : sources) {
    ASSIGN_OR_RETURN(opened.emplace_back(), open_source(env, source, options));
  }
  RETURN_IF_ERROR(verify_small(sources, opened, options));
  const bool warm = options.warm_share > 0 && options.warm_share < 1;
  const std::int64_t warm_end = warm ? options.warm_steps * options.batch_sequences : 0;
  for (std::size_t i = 0; i < opened.size(); ++i)
    opened[i].warm_samples = blend.count_before(i, warm_end);
  return TokenStream(
      std::make_unique<Parts>(Parts{std::move(options), std::move(blend), std::move(opened)}));
}

TokenStream::TokenStream(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TokenStream::TokenStream(TokenStream&&) noexcept = default;
TokenStream& TokenStream::operator=(TokenStream&&) noexcept = default;
TokenStream::~TokenStream() = default;

void TokenStream::Parts::fill(std::int64_t n, RowView row) const {
  const Draw drawn = blend.draw(n);
  const Source& source = sources[drawn.source];
  if (!source.shard) {
    fill_synthetic(*source.rng, drawn.sample * options.sequence, source.synthetic_vocab, row);
    return;
  }
  const bool warm = drawn.sample < source.warm_samples;
  const SampleMap& map = warm ? source.warm_map : source.map;
  const std::int64_t sample = warm ? drawn.sample : drawn.sample - source.warm_samples;
  const Window window{
      .begin = map.window_begin(sample), .count = options.sequence, .circle = map.tokens()};
  fill_row(*source.shard, window, {.document_mask = options.document_mask, .vocab = options.vocab},
           row);
}

Batch TokenStream::batch(std::int64_t step, DataCoordinate where) const {
  Batch fresh;
  batch(step, where, fresh);
  return fresh;
}

void TokenStream::batch(std::int64_t step, DataCoordinate where, Batch& into) const {
  const Parts& p = *parts_;
  CHECK_GE(step, 0);
  CHECK(where.parts >= 1 && where.index >= 0 && where.index < where.parts, "part {} of {}",
        where.index, where.parts);
  CHECK_EQ(p.options.batch_sequences % where.parts, 0);
  const std::int64_t rows = p.options.batch_sequences / where.parts;
  const std::int64_t first = step * p.options.batch_sequences + where.index * rows;
  make_batch(rows, p.options.sequence, into);
  for (std::int64_t row = 0; row < rows; ++row) p.fill(first + row, row_of(into, row));
}

TokenStream::Draw TokenStream::draw(std::int64_t n) const {
  return parts_->blend.draw(n);
}
const Blend& TokenStream::blend() const {
  return parts_->blend;
}

std::int64_t TokenStream::total_tokens() const {
  std::int64_t total = 0;
  for (const Source& source : parts_->sources)
    if (source.shard) total += source.shard->info().tokens;
  return total;
}

std::int64_t TokenStream::epoch_samples(std::size_t source) const {
  CHECK_LT(source, parts_->sources.size());
  const Source& s = parts_->sources[source];
  return s.shard ? s.map.epoch_samples() : 0;
}

Result<std::vector<Batch>> validation_batches(Env& env, const StreamSource& source,
                                              const StreamOptions& options, std::int64_t rows_max) {
  CHECK_GE(rows_max, 1);
  RETURN_IF_ERROR(check_options(options));
  if (source.prefix.empty())
    return wrong_usage("source {} is synthetic; there is nothing to validate on", source.name);
  ASSIGN_OR_RETURN(const ShardReader shard, open_shard(env, source, options));
  const ShardInfo& info = shard.info();
  if (info.tokens < 2)
    return refused("source {}: {} holds {} tokens; a validation loss needs two", source.name,
                   source.prefix, info.tokens);
  if (options.verify_bytes_max >= 0 &&
      info.bytes <= static_cast<std::uint64_t>(options.verify_bytes_max))
    RETURN_IF_ERROR(verify_shard(shard, source, options));
  const std::int64_t sequence = options.sequence;
  const std::int64_t inputs = info.tokens - 1;  // the last token is only a target
  const std::int64_t rows = (inputs + sequence - 1) / sequence;
  std::vector<Batch> batches;
  for (std::int64_t first = 0; first < rows; first += rows_max) {
    Batch& batch = batches.emplace_back(make_batch(std::min(rows_max, rows - first), sequence));
    for (std::int64_t row = 0; row < batch.rows; ++row) {
      const std::int64_t begin = (first + row) * sequence;
      const Window window{
          .begin = begin, .count = std::min(sequence, inputs - begin), .circle = info.tokens};
      fill_row(shard, window, {.document_mask = options.document_mask, .vocab = options.vocab},
               row_of(batch, row));
    }
  }
  return batches;
}

}  // namespace boreal::tokens
