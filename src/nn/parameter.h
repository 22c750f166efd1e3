// Parameter: what a weight is, not where it lives. Layers own their descriptions; WeightSource
// gives memory for them. A rank may hold a part of a parameter. Thread rule: written while the
// model is built, constant afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "dist/group.h"
#include "kernels/gemm.h"
#include "tensor/tensor.h"

namespace boreal::nn {

enum class Init : std::uint8_t { normal, zeros, ones };

// A run of a parameter's rows or columns (Parameter::split_dim) that this rank holds.
struct Segment {
  std::int64_t begin = 0;  // in the global dim
  std::int64_t count = 0;
  bool first_holder = true;  // of the ranks that hold it this one counts and saves it
  // The ranks whose gradients of this run are parts of one sum; null: each holder's is complete.
  // Together they hold [sum_begin, sum_begin + sum_count) of the global dim.
  const dist::Group* sum_over = nullptr;
  std::int64_t sum_begin = 0;
  std::int64_t sum_count = 0;
};

struct Parameter {
  std::string name;     // global, e.g. "blocks.3.attention.qkv.weight"
  tensor::Shape shape;  // global; a matrix is [out, in]
  Init init = Init::normal;
  double init_std = 0.02;
  bool decay = true;        // weight decay applies (matrices) or not (vectors)
  bool gathered = false;    // rows are looked up, so the plain form is kept in the compute type
  bool multiplied = false;  // used in matrix products, so packed forms are kept
  std::int64_t split_dim = 0;
  std::vector<Segment> segments;  // in the order in which they lie here; none: all of it
  std::int64_t index = -1;        // position in the model's list; set by the model
  std::int64_t unit = 0;          // of the model: 0 the embedding, then the blocks, then the head

  bool is_matrix() const { return shape.rank() == 2; }
  // What this rank holds.
  std::vector<Segment> held() const;
  tensor::Shape local_shape() const;
};

// Piece r of n of a dim, cut evenly: [r size / n, (r + 1) size / n).
Segment even_part(std::int64_t size, const dist::Group& group, std::int64_t begin = 0);

// How a layer wants a weight.
enum class Form : std::uint8_t { forward, backward };

// Where layers get the memory of weights from. plain() of a vector is fp32; of a gathered matrix,
// the compute type. acquire and release pair around a use, so that a store may gather before and
// free after.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual tensor::Tensor acquire_plain(const Parameter& parameter) = 0;
  virtual kernels::Packed acquire_packed(const Parameter& parameter, Form form) = 0;
  virtual void release(const Parameter& parameter) = 0;
};

// Where weight gradients are accumulated: fp32, the parameter's local shape.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  virtual tensor::Tensor gradient(const Parameter& parameter) = 0;
  // This backward adds no more to the parameters of the unit: their reduction may start.
  virtual void finished(const device::Context& ctx, std::int64_t unit) {
    (void)ctx;
    (void)unit;
  }
};

}  // namespace boreal::nn
