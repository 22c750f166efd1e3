// What benchmarks of training steps train on. Thread rule: pure functions.
#pragma once

#include <string>

#include "model/decoder.h"
#include "tokens/token_stream.h"

namespace boreal::bench {

// Independent ids; every token counts.
tokens::Batch random_batch(std::int64_t rows, std::int64_t sequence, std::int64_t vocab);

// The model of recipes/bench_NAME.yaml.
model::DecoderConfig of_recipe(const std::string& name, DType dtype);
model::DecoderConfig gpt2_124m();

// Its step in PyTorch, as a peer is asked for it.
std::string peer_step(const model::DecoderConfig& config, std::int64_t rows, std::int64_t sequence);

}  // namespace boreal::bench
