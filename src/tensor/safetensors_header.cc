#include "tensor/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace boreal::tensor {

namespace {

using nlohmann::json;

constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kDimsMax = 16;
constexpr std::size_t kTensorsMax = 1'000'000;

struct FormatType {
  std::string_view name;
  std::int64_t bits;
  std::optional<DType> type;
};

constexpr std::array kTypes = {
    FormatType{"F32", 32, DType::f32},          FormatType{"BF16", 16, DType::bf16},
    FormatType{"F64", 64, DType::f64},          FormatType{"I32", 32, DType::i32},
    FormatType{"I64", 64, DType::i64},          FormatType{"U8", 8, DType::u8},
    FormatType{"U16", 16, DType::u16},          FormatType{"F16", 16, std::nullopt},
    FormatType{"BOOL", 8, std::nullopt},        FormatType{"I8", 8, std::nullopt},
    FormatType{"I16", 16, std::nullopt},        FormatType{"U32", 32, std::nullopt},
    FormatType{"U64", 64, std::nullopt},        FormatType{"C64", 64, std::nullopt},
    FormatType{"F8_E4M3", 8, std::nullopt},     FormatType{"F8_E5M2", 8, std::nullopt},
    FormatType{"F8_E8M0", 8, std::nullopt},     FormatType{"F8_E4M3FNUZ", 8, std::nullopt},
    FormatType{"F8_E5M2FNUZ", 8, std::nullopt}, FormatType{"F6_E2M3", 6, std::nullopt},
    FormatType{"F6_E3M2", 6, std::nullopt},     FormatType{"F4", 4, std::nullopt},
};

const FormatType* find_type(std::string_view name) {
  const auto* found = std::ranges::find(kTypes, name, &FormatType::name);
  return found == kTypes.end() ? nullptr : found;
}

// For messages: a name from a hostile file must not reach a terminal raw or at any length.
std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return name.size() > 80 ? out + "..." : out;
}

// Takes the header's events in order and accepts only the one shape it may have. It sees every
// key, so a duplicate cannot hide as it would behind a map.
class HeaderReader final : public json::json_sax_t {
 public:
  SafetensorsHeader header;
  std::string fault;  // "" while all is well

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::before: place_ = Place::top; return true;
      case Place::top:
        if (key_ == "__metadata__") {
          place_ = Place::metadata;
          return true;
        }
        place_ = Place::tensor;
        header.entries.emplace_back().name = key_;
        seen_dtype_ = seen_shape_ = seen_offsets_ = false;
        return true;
      default: return unexpected("an object");
    }
  }

  bool key(std::string& name) override {
    key_ = name;
    switch (place_) {
      case Place::top:
        if (!top_keys_.insert(name).second) return refuse("the key '{}' stands twice", shown(name));
        return name == "__metadata__" || check_name(name);
      case Place::metadata:
        if (header.metadata.count(name) > 0)
          return refuse("the key '{}' stands twice in __metadata__", shown(name));
        return true;
      default: return tensor_key(name);
    }
  }

  bool end_object() override {
    if (place_ == Place::tensor && !(seen_dtype_ && seen_shape_ && seen_offsets_))
      return refuse("tensor '{}' lacks {}", tensor_name(),
                    !seen_dtype_ ? "dtype" : (!seen_shape_ ? "shape" : "data_offsets"));
    place_ = place_ == Place::top ? Place::after : Place::top;
    return true;
  }

  bool start_array(std::size_t) override {
    numbers_.clear();
    if (place_ == Place::tensor && key_ != "dtype") {
      place_ = Place::array;
      return true;
    }
    return unexpected("an array");
  }

  bool end_array() override {
    place_ = Place::tensor;
    SafetensorsEntry& entry = header.entries.back();
    if (key_ == "shape") {
      if (numbers_.size() > kDimsMax)
        return refuse("tensor '{}' has {} dims, at most {} are allowed", tensor_name(),
                      numbers_.size(), kDimsMax);
      entry.shape = numbers_;
      return true;
    }
    if (numbers_.size() != 2)
      return refuse("tensor '{}' has {} data_offsets instead of 2", tensor_name(), numbers_.size());
    entry.begin = numbers_[0];
    entry.end = numbers_[1];
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      header.metadata.emplace(key_, text);
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype") return unexpected("a string");
    const FormatType* type = find_type(text);
    if (type == nullptr)
      return refuse("tensor '{}' has the unknown dtype '{}'", tensor_name(), shown(text));
    header.entries.back().dtype = type->name;
    header.entries.back().type = type->type;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::array) return unexpected("a number");
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()))
      return refuse("tensor '{}' has {} in its {}, too large to be true", tensor_name(), value,
                    key_);
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return unexpected("the number " + shown(text));
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool binary(json::binary_t&) override { return unexpected("binary data"); }

  bool parse_error(std::size_t position, const std::string& token,
                   const json::exception& /*error*/) override {
    return refuse("not valid JSON at byte {} of the header, near '{}'", position, shown(token));
  }

 private:
  enum class Place { before, top, metadata, tensor, array, after };

  template <class... Args>
  bool refuse(fmt::format_string<Args...> format, Args&&... args) {
    if (fault.empty()) fault = fmt::format(format, std::forward<Args>(args)...);
    return false;
  }

  std::string tensor_name() const { return shown(header.entries.back().name); }

  bool unexpected(const std::string& what) {
    switch (place_) {
      case Place::tensor:
      case Place::array:
        return refuse(
            "tensor '{}': {} holds {}; dtype is a string, shape and data_offsets are "
            "lists of whole numbers",
            tensor_name(), shown(key_), what);
      case Place::metadata:
        return refuse("__metadata__ '{}' holds {}; only strings are allowed", shown(key_), what);
      default: return refuse("the header entry '{}' is {} instead of an object", shown(key_), what);
    }
  }

  bool check_name(const std::string& name) {
    if (name.size() > kNameBytesMax)
      return refuse("the tensor name '{}' has {} bytes, at most {} are allowed", shown(name),
                    name.size(), kNameBytesMax);
    if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      return refuse("the tensor name '{}' has a control character", shown(name));
    if (header.entries.size() >= kTensorsMax) return refuse("more than {} tensors", kTensorsMax);
    return true;
  }

  bool tensor_key(const std::string& name) {
    bool* seen = name == "dtype"          ? &seen_dtype_
                 : name == "shape"        ? &seen_shape_
                 : name == "data_offsets" ? &seen_offsets_
                                          : nullptr;
    if (seen == nullptr)
      return refuse("tensor '{}' has the unknown key '{}'", tensor_name(), shown(name));
    if (*seen) return refuse("tensor '{}' has the key '{}' twice", tensor_name(), name);
    *seen = true;
    return true;
  }

  Place place_ = Place::before;
  std::string key_;
  std::unordered_set<std::string> top_keys_;
  std::vector<std::int64_t> numbers_;
  bool seen_dtype_ = false;
  bool seen_shape_ = false;
  bool seen_offsets_ = false;
};

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Bytes that shape and dtype ask for; refused on overflow and on a broken last byte.
Result<std::int64_t> bytes_needed(const std::string& file, const SafetensorsEntry& entry) {
  std::int64_t bits = find_type(entry.dtype)->bits;
  // In the order of Shape::elements(), so that no product there can overflow either.
  for (const std::int64_t dim : entry.shape) {
    if (__builtin_mul_overflow(bits, dim, &bits))
      return refused("{}: tensor '{}': shape {} of {} is too large to be true", file,
                     shown(entry.name), shape_text(entry.shape), entry.dtype);
  }
  if (bits % 8 != 0)
    return refused("{}: tensor '{}': shape {} of {} gives {} bits, not whole bytes", file,
                   shown(entry.name), shape_text(entry.shape), entry.dtype, bits);
  return bits / 8;
}

