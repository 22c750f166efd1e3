#include "tensor/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "tensor/gguf_format.h"

namespace boreal::tensor {

using namespace gguf;  // the numbers of the format

namespace {

constexpr std::int64_t kBlock = 32;
constexpr const char* kAlignmentKey = "general.alignment";

std::optional<GgufType> known(std::uint32_t type) {
  for (const GgufType t :
       {GgufType::f32, GgufType::f16, GgufType::q4_0, GgufType::q8_0, GgufType::bf16})
    if (static_cast<std::uint32_t>(t) == type) return t;
  return std::nullopt;
}

}  // namespace

std::string_view name_of(GgufType type) {
  switch (type) {
    case GgufType::f32: return "F32";
    case GgufType::f16: return "F16";
    case GgufType::q4_0: return "Q4_0";
    case GgufType::q8_0: return "Q8_0";
    case GgufType::bf16: return "BF16";
  }
  return "?";
}

std::int64_t gguf_row_bytes(GgufType type, std::int64_t columns) {
  switch (type) {
    case GgufType::f32: return 4 * columns;
    case GgufType::f16:
    case GgufType::bf16: return 2 * columns;
    case GgufType::q8_0: return columns / kBlock * 34;
    case GgufType::q4_0: return columns / kBlock * 18;
  }
  return 0;
}

// Reads the head of a file from front to back; each step is refused where it leaves the file.
class GgufReader {
 public:
  GgufReader(GgufFile& file, std::span<const std::byte> bytes) : file_(file), bytes_(bytes) {}

  Status read() {
    ASSIGN_OR_RETURN(const std::string magic, take(kMagic.size(), "the magic"));
    if (magic != kMagic)
      return refused("{}: begins with other bytes than \"GGUF\"; it is no GGUF file", file_.path_);
    ASSIGN_OR_RETURN(const auto version, number<std::uint32_t>("the version"));
    if (version == __builtin_bswap32(kVersion) || version == __builtin_bswap32(2))
      return refused("{}: written on a big-endian machine; this program reads little-endian files",
                     file_.path_);
    if (version != 2 && version != kVersion)
      return refused("{}: version {}, but versions 2 and 3 are read here", file_.path_, version);
    ASSIGN_OR_RETURN(const auto tensors, number<std::uint64_t>("the number of tensors"));
    ASSIGN_OR_RETURN(const auto facts, number<std::uint64_t>("the number of facts"));
    // Each takes more than these bytes, so larger counts cannot be true.
    if (tensors > left() / 24 || facts > left() / 13)
      return refused("{}: claims {} tensors and {} facts in {} bytes; is it cut short or damaged?",
                     file_.path_, tensors, facts, bytes_.size());
    for (std::uint64_t i = 0; i < facts; ++i) RETURN_IF_ERROR(fact());
    RETURN_IF_ERROR(alignment());
    for (std::uint64_t i = 0; i < tensors; ++i) RETURN_IF_ERROR(tensor());
    return place();
  }

 private:
  std::uint64_t left() const { return bytes_.size() - at_; }

