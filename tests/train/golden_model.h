// A folder of tests/golden/model/: a tiny model of transformers, batches, and what PyTorch computed
// from them (made by tools/oracle/model_goldens.py), next to a Replica with the same weights.
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/family.h"
#include "tensor/safetensors.h"
#include "train/replica.h"

namespace boreal::train {

// What PyTorch computed in one dtype: of batch 0, and in training on all batches in turn.
struct GoldenFigures {
  double loss = 0;
  std::vector<double> losses;
  std::vector<double> gradient_norms;
};

class GoldenModel {
 public:
  // Masters are filled and published. micro_rows: rows a call of accumulate() may have.
  GoldenModel(const std::string& name, DType dtype);

  Replica& replica() { return *replica_; }
  const std::vector<tokens::Batch>& batches() const { return batches_; }
  const spec::OptimSpec& optim() const { return optim_; }
  const GoldenFigures& figures(DType dtype) const { return dtype == DType::f32 ? fp32_ : bf16_; }
  // A tensor of golden.safetensors. Names of bf16 have the suffix "_bf16" before the first dot.
  std::vector<float> golden(const std::string& name, DType dtype) const;

  const std::vector<model::HfTensor>& tensors() const { return tensors_; }
  // Its gradient, laid out as in the Hugging Face file.
  std::vector<float> gradient(const model::HfTensor& hf) const;
  // fp32 [rows * sequence, vocab], as text is generated: forward alone, without cached keys.
  std::vector<float> logits(const tokens::Batch& batch) const;
  // Forward and backward of the batch, `rows` rows at a time; returns the mean loss.
  double accumulate(const tokens::Batch& batch, std::int64_t rows);

 private:
  const nn::Parameter& parameter(const std::string& name) const;
  void fill(const model::HfTensor& hf, const std::vector<float>& values);
  void read_batches();
  void read_figures();

  std::string folder_;
  std::unique_ptr<tensor::SafetensorsFile> file_;
  device::Pool pool_;
  std::vector<model::HfTensor> tensors_;
  std::unique_ptr<Replica> replica_;
  std::vector<tokens::Batch> batches_;
  spec::OptimSpec optim_;
  GoldenFigures fp32_, bf16_;
};

}  // namespace boreal::train
