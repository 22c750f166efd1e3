#include "infer/engine.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/philox.h"
#include "kernels/ops.h"

namespace boreal::infer {

using tensor::Arena;
using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

namespace {

Tensor ids(void* memory, std::int64_t count) {
  return {memory, DType::i32, Shape{count}};
}

std::int64_t cache_pages(const EngineLimits& limits) {
  return limits.cache_tokens > 0 ? PagePool::pages_of(limits.cache_tokens)
                                 : limits.sequences * PagePool::pages_of(limits.capacity);
}

}  // namespace

// High-water mark of the largest pass, by a run on the meta device.
std::int64_t Engine::arena_bytes(const model::Decoder& model, nn::WeightSource& weights,
                                 const device::Context& ctx, const EngineLimits& limits) {
  Arena arena;
  const device::Context meta = device::meta_context(ctx.threads);
  nn::Rows rows{.count = limits.rows,
                .id = ids(nullptr, limits.rows),
                .position = ids(nullptr, limits.rows),
                .spans = {},
                .keys_max = std::max(limits.capacity, limits.rows),
                .cache_row = {}};
  model.generate(meta, arena, weights, rows, nullptr, ids(nullptr, limits.rows),
                 Tensor(nullptr, DType::f32, Shape{limits.rows, model.config().vocab}));
  return arena.peak_bytes();
}

std::int64_t Engine::cache_bytes(const model::Decoder& model, const EngineLimits& limits) {
  const model::DecoderConfig& c = model.config();
  return cache_pages(limits) * kernels::kKeyTile * model.local_kv_heads() * c.head_dim() *
         static_cast<std::int64_t>(bytes_of(c.dtype)) * 2 * c.layers;
}

Engine::Engine(const model::Decoder& model, nn::WeightSource& weights, const device::Context& ctx,
               const EngineLimits& limits)
    : model_(model),
      weights_(weights),
      ctx_(ctx),
      limits_(limits),
      arena_(arena_bytes(model, weights, ctx, limits)),
      pool_(cache_pages(limits)) {
  const model::DecoderConfig& c = model.config();
  CHECK_LE(limits.capacity, c.context);
  CHECK_GE(limits.rows, limits.sequences);
  CHECK_GE(cache_pages(limits), PagePool::pages_of(limits.capacity));
  const Shape shape{cache_pages(limits) * kernels::kKeyTile, model.local_kv_heads() * c.head_dim()};
  const std::int64_t each = shape.elements() * static_cast<std::int64_t>(bytes_of(c.dtype));
  cache_memory_ = Block(each * 2 * c.layers);
  for (std::int64_t i = 0; i < c.layers; ++i)
    state_.push_back({Tensor(cache_memory_.data() + 2 * i * each, c.dtype, shape),
                      Tensor(cache_memory_.data() + (2 * i + 1) * each, c.dtype, shape)});
  feed_memory_ = Block(limits.rows * 4 * 4);
  rows_.id = ids(feed_memory_.data(), limits.rows);
  rows_.position = ids(feed_memory_.data() + limits.rows * 4, limits.rows);
  rows_.cache_row = ids(feed_memory_.data() + limits.rows * 8, limits.rows);
  rows_.keys_max = std::max(limits.capacity, limits.rows);
  logits_memory_ = Block(limits.rows * c.vocab * 4);
  slots_.resize(static_cast<std::size_t>(limits.sequences));
}

void Engine::add_row(std::int32_t id, std::int64_t position) {
  CHECK_LT(rows_.count, limits_.rows);
  CHECK(id >= 0 && id < model_.config().vocab, "token {} of {}", id, model_.config().vocab);
  static_cast<std::int32_t*>(rows_.id.data)[rows_.count] = id;
  static_cast<std::int32_t*>(rows_.position.data)[rows_.count] =
      static_cast<std::int32_t>(position);
  ++rows_.count;
}

float* Engine::run(std::span<const std::int32_t> wanted, bool cached) {
  nn::Rows rows = rows_;
  const auto cut = [&](Tensor& tensor) { tensor = ids(tensor.data, rows.count); };
  cut(rows.id);
  cut(rows.position);
  cut(rows.cache_row);
  const auto n = static_cast<std::int64_t>(wanted.size());
  void* const row_memory = feed_memory_.data() + limits_.rows * 12;
  // May be none: a pass that only feeds prompts.
  std::ranges::copy(wanted, static_cast<std::int32_t*>(row_memory));
  const Tensor logits(logits_memory_.data(), DType::f32, Shape{n, model_.config().vocab});
  model_.generate(ctx_, arena_, weights_, rows, cached ? &state_ : nullptr, ids(row_memory, n),
                  logits);
  rows_.count = 0;
  rows_.spans.clear();
  return static_cast<float*>(logits.data);
}

void Engine::admit(std::span<const Request> requests, std::size_t& next) {
  for (Slot& slot : slots_) {
    if (slot.busy || next == requests.size()) continue;
    const Request& request = requests[next];
    const std::int64_t prompt = std::ssize(request.prompt);
    CHECK_GE(prompt, 1);
    CHECK_LE(prompt, limits_.capacity);
    // The last token's keys are never needed.
    const std::int64_t most = prompt + std::max<std::int64_t>(request.max_tokens - 1, 0);
    auto lease = pool_.take(request.prompt, std::min(most, limits_.capacity));
    if (!lease) return;  // in their order: none waits for a later one
    reused_tokens_ += lease->reused;
    slot = {.request = next,
            .fed = lease->reused,
            .tokens = request.prompt,
            .lease = *std::move(lease),
            .busy = true};
    ++next;
  }
}

void Engine::feed(Slot& slot, std::int64_t most) {
  const std::int64_t count = std::min(most, std::ssize(slot.tokens) - slot.fed);
  rows_.spans.push_back({.query_row = rows_.count,
                         .queries = count,
                         .query_begin = slot.fed,
                         .keys = slot.fed + count,
                         .pages = slot.lease.pages.data()});
  for (std::int64_t i = slot.fed; i < slot.fed + count; ++i) {
    static_cast<std::int32_t*>(rows_.cache_row.data)[rows_.count] =
        static_cast<std::int32_t>(slot.lease.row(i));
    add_row(slot.tokens[static_cast<std::size_t>(i)], i);
  }
  slot.fed += count;
}

void Engine::answer(std::span<Slot* const> slots, std::span<const Request> requests, float* logits,
                    std::vector<Completion>& done, const OnToken& on_token) {
  const auto vocab = static_cast<std::size_t>(model_.config().vocab);
  const auto n = static_cast<std::int64_t>(slots.size());
  std::vector<std::int32_t> tokens(slots.size());
  ctx_.pool->split(n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto a = static_cast<std::size_t>(begin); a < static_cast<std::size_t>(end); ++a) {
      const std::size_t number = slots[a]->request;
      const Rng rng(requests[number].sampling.seed, "sample", {}, number);
      tokens[a] = sample({logits + a * vocab, vocab}, requests[number].sampling,
                         rng.uniform(done[number].tokens.size()));
    }
  });
  std::vector<float> sums(3 * slots.size());
  const auto part = [&](std::int64_t i) {
    return Tensor(sums.data() + i * n, DType::f32, Shape{n});
  };
  if (n > 0)
    kernels::softmax_sums(ctx_, Tensor(logits, DType::f32, Shape{n, model_.config().vocab}),
                          ids(tokens.data(), n), 0, part(0), part(1), part(2));
  for (std::size_t a = 0; a < slots.size(); ++a) {
    Slot& slot = *slots[a];
    const Request& request = requests[slot.request];
    Completion& completion = done[slot.request];
    if (request.max_tokens > 0) {
      completion.tokens.push_back(tokens[a]);
      completion.log_probabilities.push_back(double{sums[2 * slots.size() + a]} - sums[a] -
                                             std::log(double{sums[slots.size() + a]}));
      slot.tokens.push_back(tokens[a]);
      if (on_token) on_token(slot.request, tokens[a]);
      completion.stopped = std::ranges::find(request.stop, tokens[a]) != request.stop.end();
    }
    const bool full = std::ssize(completion.tokens) >= request.max_tokens ||
                      std::ssize(slot.tokens) > limits_.capacity;
    if (!completion.stopped && !full) continue;
    pool_.give_back(slot.lease);
    slot.busy = false;
  }
}

