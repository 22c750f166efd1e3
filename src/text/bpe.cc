#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>
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

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  // Fibonacci hashing: the high bits of the product are well mixed.
  const std::uint64_t mixed = (key ^ key >> 29) * 0x9e3779b97f4a7c15U;
  std::size_t at = mixed >> (64 - std::countr_zero(slots_.size()));
  while (slots_[at].merge.rank != kNone && slots_[at].key != key)
    at = (at + 1) & (slots_.size() - 1);
  return at;
}

bool MergeTable::add(TokenId left, TokenId right, Merge merge) {
  CHECK_NE(merge.rank, kNone);
  if (2 * (count_ + 1) > slots_.size()) grow();
  Slot& slot = slots_[slot_of(key_of(left, right))];
  if (slot.merge.rank != kNone) return false;
  slot = {key_of(left, right), merge};
  ++count_;
  return true;
}

void MergeTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : old) {
    if (slot.merge.rank != kNone) slots_[slot_of(slot.key)] = slot;
  }
}

MergeTable::Merge MergeTable::find(TokenId left, TokenId right) const {
  return slots_[slot_of(key_of(left, right))].merge;
}

Bpe::Bpe(ByteIds byte_ids, MergeTable merges) : byte_ids_(byte_ids), merges_(std::move(merges)) {}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  const std::size_t from = ids.size();
  for (const char byte : piece) {
    const TokenId id = byte_ids_[static_cast<std::uint8_t>(byte)];
    if (id >= 0) ids.push_back(id);
  }
  if (ids.size() - from <= kShortPiece) {
    merge_short(ids, from);
  } else {
    merge_long(ids, from);
  }
}

void Bpe::merge_short(std::vector<TokenId>& ids, std::size_t from) const {
  std::size_t size = ids.size() - from;
  if (size < 2) return;
  TokenId* const id = ids.data() + from;
  std::array<MergeTable::Merge, kShortPiece> merge;  // merge[i]: of (id[i], id[i + 1])
  for (std::size_t i = 0; i + 1 < size; ++i) merge[i] = merges_.find(id[i], id[i + 1]);
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
  ids.resize(from + size);
}

void Bpe::merge_long(std::vector<TokenId>& ids, std::size_t from) const {
  struct Node {
    TokenId id;
    std::uint32_t previous;
    std::uint32_t next;
    MergeTable::Merge merge;  // with the next node; its rank tells stale heap entries
  };
  const std::size_t size = ids.size() - from;
  constexpr std::uint32_t kEnd = 0xffffffffU;
  CHECK_LT(size, std::size_t{kEnd});
  std::vector<Node> nodes(size);
  std::vector<std::uint64_t> entries;  // rank << 32 | node
  const auto entry = [&](std::uint32_t i) {
    return static_cast<std::uint64_t>(nodes[i].merge.rank) << 32 | i;
  };
  for (std::uint32_t i = 0; i < size; ++i) {
    const bool last = i + 1 == size;
    nodes[i] = {ids[from + i], i == 0 ? kEnd : i - 1, last ? kEnd : i + 1, {}};
    if (!last) nodes[i].merge = merges_.find(ids[from + i], ids[from + i + 1]);
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
  ids.resize(from);
  for (std::uint32_t i = 0; i != kEnd && i < size; i = nodes[i].next) ids.push_back(nodes[i].id);
}

}  // namespace boreal::text
