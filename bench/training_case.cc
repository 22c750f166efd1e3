#include "bench/training_case.h"

#include "base/philox.h"
#include "model/family.h"

namespace boreal::bench {

tokens::Batch random_batch(std::int64_t rows, std::int64_t sequence, std::int64_t vocab) {
  const Rng rng(1, "bench", "tokens");
  const auto draw = [&](std::int64_t n) {
    return static_cast<std::int32_t>(rng.bits(static_cast<std::uint64_t>(n)) %
                                     static_cast<std::uint64_t>(vocab));
  };
  tokens::Batch batch;
  batch.rows = rows;
  batch.sequence = sequence;
  for (std::int64_t i = 0; i < rows * sequence; ++i) {
    batch.input.push_back(draw(2 * i));
    batch.target.push_back(draw(2 * i + 1));
    batch.weight.push_back(1);
    batch.position.push_back(static_cast<std::int32_t>(i % sequence));
    batch.doc_begin.push_back(0);
  }
  return batch;
}

model::DecoderConfig gpt2_124m() {
  spec::ModelSpec gpt2;
  gpt2.family = "gpt2";
  gpt2.hidden = 768;
  gpt2.layers = 12;
  gpt2.heads = 12;
  gpt2.vocab = 50257;
  gpt2.context = 1024;
  return model::config_of(gpt2, 0).value();
}

}  // namespace boreal::bench