std::vector<Completion> Engine::generate(std::span<const Request> requests,
                                         const OnToken& on_token) {
  std::vector<Completion> done(requests.size());
  std::size_t next = 0;
  while (true) {
    admit(requests, next);
    std::int64_t waiting = std::ranges::count(slots_, true, &Slot::busy);
    if (waiting == 0) return done;
    std::vector<std::int32_t> wanted;
    std::vector<Slot*> answers;
    for (Slot& slot : slots_) {
      if (!slot.busy) continue;
      // Leave a row for each sequence still to come: none waits for another's long prompt.
      feed(slot, limits_.rows - rows_.count - --waiting);
      if (slot.fed < std::ssize(slot.tokens)) continue;
      wanted.push_back(static_cast<std::int32_t>(rows_.count - 1));
      answers.push_back(&slot);
    }
    float* const logits = run(wanted, true);
    for (const Slot& slot : slots_)
      if (slot.busy && slot.tokens.size() == requests[slot.request].prompt.size())
        pool_.filled(slot.lease, slot.tokens, slot.fed);
    answer(answers, requests, logits, done, on_token);
  }
}

std::vector<std::vector<Prediction>> Engine::predict(std::span<const Sequence> sequences) {
  std::vector<std::vector<Prediction>> all(sequences.size());
  const auto vocab = static_cast<std::size_t>(model_.config().vocab);
  for (std::size_t first = 0; first < sequences.size();) {
    std::vector<std::int32_t> wanted;
    std::vector<std::int32_t> targets;
    std::size_t last = first;
    for (; last < sequences.size(); ++last) {
      const Sequence& sequence = sequences[last];
      const auto length = static_cast<std::int64_t>(sequence.input.size());
      CHECK(length > 0 && sequence.target.size() == sequence.input.size());
      CHECK_LE(length, limits_.rows);
      if (rows_.count + length > limits_.rows) break;
      rows_.spans.push_back({.query_row = rows_.count,
                             .queries = length,
                             .query_begin = 0,
                             .kv_row = rows_.count,
                             .keys = length});
      for (std::int64_t i = 0; i < length; ++i) {
        wanted.push_back(static_cast<std::int32_t>(rows_.count));
        targets.push_back(sequence.target[static_cast<std::size_t>(i)]);
        add_row(sequence.input[static_cast<std::size_t>(i)], i);
      }
    }
    float* logits = run(wanted, false);
    const auto n = static_cast<std::int64_t>(wanted.size());
    std::vector<float> loss(wanted.size());
    std::vector<float> lse(wanted.size());
    std::vector<float> seed(wanted.size(), 1.0F);
    kernels::cross_entropy(ctx_, Tensor(logits, DType::f32, Shape{n, model_.config().vocab}),
                           ids(targets.data(), n), Tensor(seed.data(), DType::f32, Shape{n}),
                           Tensor(loss.data(), DType::f32, Shape{n}),
                           Tensor(lse.data(), DType::f32, Shape{n}), nullptr);
    std::size_t row = 0;
    for (; first < last; ++first)
      for (std::size_t i = 0; i < sequences[first].input.size(); ++i, ++row)
        all[first].push_back({.log_probability = -static_cast<double>(loss[row]),
                              .greedy = greedy({logits + row * vocab, vocab})});
  }
  return all;
}

