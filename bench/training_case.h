// What benchmarks of training steps train on. Thread rule: pure functions.
#pragma once

#include "model/decoder.h"
#include "tokens/token_stream.h"

namespace boreal::bench {

// Independent ids; every token counts.
tokens::Batch random_batch(std::int64_t rows, std::int64_t sequence, std::int64_t vocab);

model::DecoderConfig gpt2_124m();

}  // namespace boreal::bench
