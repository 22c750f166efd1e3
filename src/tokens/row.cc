#include "tokens/row.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/check.h"

namespace boreal::tokens {

Batch make_batch(std::int64_t rows, std::int64_t sequence) {
  Batch batch;
  make_batch(rows, sequence, batch);
  return batch;
}

void make_batch(std::int64_t rows, std::int64_t sequence, Batch& batch) {
  batch.rows = rows;
  batch.sequence = sequence;
  const auto n = static_cast<std::size_t>(rows * sequence);
  batch.input.assign(n, 0);
  batch.target.assign(n, 0);
  batch.weight.assign(n, 0.0F);
  batch.position.assign(n, 0);
  batch.doc_begin.assign(n, 0);
}

RowView row_of(Batch& batch, std::int64_t row) {
  const auto at = static_cast<std::size_t>(row * batch.sequence);
  const auto n = static_cast<std::size_t>(batch.sequence);
  const auto part = [&](auto& array) { return std::span(array).subspan(at, n); };
  return {part(batch.input), part(batch.target), part(batch.weight), part(batch.position),
          part(batch.doc_begin)};
}

namespace {

// read(place, run) for the runs of `out.size()` tokens from `begin` on, on the circle.
template <class T, class Read>
void around(std::int64_t begin, std::int64_t circle, std::span<T> out, const Read& read) {
  for (std::size_t done = 0; done < out.size();) {
    const std::int64_t at = (begin + static_cast<std::int64_t>(done)) % circle;
    const std::size_t piece = std::min(out.size() - done, static_cast<std::size_t>(circle - at));
    read(at, out.subspan(done, piece));
    done += piece;
  }
}

void read_ids(const ShardReader& shard, const Window& window, std::int64_t begin,
              std::int64_t vocab, std::span<std::int32_t> out) {
  around(begin, window.circle, out,
         [&](std::int64_t at, std::span<std::int32_t> run) { shard.read_ids(at, run); });
  for (std::size_t c = 0; c < out.size(); ++c)
    CHECK(out[c] >= 0 && out[c] < vocab,
          "{}.bin: token {} is {}, outside the vocabulary of {}; run `boreal tokens verify`",
          shard.info().prefix, (begin + static_cast<std::int64_t>(c)) % window.circle, out[c],
          vocab);
}

// Walks the documents under a window: cuts the row at their borders.
void mark_documents(const ShardReader& shard, const Window& window, RowView row) {
  std::int64_t token = window.begin % window.circle;
  std::int64_t document = shard.document_at(token);
  std::int64_t end = shard.document_begin(document + 1);
  std::int32_t begin_column = 0;
  for (std::int64_t c = 0; c < window.count; ++c) {
    const auto column = static_cast<std::size_t>(c);
    row.doc_begin[column] = begin_column;
    row.position[column] = static_cast<std::int32_t>(c) - begin_column;
    if (++token < end) continue;
    row.weight[column] = 0;
    begin_column = static_cast<std::int32_t>(c) + 1;
    if (token == window.circle) token = 0;
    document = shard.document_at(token);
    end = shard.document_begin(document + 1);
  }
}

}  // namespace

Batch rows_of(const Batch& batch, std::int64_t begin, std::int64_t rows) {
  Batch part{.rows = rows, .sequence = batch.sequence};
  const auto cut = [&](const auto& from, auto& to) {
    to.assign(from.begin() + begin * batch.sequence,
              from.begin() + (begin + rows) * batch.sequence);
  };
  cut(batch.input, part.input);
  cut(batch.target, part.target);
  cut(batch.weight, part.weight);
  cut(batch.position, part.position);
  cut(batch.doc_begin, part.doc_begin);
  return part;
}

double sum_of_weights(const Batch& batch) {
  double sum = 0;
  for (const float weight : batch.weight) sum += static_cast<double>(weight);
  return sum;
}

void fill_row(const ShardReader& shard, const Window& window, FillOptions options, RowView row) {
  const auto count = static_cast<std::size_t>(window.count);
  const std::int64_t vocab =
      options.vocab > 0 ? options.vocab : std::numeric_limits<std::int32_t>::max();
  read_ids(shard, window, window.begin, vocab, row.input.first(count));
  read_ids(shard, window, window.begin + 1, vocab, row.target.first(count));
  // A row is filled without memory of its own: the positions' place holds the loss bytes first.
  const std::span loss(static_cast<std::uint8_t*>(static_cast<void*>(row.position.data())), count);
  around(window.begin + 1, window.circle, loss,
         [&](std::int64_t at, std::span<std::uint8_t> run) { shard.read_loss(at, run); });
  for (std::size_t c = 0; c < count; ++c) row.weight[c] = loss[c];
  for (std::size_t c = 0; c < count; ++c) row.position[c] = static_cast<std::int32_t>(c);
  if (options.document_mask) mark_documents(shard, window, row);
  for (auto column = static_cast<std::size_t>(window.count); column < row.input.size(); ++column) {
    row.doc_begin[column] = static_cast<std::int32_t>(window.count);
    row.position[column] = static_cast<std::int32_t>(column) - row.doc_begin[column];
  }
}

void fill_synthetic(const Rng& rng, std::int64_t begin, std::int64_t vocab, RowView row) {
  const auto id_at = [&](std::size_t offset) {
    const auto counter = static_cast<std::uint64_t>(begin) + offset;
    return static_cast<std::int32_t>(rng.bits(counter) % static_cast<std::uint64_t>(vocab));
  };
  std::int32_t id = id_at(0);
  for (std::size_t c = 0; c < row.input.size(); ++c) {
    row.input[c] = id;
    row.target[c] = id = id_at(c + 1);
    row.weight[c] = 1;
    row.position[c] = static_cast<std::int32_t>(c);
  }
}

}  // namespace boreal::tokens
