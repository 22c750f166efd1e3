// Decoder: embedding, a stack of blocks, head. A family (llama, gpt2, ...) is a DecoderConfig and a
// name map: one small file each. A model holds no weights: it describes parameters and asks a
// WeightSource for their memory while it runs. Thread rule: const calls from the thread that owns
// the pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/group.h"
#include "nn/block.h"
#include "nn/embedding.h"
#include "nn/head.h"
#include "nn/rotary.h"
#include "spec/recompute.h"
#include "tensor/memory.h"

namespace boreal::model {

struct DecoderConfig {
  std::string family;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t ffn = 0;
  std::int64_t vocab = 0;
  std::int64_t context = 0;  // longest sequence
  DType dtype = DType::bf16;
  nn::NormKind norm = nn::NormKind::rms;
  double norm_eps = 1e-5;
  nn::MlpKind mlp = nn::MlpKind::swiglu;
  bool bias = false;
  bool rotary = true;  // else learned positions
  double rope_theta = 10000;
  bool tied = true;
  double init_std = 0.02;

  std::int64_t head_dim() const { return hidden / heads; }
};

// What train() keeps from call to call, so that a step allocates nothing; made by
// Decoder::make_books. Thread rule: one call at a time.
struct TrainBooks {
  spec::RecomputeByBlock recompute;
  nn::Tape tape;
  std::vector<tensor::Tensor> inputs;  // of each block, and the output of the last
  std::vector<std::int64_t> marks;     // of the arena's tape, before each block
};

class Decoder {
 public:
  // tp: the ranks that share each layer. sequence_parallel: in passes that train, activations
  // between layers lie on them by rows (dist/sequence.h).
  explicit Decoder(const DecoderConfig& config, const dist::Group& tp = {},
                   bool sequence_parallel = false);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const DecoderConfig& config() const { return config_; }
  // In a fixed order; Parameter::index is the position.
  const std::vector<nn::Parameter*>& parameters() const { return parameters_; }
  std::int64_t parameter_count() const;  // of all ranks
  // FLOPs of one token of training: 6 x (matrices with the head, without the embedding's gather) +
  // 6 x layers x T x d (causal).
  double flops_per_token(std::int64_t sequence) const;

  // Of the tables that prepare() computes.
  std::int64_t constant_bytes() const { return rotary() != nullptr ? rotary()->bytes() : 0; }

  // Units of Parameter::unit: the embedding, the blocks, the head.
  std::int64_t units() const { return config_.layers + 2; }
  // Key heads whose rows of nn::LayerState this rank keeps.
  std::int64_t local_kv_heads() const {
    return nn::Attention::local_kv_heads(config_.kv_heads, tp_);
  }

  // recompute: what blocks drop and make again in backward; the gradients are bit-equal.
  TrainBooks make_books(const spec::RecomputeByBlock& recompute) const;

  // Computes constant tables (rotary angles). Once per process, before the first pass; not on the
  // meta device.
  void prepare(const device::Context& ctx);

  // rows and targets: the same on every rank of tp. Forward, loss, and with gradients in the pass
  // backward: everything a micro-batch does. Losses go to targets.loss.
  void train(const device::Context& ctx, tensor::Arena& arena, nn::WeightSource& weights,
             nn::GradientSink* gradients, const nn::Rows& rows, const nn::Targets& targets,
             TrainBooks& books) const;

  // Forward with cached keys and values; logits fp32 [n, vocab] of the listed rows.
  void generate(const device::Context& ctx, tensor::Arena& arena, nn::WeightSource& weights,
                const nn::Rows& rows, std::vector<nn::LayerState>* state, const tensor::Tensor& row,
                tensor::Tensor logits) const;

 private:
  const tensor::Tensor* rotary() const { return rotary_.table(); }

  DecoderConfig config_;
  dist::Group tp_;
  bool sequence_parallel_;
  nn::LayerIds ids_;
  nn::Embedding embedding_;
  std::vector<nn::Block> blocks_;
  nn::Head head_;
  std::vector<nn::Parameter*> parameters_;
  nn::Rotary rotary_;
};

}  // namespace boreal::model
