#include "dist/mpi_transport.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/hash.h"

namespace boreal::dist {

namespace {

// What is summed on arrival stays in the caches; what is only moved goes in larger pieces.
constexpr std::int64_t kCombineBytes = 8 << 20;  // of all ranks' chunks together
constexpr std::int64_t kCombineMin = 64 << 10;
constexpr std::int64_t kCombineMax = 1 << 20;
constexpr std::int64_t kMoveChunk = 4 << 20;
// Every MPI has tags up to this.
constexpr std::uint64_t kTags = 32767;

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

int tag_of(std::span<const std::int64_t> ranks, std::string_view axis) {
  const std::uint64_t hash = xxh3_64(std::as_bytes(ranks)) ^ xxh3_64(axis);
  return static_cast<int>(hash % kTags);
}

// The part of [data, data + bytes) that goes in a round.
template <class Piece>
Piece chunk_of(const Piece& whole, std::int64_t chunk, std::int64_t round) {
  const std::int64_t begin = std::min(whole.bytes, round * chunk);
  return {whole.data + begin, std::min(whole.bytes, begin + chunk) - begin};
}

}  // namespace

MpiTransport::MpiTransport(MpiPort& port, const Watch& watch, std::span<const std::int64_t> ranks,
                           std::string_view axis)
    : port_(port),
      watch_(watch),
      ranks_(ranks.begin(), ranks.end()),
      rank_(std::ranges::find(ranks, port.rank()) - ranks.begin()),
      tag_(tag_of(ranks, axis)),
      combine_chunk_(std::clamp(kCombineBytes / static_cast<std::int64_t>(ranks.size()) / 64 * 64,
                                kCombineMin, kCombineMax)),
      rooms_(ranks.size()),
      chunks_(ranks.size()) {}

void MpiTransport::announce(const Call& call) {
  if (!watch_.options().debug) return;
  std::vector<Call> calls(ranks_.size());
  calls[at(rank_)] = call;
  const auto bytes = [](Call& c) { return static_cast<std::byte*>(static_cast<void*>(&c)); };
  std::vector<Part> to(ranks_.size(), Part{bytes(calls[at(rank_)]), sizeof(Call)});
  std::vector<Room> from;
  for (Call& each : calls) from.push_back({bytes(each), sizeof(Call)});
  move(to, from);
  check_fit(calls, true, [&](std::int64_t r) { return watch_.name_of_rank(ranks_[at(r)]); });
}

void MpiTransport::post(std::span<const Part> to, std::int64_t chunk, std::int64_t round) {
  MpiPort::Batch& batch = batches_[at(round % kDepth)];
  // Receives first: what has a place is not copied. Each rank begins with its neighbour, so that
  // not all send to one.
  for (std::int64_t i = 1; i < size(); ++i) {
    const std::int64_t peer = (rank_ - i + size()) % size();
    const Room& room = rooms_[at(peer)];
    if (room.bytes > 0) port_.receive(batch, room, ranks_[at(peer)], tag_);
  }
  for (std::int64_t i = 1; i < size(); ++i) {
    const std::int64_t peer = (rank_ + i) % size();
    const Part part = chunk_of(to[at(peer)], chunk, round);
    if (part.bytes > 0) port_.send(batch, part, ranks_[at(peer)], tag_);
  }
}

void MpiTransport::finish(std::int64_t round) {
  MpiPort::Batch& batch = batches_[at(round % kDepth)];
  double last_s = 0;  // that something ended, or the first idle look
  for (std::int64_t looks = 0;; ++looks) {
    const int ended = port_.test(batch);
    if (ended < 0) return;
    if (ended > 0) {
      looks = 0;
      last_s = 0;
    }
    if (looks < 100) continue;
    // The other rank may need this processor.
    sched_yield();
    if (looks % 32 != 0) continue;
    const double now_s = Clock::real().now_s();
    if (last_s == 0) last_s = now_s;
    if (now_s - last_s > 0.02) std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (watch_.late()) watch_.fail(port_.missing(batch));
  }
}

void MpiTransport::move(std::span<const Part> to, std::span<const Room> from) {
  std::int64_t longest = 0;
  for (std::int64_t r = 0; r < size(); ++r)
    if (r != rank_) longest = std::max({longest, to[at(r)].bytes, from[at(r)].bytes});
  const std::int64_t rounds = (longest + kMoveChunk - 1) / kMoveChunk;
  for (std::int64_t round = 0; round < rounds + kDepth - 1; ++round) {
    if (round < rounds) {
      for (std::int64_t r = 0; r < size(); ++r)
        rooms_[at(r)] = chunk_of(from[at(r)], kMoveChunk, round);
      post(to, kMoveChunk, round);
    }
    if (round >= kDepth - 1) finish(round - kDepth + 1);
  }
}

std::byte* MpiTransport::staging(std::int64_t round, std::int64_t from) {
  return staging_.data() + (round % kDepth * size() + from) * combine_chunk_;
}

void MpiTransport::combine(std::span<const Part> slices, ChunkSink& sink) {
  if (staging_.bytes() == 0) staging_ = tensor::Block(kDepth * size() * combine_chunk_);
  const Part own = slices[at(rank_)];
  std::int64_t longest = 0;
  for (const Part& slice : slices) longest = std::max(longest, slice.bytes);
  const std::int64_t rounds = (longest + combine_chunk_ - 1) / combine_chunk_;
  for (std::int64_t round = 0; round < rounds + kDepth - 1; ++round) {
    if (round < rounds) {
      const std::int64_t bytes = chunk_of(own, combine_chunk_, round).bytes;
      for (std::int64_t r = 0; r < size(); ++r) rooms_[at(r)] = {staging(round, r), bytes};
      post(slices, combine_chunk_, round);
    }
    const std::int64_t ready = round - kDepth + 1;
    if (ready < 0) continue;
    finish(ready);
    const Part mine = chunk_of(own, combine_chunk_, ready);
    if (mine.bytes == 0) continue;
    for (std::int64_t r = 0; r < size(); ++r)
      chunks_[at(r)] = r == rank_ ? mine.data : staging(ready, r);
    sink.take(chunks_, ready * combine_chunk_, mine.bytes);
  }
}

}  // namespace boreal::dist
