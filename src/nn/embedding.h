// Embedding: token rows, plus learned position rows where the family has them. The token table may
// also be the head's matrix. The tensor-parallel group cuts the table by rows: a rank looks up the
// ids that it has, the sum over the ranks is the row.
#pragma once

#include "dist/sequence.h"
#include "nn/pass.h"

namespace boreal::nn {

struct EmbeddingOptions {
  std::string name;
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t positions = 0;  // learned positions; 0: none
  bool tied = true;            // the head multiplies by this table
  double scale = 1;            // of the token rows
  double init_std = 0.02;
};

class Embedding {
 public:
  Embedding(const EmbeddingOptions& options, const dist::Group& group);

  // x: the rows of dist::Sequence.
  void forward(const Pass& pass, tensor::Tensor x) const;
  void backward_weight(const Pass& pass, const tensor::Tensor& dx) const;

  void visit(std::vector<Parameter*>& parameters);
  const Parameter& table() const { return table_; }

 private:
  Parameter table_;
  Parameter positions_;
  bool has_positions_;
  double scale_;
  const dist::Group& group_;
};

}  // namespace boreal::nn
