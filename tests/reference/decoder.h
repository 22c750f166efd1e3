// Slow twin of a decoder: the whole forward, loss and backward of every family, in double, written
// with the other twins. Parameters and gradients go by name, as the model names them; those that
// are there say which biases, learned positions and norms a family has.
//
//   x = E[id] scale (+ P[position])
//   attention:  q | k | v = n Wqkv^T (+ b),  norms of q and k,  rotary on q and k,
//               f(n) = attention(q, k, v) Wout^T (+ b)
//   MLP:        g(n) = act(n Wup^T (+ b)) Wdown^T (+ b)
//   a block:    before    x = x + f(norm1(x)),  x = x + g(norm2(x))
//               after     x = x + norm1_after(f(x)),  x = x + norm2_after(g(x))
//               around    x = x + norm1_after(f(norm1(x))),  ...
//               parallel  x = x + f(norm1(x)) + g(norm2(x))
//   logits = cap(norm(x) Whead^T),   L = sum over rows of weight scale (log sum exp - logit of the
//   target)
//
// Thread rule: pure functions.
#pragma once

#include <map>
#include <string>

#include "tests/reference/attention.h"
#include "tests/reference/matrix.h"

namespace boreal::reference {

using Parameters = std::map<std::string, Matrix>;

enum class Placement { before, after, around, parallel };
enum class Activation { swiglu, gelu, gelu_erf, geglu };

struct DecoderShape {
  std::int64_t layers = 1;
  AttentionHeads heads;              // but for the window
  std::vector<std::int64_t> window;  // of each layer; 0: none
  std::vector<double> frequency;     // of rotary positions; empty: none
  bool layer_norm = false;           // else RMSNorm
  double plus = 0;                   // what norms add to their weights
  double norm_eps = 1e-5;
  Placement placement = Placement::before;
  Activation activation = Activation::swiglu;
  double embedding_scale = 1;
  double logit_soft_cap = 0;
  bool tied = true;
  bool streamed = false;  // one document, too long for a T x T matrix (streamed_attention.h)
};

struct DecoderBatch {
  std::vector<std::int64_t> id;
  std::vector<std::int64_t> position;
  std::vector<std::int64_t> document;
  std::vector<std::int64_t> target;
  std::vector<double> weight;  // 0 where the row does not count
  double scale = 1;
};

struct DecoderResult {
  Matrix logits;         // [rows, vocab]
  Matrix loss;           // 1 x rows, before the weights
  double total = 0;      // L
  Parameters gradients;  // of every parameter
};

DecoderResult decoder(const DecoderShape& shape, const Parameters& parameters,
                      const DecoderBatch& batch);

}  // namespace boreal::reference
