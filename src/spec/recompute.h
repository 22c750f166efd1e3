// Recompute: which activations of a block are dropped after forward and made again in backward. The
// gradients are bit-equal whatever is dropped. Thread rule: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace boreal::spec {

enum class Recompute : std::uint8_t {
  none,       // all is kept
  selective,  // kept is what matrix products and attention made, not what is one pass over memory
  full,       // only the block's input is kept
};

// By block; those past the end of `blocks` do as `others`.
struct RecomputeByBlock {
  RecomputeByBlock() = default;
  RecomputeByBlock(Recompute all) : others(all) {}  // NOLINT: one word stands for every block

  Recompute of(std::size_t block) const { return block < blocks.size() ? blocks[block] : others; }

  std::vector<Recompute> blocks;
  Recompute others = Recompute::none;
};

// "none", "selective" or "full" for every block; or a list as "full 0-3, selective 4-9, full 11",
// blocks counted from 0, in which those that are not named keep all. usage: anything else, a block
// that the model does not have, one that is named twice.
Result<RecomputeByBlock> parse_recompute(const std::string& text, std::int64_t layers);

}  // namespace boreal::spec
