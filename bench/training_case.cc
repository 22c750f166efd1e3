#include "bench/training_case.h"

#include "base/check.h"
#include "base/philox.h"
#include "model/family.h"
#include "spec/reader.h"

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

model::DecoderConfig of_recipe(const std::string& name, DType dtype) {
  const std::string path = fmt::format("{}/recipes/bench_{}.yaml", BOREAL_SOURCE_DIR, name);
  const auto spec =
      spec::read_run_spec(Env::real(), path, {fmt::format("model.dtype={}", name_of(dtype))});
  CHECK(spec.ok(), "{}", spec.error().message);
  return model::config_of(spec->model, 0).value();
}

model::DecoderConfig gpt2_124m() {
  return of_recipe("gpt2_124m", DType::bf16);
}

std::string peer_step(const model::DecoderConfig& config, std::int64_t rows,
                      std::int64_t sequence) {
  return fmt::format("step {} {} {} {} {} {} {} {} {} {}", config.family, name_of(config.dtype),
                     rows, sequence, config.layers, config.hidden, config.heads, config.ffn,
                     config.vocab, config.tied ? 1 : 0);
}

}  // namespace boreal::bench
