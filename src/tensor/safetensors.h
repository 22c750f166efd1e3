// safetensors: the file format of model weights (huggingface/safetensors). Byte layout:
// docs/formats-checkpoint.md. Reading is strict: what two readers could understand differently is
// refused, and every refusal names the file, the tensor and the two values that disagree. The file
// is mapped, not read: views point into the mapping, are read-only and live as long as the object.
// Thread rule: const methods from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace boreal::tensor {

// Longest header that is read [bytes]; the limit of the format's reference implementation.
inline constexpr std::int64_t kSafetensorsHeaderBytesMax = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  std::string dtype;          // as in the file: "F32", "F16", ...
  std::optional<DType> type;  // where this program has the type
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  // [begin, end) in the data buffer, bytes
  std::int64_t end = 0;

  std::int64_t elements() const;
};

using SafetensorsMetadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(Env& env, const std::string& path);

  const std::string& path() const { return path_; }
  // In the order of their bytes.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // nullptr if there is none.
  const SafetensorsEntry* find(std::string_view name) const;

  // A read-only view. Refused: no such tensor, a dtype this program lacks, more than four dims, or
  // data that do not lie on a multiple of the element size (read_as_f32 takes those).
  Result<Tensor> tensor(std::string_view name) const;
  // Copies and converts F64, F32, F16 or BF16. Refused: other dtypes, out.size() != elements.
  Status read_as_f32(std::string_view name, std::span<float> out) const;

 private:
  SafetensorsFile() = default;
  Result<const SafetensorsEntry*> need(std::string_view name) const;
  const std::byte* at(const SafetensorsEntry& entry) const;

  std::string path_;
  std::unique_ptr<MappedFile> map_;
  std::int64_t buffer_begin_ = 0;  // of the data buffer in the file
  std::vector<SafetensorsEntry> entries_;
  SafetensorsMetadata metadata_;
  std::unordered_map<std::string, std::size_t> index_;
};

// The weights of a model: one .safetensors file, or a folder with model.safetensors, or a folder
// with model.safetensors.index.json and the files that it names. Where an index exists it alone
// says which file holds a tensor.
class SafetensorsModel {
 public:
  static Result<SafetensorsModel> open(Env& env, const std::string& path);

  const std::vector<SafetensorsFile>& files() const { return files_; }
  // All names, sorted.
  std::vector<std::string> names() const;
  const SafetensorsEntry* find(const std::string& name) const;
  Result<Tensor> tensor(const std::string& name) const;
  Status read_as_f32(const std::string& name, std::span<float> out) const;

 private:
  SafetensorsModel() = default;
  Status add_index(Env& env, const std::string& folder);
  Result<const SafetensorsFile*> file_of(const std::string& name) const;

  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;
};

using NamedTensor = std::pair<std::string, Tensor>;

// Writes the file whole or not at all (temporary file, sync, rename). Tensors are laid out by
// element size, largest first, so that all data are aligned; the header is padded so that the
// buffer begins at a multiple of 64. Requires unique names other than "__metadata__" and memory
// behind each tensor; rows may be strided.
Status write_safetensors(Env& env, const std::string& path, std::span<const NamedTensor> tensors,
                         const SafetensorsMetadata& metadata);

}  // namespace boreal::tensor
