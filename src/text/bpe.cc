#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <iterator>
#include <queue>
#include <string>
#include <utility>

#include "base/check.h"

namespace boreal::text {

namespace {

constexpr std::size_t kShortPiece = 48;  // the heap wins from about here on

std::uint64_t key_of(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t expected_count)
    : slots_(std::bit_ceil(std::max<std::size_t>(16, 2 * expected_count))) {}

std::uint64_t MergeTable::mixed(TokenId left, TokenId right) {
  // Fibonacci hashing: the high bits of the product are well mixed.
  const std::uint64_t key = key_of(left, right);
  return (key ^ key >> 29) * 0x9e3779b97f4a7c15U;
}

std::size_t MergeTable::slot_of(std::uint64_t key, std::uint64_t mixed) const {
  std::size_t at = mixed >> (64 - std::countr_zero(slots_.size()));
  while (slots_[at].merge.rank != kNone && slots_[at].key != key)
    at = (at + 1) & (slots_.size() - 1);
  return at;
}

bool MergeTable::add(TokenId left, TokenId right, Merge merge) {
  CHECK_NE(merge.rank, kNone);
  if (2 * (count_ + 1) > slots_.size()) grow();
  const std::uint64_t hash = mixed(left, right);
  Slot& slot = slots_[slot_of(key_of(left, right), hash)];
  if (slot.merge.rank != kNone) return false;
  slot = {key_of(left, right), merge};
  filter_[filter_bit(hash) / 64] |= std::uint64_t{1} << filter_bit(hash) % 64;
  ++count_;
  return true;
}

void MergeTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : old) {
    if (slot.merge.rank == kNone) continue;
    const auto left = static_cast<TokenId>(slot.key >> 32);
    const auto right = static_cast<TokenId>(slot.key);
    slots_[slot_of(slot.key, mixed(left, right))] = slot;
  }
}

MergeTable::Merge MergeTable::find(TokenId left, TokenId right) const {
  const std::uint64_t hash = mixed(left, right);
  if ((filter_[filter_bit(hash) / 64] >> filter_bit(hash) % 64 & 1U) == 0) return {};
  return slots_[slot_of(key_of(left, right), hash)].merge;
}

Bpe::Bpe(ByteIds byte_ids, MergeTable merges)
    : byte_ids_(byte_ids), merges_(std::move(merges)), byte_merges_(std::size_t{256} * 256) {
  for (std::size_t left = 0; left < 256; ++left) {
    for (std::size_t right = 0; right < 256; ++right) {
      if (byte_ids_[left] >= 0 && byte_ids_[right] >= 0)
        byte_merges_[left << 8 | right] = merges_.find(byte_ids_[left], byte_ids_[right]);
    }
  }
}

bool Bpe::has_all(std::string_view bytes) const {
  return std::all_of(bytes.begin(), bytes.end(),
                     [&](char byte) { return byte_ids_[static_cast<std::uint8_t>(byte)] >= 0; });
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  std::string known;
  if (!has_all(piece)) {
    std::copy_if(piece.begin(), piece.end(), std::back_inserter(known), [&](char byte) {
      return has_all({&byte, 1});
    });
    piece = known;
  }
  if (piece.size() <= kShortPiece) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids);
  }
}

void Bpe::merge_short(std::string_view bytes, std::vector<TokenId>& ids) const {
  std::size_t size = bytes.size();
  std::array<TokenId, kShortPiece> id;
  std::array<MergeTable::Merge, kShortPiece> merge;  // merge[i]: of (id[i], id[i + 1])
  for (std::size_t i = 0; i < size; ++i) id[i] = byte_ids_[static_cast<std::uint8_t>(bytes[i])];
  for (std::size_t i = 0; i + 1 < size; ++i) merge[i] = merge_of_bytes(bytes[i], bytes[i + 1]);
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i) {
      if (merge[i].rank < merge[best].rank) best = i;
    }
    if (merge[best].rank == MergeTable::kNone) break;
    id[best] = merge[best].id;
    --size;
    for (std::size_t i = best + 1; i < size; ++i) id[i] = id[i + 1];
    for (std::size_t i = best + 1; i + 1 < size; ++i) merge[i] = merge[i + 1];
    if (best > 0) merge[best - 1] = merges_.find(id[best - 1], id[best]);
    if (best + 1 < size) merge[best] = merges_.find(id[best], id[best + 1]);
  }
  ids.insert(ids.end(), id.begin(), id.begin() + static_cast<std::ptrdiff_t>(size));
}

void Bpe::merge_long(std::string_view bytes, std::vector<TokenId>& ids) const {
  struct Node {
    TokenId id;
    std::uint32_t previous;
    std::uint32_t next;
    MergeTable::Merge merge;  // with the next node; its rank tells stale heap entries
  };
  const std::size_t size = bytes.size();
  constexpr std::uint32_t kEnd = 0xffffffffU;
  CHECK_LT(size, std::size_t{kEnd});
  std::vector<Node> nodes(size);
  std::vector<std::uint64_t> entries;  // rank << 32 | node
  const auto entry = [&](std::uint32_t i) {
    return static_cast<std::uint64_t>(nodes[i].merge.rank) << 32 | i;
  };
  for (std::uint32_t i = 0; i < size; ++i) {
    const bool last = i + 1 == size;
    nodes[i] = {byte_ids_[static_cast<std::uint8_t>(bytes[i])],
                i == 0 ? kEnd : i - 1,
                last ? kEnd : i + 1,
                {}};
    if (!last) nodes[i].merge = merge_of_bytes(bytes[i], bytes[i + 1]);
    if (nodes[i].merge.rank != MergeTable::kNone) entries.push_back(entry(i));
  }
  std::priority_queue heap(std::greater<>(), std::move(entries));
  const auto renew = [&](std::uint32_t i) {
    Node& node = nodes[i];
    node.merge =
        node.next == kEnd ? MergeTable::Merge{} : merges_.find(node.id, nodes[node.next].id);
    if (node.merge.rank != MergeTable::kNone) heap.push(entry(i));
  };
  while (!heap.empty()) {
    const std::uint64_t top = heap.top();
    heap.pop();
    const auto i = static_cast<std::uint32_t>(top);
    Node& left = nodes[i];
    if (left.merge.rank != top >> 32) continue;
    Node& right = nodes[left.next];
    left.id = left.merge.id;
    left.next = right.next;
    right.merge = {};
    if (left.next != kEnd) nodes[left.next].previous = i;
    renew(i);
    if (left.previous != kEnd) renew(left.previous);
  }
  for (std::uint32_t i = 0; i != kEnd && i < size; i = nodes[i].next) ids.push_back(nodes[i].id);
}

}  // namespace boreal::text
