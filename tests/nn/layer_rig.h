// What one layer needs to run alone: weights in the forms it asks for, gradients, a tape and an
// arena.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nn/pass.h"
#include "parallel/weight_store.h"
#include "tests/reference/values.h"

namespace boreal::nn {

class LayerRig {
 public:
  // parameters: what the layer's visit() lists. Draws every weight.
  LayerRig(std::vector<Parameter*> parameters, DType dtype, const device::Context& ctx,
           const LayerIds& ids)
      : ctx_(ctx),
        parameters_(index(std::move(parameters))),
        state_(parameters_, false),
        weights_(parameters_, dtype, true, false),
        arena_(std::int64_t{1} << 26),
        tape_(ids.count()) {
    for (const Parameter* p : parameters_) {
      const auto draws =
          reference::random_values(p->name, p->is_matrix() ? dtype : DType::f32, p->shape, 0.3);
      reference::Values exact(DType::f32, draws.matrix());
      weights_.publish(ctx_, *p, exact.tensor().reshaped(p->shape));
      values_[p->name] = draws.matrix();
    }
  }

  // frozen: no gradients of weights are asked for.
  Pass pass(bool frozen = false) {
    return {.ctx = ctx_,
            .arena = arena_,
            .weights = weights_,
            .rows = rows,
            .tape = &tape_,
            .gradients = frozen ? nullptr : &state_};
  }

  const reference::Matrix& weight(const std::string& name) const { return values_.at(name); }
  reference::Matrix gradient(const std::string& name) {
    for (const Parameter* p : parameters_)
      if (p->name == name) return reference::matrix_of(state_.gradient(*p));
    CHECK(false, "no parameter {}", name);
  }
  reference::Matrix all_gradients() const { return reference::matrix_of(state_.all_gradients()); }
  const tensor::Arena& arena() const { return arena_; }

  Rows rows;

 private:
  static std::vector<Parameter*> index(std::vector<Parameter*> parameters) {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i]->index = static_cast<std::int64_t>(i);
    return parameters;
  }

  device::Context ctx_;
  std::vector<Parameter*> parameters_;
  parallel::ShardedState state_;
  parallel::WeightStore weights_;
  tensor::Arena arena_;
  Tape tape_;
  std::map<std::string, reference::Matrix> values_;
};

template <class Layer>
std::vector<Parameter*> parameters_of(Layer& layer) {
  std::vector<Parameter*> all;
  layer.visit(all);
  return all;
}

}  // namespace boreal::nn