std::vector<float> Engine::all_logits(std::span<const std::int32_t> tokens, std::int64_t piece) {
  const auto total = static_cast<std::int64_t>(tokens.size());
  const std::int64_t step = piece == 0 ? total : piece;
  const auto vocab = model_.config().vocab;
  std::vector<float> all;
  std::optional<Lease> lease;
  if (piece != 0) lease = pool_.take({}, total);
  CHECK(piece == 0 || lease.has_value(), "{} tokens", total);
  for (std::int64_t begin = 0; begin < total; begin += step) {
    const std::int64_t count = std::min(step, total - begin);
    rows_.spans.push_back({.query_row = 0,
                           .queries = count,
                           .query_begin = begin,
                           .keys = begin + count,
                           .pages = lease ? lease->pages.data() : nullptr});
    std::vector<std::int32_t> wanted;
    for (std::int64_t i = 0; i < count; ++i) {
      wanted.push_back(static_cast<std::int32_t>(i));
      static_cast<std::int32_t*>(rows_.cache_row.data)[i] =
          static_cast<std::int32_t>(lease ? lease->row(begin + i) : 0);
      add_row(tokens[static_cast<std::size_t>(begin + i)], begin + i);
    }
    const float* logits = run(wanted, piece != 0);
    all.insert(all.end(), logits, logits + count * vocab);
  }
  if (lease) pool_.give_back(*lease);
  return all;
}

}  // namespace boreal::infer
