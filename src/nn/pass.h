// What surrounds a layer while it runs.
//
// Rows: what the rows of a batch are. Tape: what forward leaves for backward, by layer and slot, in
// any order of access. LayerState: what generation carries from call to call. Pass: all of it
// together, handed to every layer. Thread rule: one pass belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "device/context.h"
#include "kernels/attention.h"
#include "nn/parameter.h"
#include "tensor/memory.h"

namespace boreal::nn {

struct Rows {
  std::int64_t count = 0;
  tensor::Tensor id;        // int32 [count]
  tensor::Tensor position;  // int32 [count], in the document
  std::vector<kernels::AttentionSpan> spans;
  std::int64_t keys_max = 0;  // longest span of keys the pass may meet
  // Generation: row r's key and value go to row cache_row[r] of the layer's state; spans then point
  // into the state.
  tensor::Tensor cache_row;  // int32 [count], empty data when training
};

// Keys and values of one layer, [capacity, kv_heads * head_dim].
struct LayerState {
  tensor::Tensor k;
  tensor::Tensor v;
};

class Tape {
 public:
  Tape() = default;
  static constexpr std::size_t kSlots = 4;

  explicit Tape(std::int64_t layers) : saved_(static_cast<std::size_t>(layers)) {}

  void put(std::int64_t layer, std::size_t slot, const tensor::Tensor& x) {
    saved_[static_cast<std::size_t>(layer)][slot] = x;
  }
  const tensor::Tensor& get(std::int64_t layer, std::size_t slot) const {
    return saved_[static_cast<std::size_t>(layer)][slot];
  }

 private:
  std::vector<std::array<tensor::Tensor, kSlots>> saved_;
};

struct Pass {
  const device::Context& ctx;
  tensor::Arena& arena;
  WeightSource& weights;
  const Rows& rows;
  Tape* tape = nullptr;                      // null: nothing is saved
  GradientSink* gradients = nullptr;         // null: no weight gradients
  std::vector<LayerState>* state = nullptr;  // by block; null when training
  // Activations that one pass over memory makes from others that are kept (norms) are dropped by
  // forward and made again by backward. Equal in both.
  bool drop_cheap = false;
  // Between tensor-parallel pairs of layers a rank holds its piece of the rows, else all of them.
  bool sequence_parallel = false;

  // Memory of a value that backward needs: on the tape if there is one, else scratch of the
  // caller's scope.
  tensor::Tensor keep(DType dtype, tensor::Shape shape) const {
    return tape != nullptr ? arena.tape(dtype, shape) : arena.scratch(dtype, shape);
  }
  // The same for one that is dropped where drop_cheap says so.
  tensor::Tensor keep_cheap(DType dtype, tensor::Shape shape) const {
    return drop_cheap ? arena.scratch(dtype, shape) : keep(dtype, shape);
  }
  tensor::Tensor scratch(DType dtype, tensor::Shape shape) const {
    return arena.scratch(dtype, shape);
  }
};

// Hands out tape numbers while a model is built.
class LayerIds {
 public:
  std::int64_t next() { return count_++; }
  std::int64_t count() const { return count_; }

 private:
  std::int64_t count_ = 0;
};

}  // namespace boreal::nn
