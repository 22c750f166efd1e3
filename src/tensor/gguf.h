// GGUF: the file format of llama.cpp, one file with facts about a model and its weights. Byte
// layout: docs/formats-gguf.md. Reading is strict: every count, length, offset and size is checked
// against the file before it is used, and every refusal names the file and what disagrees. The file
// is mapped; views point into the mapping and live as long as the object.
// Thread rule: const methods from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "tensor/memory.h"

namespace boreal::tensor {

// Types of tensors that this program has; others may stand in a file and are refused when read.
enum class GgufType : std::uint32_t { f32 = 0, f16 = 1, q4_0 = 2, q8_0 = 8, bf16 = 30 };

std::string_view name_of(GgufType type);  // "F32", "F16", "Q4_0", "Q8_0", "BF16"
// Bytes of a row of so many elements; types in blocks take whole blocks of 32 only.
std::int64_t gguf_row_bytes(GgufType type, std::int64_t columns);

struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;           // as in the file
  std::vector<std::int64_t> shape;  // outermost first: a matrix is [out, in]
  std::int64_t offset = 0;          // in the file
  std::int64_t bytes = 0;           // 0 for a type that we do not have
};

// Integers of all widths are one kind here, and so are floats.
using GgufValue = std::variant<std::int64_t, double, bool, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

class GgufFile {
 public:
  static Result<GgufFile> open(Env& env, const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view name) const;  // nullptr if there is none
  // Refused: no such tensor, or of a type that we do not have.
  Result<const GgufTensor*> need(std::string_view name) const;
  std::span<const std::byte> data(const GgufTensor& tensor) const;

  bool has(const std::string& key) const { return values_.contains(key); }
  // Refused: missing, or of another kind.
  Result<std::int64_t> integer(const std::string& key) const;
  Result<double> number(const std::string& key) const;
  Result<std::string> text(const std::string& key) const;
  Result<std::vector<std::string>> texts(const std::string& key) const;
  Result<std::vector<std::int64_t>> integers(const std::string& key) const;

 private:
  friend class GgufReader;
  GgufFile() = default;
  template <class T>
  Result<T> value(const std::string& key, std::string_view kind) const;

  std::string path_;
  std::unique_ptr<MappedFile> map_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, GgufValue> values_;
};

// Facts in the order in which they are added.
class GgufFacts {
 public:
  void u32(std::string_view key, std::uint32_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void texts(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const std::int32_t> values);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(std::string_view name, std::uint32_t type);
  std::string bytes_;
  std::uint64_t count_ = 0;
};

struct GgufPiece {
  std::string name;
  GgufType type = GgufType::f32;
  std::vector<std::int64_t> shape;
  std::function<Result<Block>()> make;  // the tensor's bytes; called once, when they are written
};

// Writes the file whole or not at all (temporary file, sync, rename).
Status write_gguf(Env& env, const std::string& path, const GgufFacts& facts,
                  std::span<const GgufPiece> pieces);

}  // namespace boreal::tensor
