#include "tests/eval/bigram.h"

#include <cmath>

#include "model/family.h"
#include "text/bpe_trainer.h"

namespace boreal::eval {

namespace {

constexpr std::int64_t kVocab = 257;  // the bytes and the end of the text
constexpr std::int64_t kHidden = 260;

text::Tokenizer bytes_only() {
  return text::BpeTrainer({.vocab_size = kVocab}).train().value();
}

spec::ModelSpec bigram_spec() {
  spec::ModelSpec spec;
  spec.hidden = kHidden;
  spec.layers = 1;
  spec.heads = 2;
  spec.ffn = 2;
  spec.vocab = kVocab;
  spec.context = 16;
  spec.dtype = "fp32";
  spec.tied_embeddings = false;
  spec.norm_eps = 1e-12;
  return spec;
}

}  // namespace

Bigram::Bigram(const std::vector<std::pair<char, std::string>>& next)
    : tokenizer_(bytes_only()),
      pool_(1),
      ctx_(device::cpu_context(pool_)),
      model_(std::make_unique<model::Decoder>(model::config_of(bigram_spec(), 0).value())),
      weights_(
          std::make_unique<parallel::WeightStore>(model_->parameters(), DType::f32, false, false)) {
  const auto id = [&](const std::string& text) {
    return text.empty() ? *tokenizer_.end_of_text() : tokenizer_.encode(text).at(0);
  };
  parallel::ShardedState state(model_->parameters(), false);
  for (const nn::Parameter* p : model_->parameters()) {
    const tensor::Tensor values = state.master(*p);
    auto* at = static_cast<float*>(values.data);
    std::fill(at, at + p->shape.elements(), 0.0F);
    if (!p->is_matrix()) std::fill(at, at + p->shape.elements(), 1.0F);
    if (p->name == "embedding.weight")
      for (std::int64_t i = 0; i < kVocab; ++i) at[i * kHidden + i] = 1;
    if (p->name == "head.weight")
      // The norm makes sqrt(hidden) of the single one.
      for (const auto& [from, to] : next)
        at[id(to) * kHidden + id(std::string(1, from))] =
            static_cast<float>(kLogit / std::sqrt(static_cast<double>(kHidden)));
    weights_->publish(ctx_, *p, values);
  }
  model_->prepare(ctx_);
}

double Bigram::log_probability_of_next() const {
  return kLogit - std::log(std::exp(kLogit) + kVocab - 1);
}
double Bigram::log_probability_of_other() const {
  return -std::log(std::exp(kLogit) + kVocab - 1);
}
double Bigram::log_probability_of_any() const {
  return -std::log(static_cast<double>(kVocab));
}

infer::Engine Bigram::engine() {
  return {*model_, *weights_, ctx_, limits_};
}

}  // namespace boreal::eval
