// Slow twin of a decoder: the whole forward, loss and backward of both families, in double, written
// with the other twins. Parameters and gradients go by name, as the model names them.
//
//   x = E[id] (+ P[position])
//   a block:  n = norm1(x),  q | k | v = n Wqkv^T + b,  rotary on q and k,
//             x = x + attention(q, k, v) Wout^T + b,
//             n = norm2(x),  x = x + act(n Wup^T + b) Wdown^T + b
//   logits = norm(x) Whead^T,   L = sum over rows of weight scale (log sum exp - logit of the
//   target)
//
// llama: RMSNorm, rotary, SwiGLU, no biases (Touvron et al. 2023). gpt2: LayerNorm, learned
// positions, GELU by tanh, biases (Radford et al. 2019). Thread rule: pure functions.
#pragma once

#include <map>
#include <string>

#include "tests/reference/attention.h"
#include "tests/reference/matrix.h"

namespace boreal::reference {

using Parameters = std::map<std::string, Matrix>;

struct DecoderShape {
  bool llama = true;  // else gpt2
  std::int64_t layers = 1;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
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
