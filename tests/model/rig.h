// Rig: a decoder with weights and gradients on a context of the test's choice (Replica takes the
// best instruction set; tests go through all), and the twin's view of the same weights and batch.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "parallel/weight_store.h"
#include "tests/reference/decoder.h"
#include "tests/reference/values.h"

namespace boreal::model {

// Small, and awkward on purpose: odd vocabulary, widths that fill no vector.
DecoderConfig tiny_llama(DType dtype);
DecoderConfig tiny_gpt2(DType dtype);
// Every family, and "alibi" (a llama with slopes). tiny() is awkward too: grouped queries, windows
// shorter than documents, caps low enough to count, head sizes of their own (neox: FORGE's 86),
// scaled rotary frequencies.
std::vector<std::string> all_families();
DecoderConfig tiny(const std::string& family, DType dtype);

reference::DecoderShape twin_shape(const DecoderConfig& config);

// Documents of the given lengths one behind the other: ids, positions and targets drawn by name,
// every weight 1, scale 1 / rows.
reference::DecoderBatch draw_batch(const std::string& name,
                                   const std::vector<std::int64_t>& lengths, std::int64_t vocab);
// Rows [begin, end) of a batch; a document may not be cut.
reference::DecoderBatch part_of(const reference::DecoderBatch& batch, std::int64_t begin,
                                std::int64_t end);

// Attention spans of whole documents.
std::vector<kernels::AttentionSpan> spans_of(const std::vector<std::int64_t>& document);

class Rig {
 public:
  // Draws weights large enough that every nonlinearity counts; norms near one, biases not zero.
  Rig(const DecoderConfig& config, const device::Context& ctx,
      std::int64_t arena_bytes = std::int64_t{1} << 28);

  // Adds the gradients; returns the loss times weight and scale. Losses of the rows that count:
  // losses().
  double accumulate(const reference::DecoderBatch& batch,
                    const spec::RecomputeByBlock& recompute = {});
  double evaluate(const reference::DecoderBatch& batch);
  const std::vector<std::byte>& losses() const { return losses_; }

  void zero_gradients();
  reference::Parameters gradients();
  std::vector<std::byte> gradient_bytes();
  std::vector<std::byte> gradient_bytes(const std::string& name);

  // Weights as the model computes with them: matrices rounded to its dtype.
  reference::Parameters weights() const;

  // Logits of every row of documents computed whole, without a cache.
  reference::Values logits(const reference::DecoderBatch& batch);
  // Logits of every row, keys and values going to and coming from the state.
  reference::Values logits(const std::vector<std::int64_t>& id,
                           const std::vector<std::int64_t>& position,
                           const std::vector<std::int64_t>& cache_row,
                           const std::vector<kernels::AttentionSpan>& spans,
                           std::vector<nn::LayerState>* state);

  const Decoder& model() const { return model_; }
  parallel::ShardedState& state() { return state_; }
  tensor::Arena& arena() { return arena_; }

 private:
  double run(const reference::DecoderBatch& batch, nn::GradientSink* gradients,
             const spec::RecomputeByBlock& recompute);

  device::Context ctx_;
  Decoder model_;
  parallel::ShardedState state_;
  parallel::WeightStore weights_;
  tensor::Arena arena_;
  std::vector<std::byte> losses_;
};

}  // namespace boreal::model
