// Checkpoint: reads logical tensors, by name and box, from a folder that save() wrote, whatever
// number of ranks wrote it. Nothing unverified is handed out: each stored piece and file is hashed
// before the first byte of it is used. Errors are of kind refused and name the folder's file, the
// tensor and both hashes or sizes. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "ckpt/manifest.h"
#include "tensor/tensor.h"

namespace boreal::ckpt {

class Checkpoint {
 public:
  // Checks the manifest's own hash, its consistency, and that each file is there with its size. The
  // content of the files is checked when it is read, or by verify(). Files that the manifest does
  // not list are ignored.
  static Result<Checkpoint> open(Env& env, const std::string& dir);

  const std::string& dir() const { return dir_; }
  std::int64_t step() const { return manifest_.step; }
  std::optional<double> loss() const { return manifest_.loss; }
  const Origin& origin() const { return manifest_.origin; }
  // The caller's JSON object, as it was given to save() but for white space.
  const std::string& meta_json() const { return manifest_.meta_json; }
  // In the order in which they were saved.
  const std::vector<TensorRecord>& tensors() const { return manifest_.tensors; }
  // nullptr if there is none.
  const TensorRecord* find(const std::string& name) const;

  // Fills `into` with the box at `offset` of the tensor; the box's shape is into.shape. Its rows
  // may be strided. Refused: no such tensor, another dtype, a box that reaches out of the tensor,
  // damage.
  Status read(const std::string& name, const tensor::Tensor& into,
              std::span<const std::int64_t> offset);
  // The whole tensor; also refused if into.shape is not its shape.
  Status read(const std::string& name, const tensor::Tensor& into);

  // The content of a file that was given to save() beside the tensors.
  Result<std::string> read_file(const std::string& name);

  // Reads and hashes every byte of every file.
  Status verify();

 private:
  Checkpoint(Env& env, std::string dir) : env_(&env), dir_(std::move(dir)) {}
  Result<std::span<const std::byte>> bytes_of_file(const std::string& name);
  Result<const std::byte*> checked_piece(const TensorRecord& tensor, const PieceRecord& piece);
  Status verify_padding();

  Env* env_;
  std::string dir_;
  Manifest manifest_;
  std::unordered_map<std::string, std::size_t> index_;
  std::map<std::string, std::unique_ptr<MappedFile>> maps_;
  std::unordered_map<const PieceRecord*, const std::byte*> checked_;
};

}  // namespace boreal::ckpt
