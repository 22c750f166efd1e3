#include "infer/engine.h"

#include <algorithm>

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

// High-water mark of the largest pass, by a run on the meta device.
std::int64_t arena_bytes(const model::Decoder& model, nn::WeightSource& weights,
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

}  // namespace

Engine::Engine(const model::Decoder& model, nn::WeightSource& weights, const device::Context& ctx,
               const EngineLimits& limits)
    : model_(model),
      weights_(weights),
      ctx_(ctx),
      limits_(limits),
      arena_(arena_bytes(model, weights, ctx, limits)) {
  const model::DecoderConfig& c = model.config();
  CHECK_LE(limits.capacity, c.context);
  CHECK_GE(limits.rows, limits.sequences);
  const Shape shape{limits.sequences * limits.capacity, model.local_kv_heads() * c.head_dim()};
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
    CHECK(!request.prompt.empty());
    CHECK_LE(static_cast<std::int64_t>(request.prompt.size()), limits_.capacity);
    slot = {.request = next, .fed = 0, .tokens = request.prompt, .busy = true};
    ++next;
  }
}

std::vector<Completion> Engine::generate(std::span<const Request> requests,
                                         const OnToken& on_token) {
  std::vector<Completion> done(requests.size());
  std::size_t next = 0;
  const auto vocab = static_cast<std::size_t>(model_.config().vocab);
  while (true) {
    admit(requests, next);
    std::vector<std::int32_t> wanted;
    std::vector<Slot*> answers;
    std::size_t waiting = 0;
    for (const Slot& slot : slots_) waiting += slot.busy ? 1 : 0;
    if (waiting == 0) return done;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      Slot& slot = slots_[s];
      if (!slot.busy) continue;
      --waiting;
      // Leave a row for each sequence still to come: none waits for another's long prompt.
      const std::int64_t room = limits_.rows - rows_.count - static_cast<std::int64_t>(waiting);
      const std::int64_t total = static_cast<std::int64_t>(slot.tokens.size());
      const std::int64_t count = std::min(room, total - slot.fed);
      const std::int64_t base = static_cast<std::int64_t>(s) * limits_.capacity;
      rows_.spans.push_back({.query_row = rows_.count,
                             .queries = count,
                             .query_begin = slot.fed,
                             .kv_row = base,
                             .keys = slot.fed + count});
      for (std::int64_t i = 0; i < count; ++i) {
        static_cast<std::int32_t*>(rows_.cache_row.data)[rows_.count] =
            static_cast<std::int32_t>(base + slot.fed + i);
        add_row(slot.tokens[static_cast<std::size_t>(slot.fed + i)], slot.fed + i);
      }
      slot.fed += count;
      if (slot.fed < total) continue;
      wanted.push_back(static_cast<std::int32_t>(rows_.count - 1));
      answers.push_back(&slot);
    }
    const float* logits = run(wanted, true);
    for (std::size_t a = 0; a < answers.size(); ++a) {
      Slot& slot = *answers[a];
      const Request& request = requests[slot.request];
      Completion& completion = done[slot.request];
      const std::span<const float> row(logits + a * vocab, vocab);
      const Rng rng(request.sampling.seed, "sample", {}, slot.request);
      const std::int32_t token =
          request.max_tokens > 0
              ? sample(row, request.sampling, rng.uniform(completion.tokens.size()))
              : 0;
      if (request.max_tokens > 0) {
        completion.tokens.push_back(token);
        completion.log_probabilities.push_back(log_probability(row, token));
        slot.tokens.push_back(token);
        if (on_token) on_token(slot.request, token);
        completion.stopped = std::ranges::find(request.stop, token) != request.stop.end();
      }
      const bool full = static_cast<std::int64_t>(completion.tokens.size()) >= request.max_tokens ||
                        static_cast<std::int64_t>(slot.tokens.size()) > limits_.capacity;
      if (completion.stopped || full) slot.busy = false;
    }
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
  for (std::int64_t begin = 0; begin < total; begin += step) {
    const std::int64_t count = std::min(step, total - begin);
    rows_.spans.push_back({.query_row = 0,
                           .queries = count,
                           .query_begin = begin,
                           .kv_row = 0,
                           .keys = begin + count});
    std::vector<std::int32_t> wanted;
    for (std::int64_t i = 0; i < count; ++i) {
      wanted.push_back(static_cast<std::int32_t>(i));
      static_cast<std::int32_t*>(rows_.cache_row.data)[i] = static_cast<std::int32_t>(begin + i);
      add_row(tokens[static_cast<std::size_t>(begin + i)], begin + i);
    }
    const float* logits = run(wanted, piece != 0);
    all.insert(all.end(), logits, logits + count * vocab);
  }
  return all;
}

}  // namespace boreal::infer