  Result<std::string> take(std::uint64_t count, std::string_view what) {
    if (count > left())
      return refused("{}: {} at byte {} would take {} bytes, but {} are left; is it cut short?",
                     file_.path_, what, at_, count, left());
    std::string taken(reinterpret_cast<const char*>(bytes_.data()) + at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  Result<T> number(std::string_view what) {
    ASSIGN_OR_RETURN(const std::string bytes, take(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  Result<std::string> text(std::string_view what) {
    ASSIGN_OR_RETURN(const auto length, number<std::uint64_t>(what));
    return take(length, what);
  }

  template <class T>
  Status whole(const std::string& key, GgufValue& value) {
    ASSIGN_OR_RETURN(const T read, number<T>(key));
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      if (read > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
        return refused("{}: {} is {}, above 2^63", file_.path_, key, read);
    }
    value = static_cast<std::int64_t>(read);
    return Done{};
  }
  Status scalar(std::uint32_t kind, const std::string& key, GgufValue& value) {
    switch (kind) {
      case kU8: return whole<std::uint8_t>(key, value);
      case kI8: return whole<std::int8_t>(key, value);
      case kU16: return whole<std::uint16_t>(key, value);
      case kI16: return whole<std::int16_t>(key, value);
      case kU32: return whole<std::uint32_t>(key, value);
      case kI32: return whole<std::int32_t>(key, value);
      case kU64: return whole<std::uint64_t>(key, value);
      case kI64: return whole<std::int64_t>(key, value);
      case kF32: {
        ASSIGN_OR_RETURN(const auto read, number<float>(key));
        value = static_cast<double>(read);
        return Done{};
      }
      case kF64: {
        ASSIGN_OR_RETURN(value, number<double>(key));
        return Done{};
      }
      case kBool: {
        ASSIGN_OR_RETURN(const auto read, number<std::uint8_t>(key));
        if (read > 1) return refused("{}: {} is {}, neither 0 nor 1", file_.path_, key, read);
        value = read == 1;
        return Done{};
      }
      case kString: {
        ASSIGN_OR_RETURN(value, text(key));
        return Done{};
      }
      default:
        return refused("{}: {} has values of type {}, which the format does not have", file_.path_,
                       key, kind);
    }
  }
  Status array(const std::string& key, GgufValue& value) {
    ASSIGN_OR_RETURN(const auto kind, number<std::uint32_t>(key));
    ASSIGN_OR_RETURN(const auto count, number<std::uint64_t>(key));
    if (count > left())
      return refused("{}: {} claims {} values, but {} bytes are left", file_.path_, key, count,
                     left());
    std::vector<std::int64_t> integers;
    std::vector<double> numbers;
    std::vector<std::string> texts;
    GgufValue one;
    for (std::uint64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(scalar(kind, key, one));
      if (auto* text = std::get_if<std::string>(&one))
        texts.push_back(std::move(*text));
      else if (const auto* real = std::get_if<double>(&one))
        numbers.push_back(*real);
      else if (const auto* yes = std::get_if<bool>(&one))
        integers.push_back(*yes ? 1 : 0);
      else
        integers.push_back(std::get<std::int64_t>(one));
    }
    if (kind == kString)
      value = std::move(texts);
    else if (kind == kF32 || kind == kF64)
      value = std::move(numbers);
    else
      value = std::move(integers);
    return Done{};
  }
  Status fact() {
    ASSIGN_OR_RETURN(const std::string key, text("the name of a fact"));
    ASSIGN_OR_RETURN(const auto kind, number<std::uint32_t>(key));
    if (file_.values_.contains(key)) return refused("{}: {} stands twice", file_.path_, key);
    GgufValue& value = file_.values_[key];
    return kind == kArray ? array(key, value) : scalar(kind, key, value);
  }

  Status alignment() {
    if (!file_.has(kAlignmentKey)) return Done{};
    ASSIGN_OR_RETURN(alignment_, file_.integer(kAlignmentKey));
    if (alignment_ < 8 || alignment_ > (1 << 20) || (alignment_ & (alignment_ - 1)) != 0)
      return refused("{}: {} is {}, but must be a power of two from 8 to 2^20", file_.path_,
                     kAlignmentKey, alignment_);
    return Done{};
  }

  Status tensor() {
    GgufTensor t;
    ASSIGN_OR_RETURN(t.name, text("the name of a tensor"));
    ASSIGN_OR_RETURN(const auto dims, number<std::uint32_t>(t.name));
    if (dims < 1 || dims > 4)
      return refused("{}: tensor \"{}\" has {} dims; 1 to 4 are possible", file_.path_, t.name,
                     dims);
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dims; ++i) {
      ASSIGN_OR_RETURN(const auto size, number<std::uint64_t>(t.name));
      constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
      if (size == 0 || size > kMost || elements > kMost / size)
        return refused("{}: tensor \"{}\" has a dim of {}; that cannot be", file_.path_, t.name,
                       size);
      elements *= size;
      t.shape.insert(t.shape.begin(), static_cast<std::int64_t>(size));  // the file has inner first
    }
    ASSIGN_OR_RETURN(t.type, number<std::uint32_t>(t.name));
    ASSIGN_OR_RETURN(const auto offset, number<std::uint64_t>(t.name));
    if (offset > bytes_.size() || offset % static_cast<std::uint64_t>(alignment_) != 0)
      return refused("{}: tensor \"{}\" lies at {}, which is {}", file_.path_, t.name, offset,
                     offset > bytes_.size() ? "behind the end of the file"
                                            : fmt::format("no multiple of {}", alignment_));
    t.offset = static_cast<std::int64_t>(offset);
    if (const auto type = known(t.type)) {
      if ((*type == GgufType::q4_0 || *type == GgufType::q8_0) && t.shape.back() % kBlock != 0)
        return refused("{}: tensor \"{}\" has rows of {}, no multiple of the {} of a {} block",
                       file_.path_, t.name, t.shape.back(), kBlock, name_of(*type));
      t.bytes = static_cast<std::int64_t>(elements) / t.shape.back() *
                gguf_row_bytes(*type, t.shape.back());
    }
    if (!file_.index_.emplace(t.name, file_.tensors_.size()).second)
      return refused("{}: tensor \"{}\" stands twice", file_.path_, t.name);
    file_.tensors_.push_back(std::move(t));
    return Done{};
  }

  // Offsets become those in the file.
  Status place() {
    const std::int64_t begin = aligned(static_cast<std::int64_t>(at_), alignment_);
    const auto size = static_cast<std::int64_t>(bytes_.size());
    std::vector<const GgufTensor*> order;
    for (GgufTensor& t : file_.tensors_) {
      t.offset += begin;
      if (t.offset + t.bytes > size)
        return refused("{}: tensor \"{}\" ends at byte {}, but the file has {}; is it cut short?",
                       file_.path_, t.name, t.offset + t.bytes, size);
      order.push_back(&t);
    }
    std::ranges::sort(order, {}, &GgufTensor::offset);
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
        return refused("{}: tensors \"{}\" and \"{}\" share bytes", file_.path_, order[i - 1]->name,
                       order[i]->name);
    return Done{};
  }

  GgufFile& file_;
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  std::int64_t alignment_ = kAlignment;
};

Result<GgufFile> GgufFile::open(Env& env, const std::string& path) {
  GgufFile file;
  file.path_ = path;
  ASSIGN_OR_RETURN(file.map_, env.map_file(path));
  RETURN_IF_ERROR(GgufReader(file, file.map_->bytes()).read());
  return file;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

Result<const GgufTensor*> GgufFile::need(std::string_view name) const {
  const GgufTensor* tensor = find(name);
  if (tensor == nullptr) return refused("{}: no tensor \"{}\"", path_, name);
  if (!known(tensor->type))
    return refused("{}: tensor \"{}\" is of type {}; F32, F16, BF16, Q8_0 and Q4_0 are read here",
                   path_, name, tensor->type);
  return tensor;
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  return map_->bytes().subspan(static_cast<std::size_t>(tensor.offset),
                               static_cast<std::size_t>(tensor.bytes));
}

template <class T>
Result<T> GgufFile::value(const std::string& key, std::string_view kind) const {
  const auto at = values_.find(key);
  if (at == values_.end()) return refused("{}: no \"{}\"", path_, key);
  const T* value = std::get_if<T>(&at->second);
  if (value == nullptr) return refused("{}: \"{}\" is no {}", path_, key, kind);
  return *value;
}

Result<std::int64_t> GgufFile::integer(const std::string& key) const {
  return value<std::int64_t>(key, "whole number");
}
Result<double> GgufFile::number(const std::string& key) const {
  return value<double>(key, "float");
}
Result<std::string> GgufFile::text(const std::string& key) const {
  return value<std::string>(key, "text");
}
Result<std::vector<std::string>> GgufFile::texts(const std::string& key) const {
  return value<std::vector<std::string>>(key, "list of texts");
}
Result<std::vector<std::int64_t>> GgufFile::integers(const std::string& key) const {
  return value<std::vector<std::int64_t>>(key, "list of whole numbers");
}

}  // namespace boreal::tensor
