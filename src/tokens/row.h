// Rows of a batch: from a window of a shard, or from random numbers, to inputs, targets, weights
// and document borders. Thread rule: pure functions of their arguments; a row is written by one
// thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/philox.h"
#include "tokens/shard.h"
#include "tokens/token_stream.h"

namespace boreal::tokens {

// One row of a batch, as spans into its arrays.
struct RowView {
  std::span<std::int32_t> input;
  std::span<std::int32_t> target;
  std::span<float> weight;
  std::span<std::int32_t> position;
  std::span<std::int32_t> doc_begin;
};

// All arrays sized and zero.
void make_batch(std::int64_t rows, std::int64_t sequence, Batch& batch);
Batch make_batch(std::int64_t rows, std::int64_t sequence);
RowView row_of(Batch& batch, std::int64_t row);

// Rows [begin, begin + rows) of a batch.
Batch rows_of(const Batch& batch, std::int64_t begin, std::int64_t rows);
double sum_of_weights(const Batch& batch);

// `count` inputs from token `begin` of a shard and the targets behind them, on the circle of its
// first `circle` tokens. The circle ends where a document ends.
struct Window {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t circle = 0;
};

struct FillOptions {
  bool document_mask = true;
  std::int64_t vocab = 0;  // ids must be below; 0 = any
};

// Columns behind the window become padding: a document of its own that weighs nothing. An id
// outside the vocabulary is a failed CHECK.
void fill_row(const ShardReader& shard, const Window& window, FillOptions options, RowView row);

// Ids `begin`, begin + 1, ... of an endless source of independent ids in [0, vocab).
void fill_synthetic(const Rng& rng, std::int64_t begin, std::int64_t vocab, RowView row);

}  // namespace boreal::tokens
