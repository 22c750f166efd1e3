// Engine: token ids in, token ids out. Sequences are admitted as slots become free and decoded
// together (continuous batching, Yu et al., "Orca", 2022); prompts go through in pieces beside the
// sequences that are decoding. A sequence's logits are bit-equal whatever else is in the batch and
// however its prompt was cut, and with a prefix that is in the cache already. Knows nothing about
// text. Thread rule: one thread, the one that owns
// the pool.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/page_pool.h"
#include "infer/sampler.h"
#include "model/decoder.h"

namespace boreal::infer {

struct Request {
  std::vector<std::int32_t> prompt;  // at least one token
  std::int64_t max_tokens = 64;
  Sampling sampling;
  std::vector<std::int32_t> stop;  // generation ends after one of these; it is part of the result
};

struct Completion {
  std::vector<std::int32_t> tokens;
  std::vector<double> log_probabilities;  // of each token under the unmodified distribution
  bool stopped = false;                   // by a stop token, else by length
};

// What the model says at one position: log P(target) and the likeliest token.
struct Prediction {
  double log_probability = 0;
  std::int32_t greedy = 0;
};

// Predicts target[i] from input[0..i].
struct Sequence {
  std::vector<std::int32_t> input;   // at least one token
  std::vector<std::int32_t> target;  // as many
};

struct EngineLimits {
  std::int64_t sequences = 8;   // decoded together
  std::int64_t capacity = 256;  // tokens of one sequence, prompt and completion
  std::int64_t rows = 256;      // rows of one pass
  // Tokens in the cache of all sequences together, whole pages; 0: `sequences` of full length.
  // Fewer let a sequence wait until those before it have ended.
  std::int64_t cache_tokens = 0;
};

class Engine {
 public:
  // model and weights outlive the engine. Memory is planned here.
  Engine(const model::Decoder& model, nn::WeightSource& weights, const device::Context& ctx,
         const EngineLimits& limits);

  // What it takes, by runs on the meta device.
  static std::int64_t cache_bytes(const model::Decoder& model, const EngineLimits& limits);
  static std::int64_t arena_bytes(const model::Decoder& model, nn::WeightSource& weights,
                                  const device::Context& ctx, const EngineLimits& limits);

  // Called with (request, token) as tokens come; may be empty.
  using OnToken = std::function<void(std::size_t, std::int32_t)>;

  // Requires prompts within capacity; a completion ends at capacity.
  std::vector<Completion> generate(std::span<const Request> requests, const OnToken& on_token = {});

  // Many at once, packed behind each other in a pass. Requires sequences within limits.rows.
  std::vector<std::vector<Prediction>> predict(std::span<const Sequence> sequences);

  // Logits fp32 [n, vocab] of every position of one sequence, fed in pieces of `piece` tokens
  // through the cache (0: whole, no cache). For tests of bit-equality.
  std::vector<float> all_logits(std::span<const std::int32_t> tokens, std::int64_t piece);

  // Tokens of prompts so far whose keys were in the cache already.
  std::int64_t reused_tokens() const { return reused_tokens_; }

 private:
  struct Slot {
    std::size_t request = 0;
    std::int64_t fed = 0;  // tokens whose keys are cached
    std::vector<std::int32_t> tokens;
    Lease lease;
    bool busy = false;
  };
  void admit(std::span<const Request> requests, std::size_t& next);
  // The next rows of one sequence, at most so many.
  void feed(Slot& slot, std::int64_t most);
  void add_row(std::int32_t id, std::int64_t position);
  // The next token of each of these, whose logits lie in order.
  void answer(std::span<Slot* const> slots, std::span<const Request> requests, float* logits,
              std::vector<Completion>& done, const OnToken& on_token);
  // Runs the rows gathered so far; logits of `wanted` rows.
  float* run(std::span<const std::int32_t> wanted, bool cached);

  const model::Decoder& model_;
  nn::WeightSource& weights_;
  device::Context ctx_;
  EngineLimits limits_;
  tensor::Arena arena_;
  tensor::Block cache_memory_, feed_memory_, logits_memory_;
  std::vector<nn::LayerState> state_;
  nn::Rows rows_;
  std::vector<Slot> slots_;
  PagePool pool_;
  std::int64_t reused_tokens_ = 0;
};

}  // namespace boreal::infer