// Each tensor begins where the one before it ends, and the last ends with the buffer.
Status check_layout(const std::string& file, const std::vector<SafetensorsEntry>& entries,
                    std::int64_t buffer_bytes) {
  std::int64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.end < entry.begin)
      return refused("{}: tensor '{}': data_offsets [{}, {}] run backwards", file,
                     shown(entry.name), entry.begin, entry.end);
    if (entry.begin != expected)
      return refused(
          "{}: tensor '{}' begins at byte {} of the data, but the one before ends at {} "
          "({})",
          file, shown(entry.name), entry.begin, expected,
          entry.begin < expected ? "they overlap" : "there is a hole");
    ASSIGN_OR_RETURN(const std::int64_t bytes, bytes_needed(file, entry));
    if (bytes != entry.end - entry.begin)
      return refused(
          "{}: tensor '{}': shape {} of {} needs {} bytes, data_offsets [{}, {}] hold {}", file,
          shown(entry.name), shape_text(entry.shape), entry.dtype, bytes, entry.begin, entry.end,
          entry.end - entry.begin);
    expected = entry.end;
  }
  if (expected != buffer_bytes)
    return refused(
        "{}: the tensors end at byte {} of the data, the file holds {} (last tensor "
        "'{}'); was the copy cut short?",
        file, expected, buffer_bytes, entries.empty() ? "" : shown(entries.back().name));
  return Done{};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(const std::string& file,
                                                   std::string_view json_text,
                                                   std::int64_t buffer_bytes) {
  if (json_text.empty() || json_text.front() != '{')
    return refused(
        "{}: the header begins with byte {} instead of '{{' (123); not a safetensors file", file,
        json_text.empty() ? -1 : static_cast<unsigned char>(json_text.front()));
  const std::size_t padding_begin = json_text.find_last_not_of(' ') + 1;
  if (json_text[padding_begin - 1] != '}')
    return refused("{}: the header ends with byte {} instead of '}}' (125) and spaces", file,
                   static_cast<unsigned char>(json_text[padding_begin - 1]));
  HeaderReader reader;
  const std::string_view object = json_text.substr(0, padding_begin);
  const bool whole = json::sax_parse(object.begin(), object.end(), &reader);
  if (!reader.fault.empty()) return refused("{}: {}", file, reader.fault);
  CHECK(whole, "{}: the parser stopped without a reason", file);
  std::ranges::sort(reader.header.entries, [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  RETURN_IF_ERROR(check_layout(file, reader.header.entries, buffer_bytes));
  return std::move(reader.header);
}

std::string_view safetensors_name_of(DType dtype) {
  const auto* found = std::ranges::find(kTypes, std::optional<DType>(dtype), &FormatType::type);
  CHECK(found != kTypes.end());
  return found->name;
}

}  // namespace boreal::tensor
