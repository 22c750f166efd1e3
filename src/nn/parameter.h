// Parameter: what a weight is, not where it lives. Layers own their descriptions; WeightSource
// gives memory for them. Thread rule: written while the model is built, constant afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/gemm.h"
#include "tensor/tensor.h"

namespace boreal::nn {

enum class Init : std::uint8_t { normal, zeros, ones };

struct Parameter {
  std::string name;     // global, e.g. "blocks.3.attention.qkv.weight"
  tensor::Shape shape;  // global; a matrix is [out, in]
  Init init = Init::normal;
  double init_std = 0.02;
  bool decay = true;        // weight decay applies (matrices) or not (vectors)
  bool gathered = false;    // rows are looked up, so the plain form is kept in the compute type
  bool multiplied = false;  // used in matrix products, so packed forms are kept
  std::int64_t index = -1;  // position in the model's list; set by the model

  bool is_matrix() const { return shape.rank() == 2; }
};

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

// Where weight gradients are accumulated: fp32, the parameter's shape.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  virtual tensor::Tensor gradient(const Parameter& parameter) = 0;
};

}  // namespace boreal::nn
