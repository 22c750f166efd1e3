#include "tensor/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string>

#include "tensor/safetensors_header.h"

namespace boreal::tensor {

namespace {

using nlohmann::json;

constexpr std::int64_t kLengthBytes = 8;  // of the header length that opens the file
constexpr std::size_t kAlign = 64;

// The data need not be aligned, so every element goes through memcpy.
template <class T, class F>
void convert(const std::byte* data, std::span<float> out, F to_f32) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    out[i] = to_f32(value);
  }
}

}  // namespace

std::int64_t SafetensorsEntry::elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Result<SafetensorsFile> SafetensorsFile::open(Env& env, const std::string& path) {
  SafetensorsFile file;
  file.path_ = path;
  ASSIGN_OR_RETURN(file.map_, env.map_file(path));
  const std::span<const std::byte> bytes = file.map_->bytes();
  if (bytes.size() < static_cast<std::size_t>(kLengthBytes))
    return refused("{}: holds {} bytes, a safetensors file has at least {}", path, bytes.size(),
                   kLengthBytes);
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < 8; ++i)
    header_bytes |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(bytes[i])) << (8 * i);
  if (header_bytes > static_cast<std::uint64_t>(kSafetensorsHeaderBytesMax))
    return refused(
        "{}: says its header has {} bytes, at most {} are allowed; not a safetensors file?", path,
        header_bytes, kSafetensorsHeaderBytesMax);
  if (header_bytes > bytes.size() - 8)
    return refused("{}: says its header has {} bytes, but {} follow; was the copy cut short?", path,
                   header_bytes, bytes.size() - 8);
  file.buffer_begin_ = kLengthBytes + static_cast<std::int64_t>(header_bytes);
  const std::string text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_bytes);
  ASSIGN_OR_RETURN(SafetensorsHeader header,
                   parse_safetensors_header(
                       path, text, static_cast<std::int64_t>(bytes.size()) - file.buffer_begin_));
  file.entries_ = std::move(header.entries);
  file.metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < file.entries_.size(); ++i) file.index_[file.entries_[i].name] = i;
  return file;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

Result<const SafetensorsEntry*> SafetensorsFile::need(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr)
    return refused("{}: has no tensor '{}' (it holds {} others)", path_, name, entries_.size());
  return entry;
}

const std::byte* SafetensorsFile::at(const SafetensorsEntry& entry) const {
  return map_->bytes().data() + buffer_begin_ + entry.begin;
}

Result<Tensor> SafetensorsFile::tensor(std::string_view name) const {
  ASSIGN_OR_RETURN(const SafetensorsEntry* entry, need(name));
  if (!entry->type)
    return refused("{}: tensor '{}' has dtype {}, of which there is no view here", path_, name,
                   entry->dtype);
  if (entry->shape.size() > 4)
    return refused("{}: tensor '{}' has {} dims, at most 4 are supported", path_, name,
                   entry->shape.size());
  const std::byte* data = at(*entry);
  // Files of early writers pad their header to nothing, so their data may lie anywhere.
  if (reinterpret_cast<std::uintptr_t>(data) % bytes_of(*entry->type) != 0)
    return refused(
        "{}: tensor '{}' lies at byte {} of the file, not a multiple of its {} bytes an "
        "element",
        path_, name, buffer_begin_ + entry->begin, bytes_of(*entry->type));
  return Tensor(const_cast<std::byte*>(data), *entry->type, Shape(std::span(entry->shape)));
}

Status SafetensorsFile::read_as_f32(std::string_view name, std::span<float> out) const {
  ASSIGN_OR_RETURN(const SafetensorsEntry* entry, need(name));
  if (static_cast<std::int64_t>(out.size()) != entry->elements())
    return refused("{}: tensor '{}' has {} elements, {} are wanted", path_, name, entry->elements(),
                   out.size());
  const std::byte* data = at(*entry);
  if (entry->dtype == "F32") {
    if (!out.empty()) std::memcpy(out.data(), data, out.size_bytes());
  } else if (entry->dtype == "BF16") {
    convert<bf16_t>(data, out, [](bf16_t v) { return to_float(v); });
  } else if (entry->dtype == "F16") {
    convert<std::uint16_t>(data, out, float_of_half);
  } else if (entry->dtype == "F64") {
    convert<double>(data, out, [](double v) { return static_cast<float>(v); });
  } else {
    return refused("{}: tensor '{}' has dtype {}, floating point numbers are wanted", path_, name,
                   entry->dtype);
  }
  return Done{};
}

Result<SafetensorsModel> SafetensorsModel::open(Env& env, const std::string& path) {
  SafetensorsModel model;
  model.path_ = path;
  const std::string single = env.is_dir(path) ? join_path(path, "model.safetensors") : path;
  if (env.is_dir(path) && !env.exists(single)) {
    if (!env.exists(join_path(path, "model.safetensors.index.json")))
      return refused("{}: has neither model.safetensors nor model.safetensors.index.json", path);
    RETURN_IF_ERROR(model.add_index(env, path));
    return model;
  }
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(env, single));
  for (const SafetensorsEntry& entry : file.entries()) model.file_of_[entry.name] = 0;
  model.files_.push_back(std::move(file));
  return model;
}

Status SafetensorsModel::add_index(Env& env, const std::string& folder) {
  const std::string path = join_path(folder, "model.safetensors.index.json");
  ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
  // The last of two equal keys would win silently; the callback sees both.
  std::vector<std::set<std::string>> open_objects;
  std::string twice;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key &&
        !open_objects.back().insert(value.get<std::string>()).second && twice.empty())
      twice = value.get<std::string>();
    return true;
  };
  const json index = json::parse(text, watch, false);
  if (index.is_discarded()) return refused("{}: not valid JSON", path);
  if (!twice.empty()) return refused("{}: the key '{}' stands twice", path, twice);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return refused("{}: has no object 'weight_map'", path);
  std::map<std::string, std::size_t> opened;
  for (const auto& [name, where] : index["weight_map"].items()) {
    if (!where.is_string()) return refused("{}: the file of tensor '{}' is no string", path, name);
    const auto shard = where.get<std::string>();
    if (shard.empty() || shard != file_name(shard) || shard.front() == '.')
      return refused("{}: tensor '{}' lies in '{}', which is not a plain file name", path, name,
                     shard);
    const auto [at, is_new] = opened.emplace(shard, files_.size());
    if (is_new) {
      ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(env, join_path(folder, shard)));
      files_.push_back(std::move(file));
    }
    if (files_[at->second].find(name) == nullptr)
      return refused("{}: says tensor '{}' lies in {}, which does not hold it", path, name, shard);
    file_of_[name] = at->second;
  }
  return Done{};
}

std::vector<std::string> SafetensorsModel::names() const {
  std::vector<std::string> out;
  for (const auto& [name, file] : file_of_) out.push_back(name);
  return out;
}

const SafetensorsEntry* SafetensorsModel::find(const std::string& name) const {
  const auto found = file_of_.find(name);
  return found == file_of_.end() ? nullptr : files_[found->second].find(name);
}

Result<const SafetensorsFile*> SafetensorsModel::file_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end())
    return refused("{}: has no tensor '{}' (it holds {} others)", path_, name, file_of_.size());
  return &files_[found->second];
}

Result<Tensor> SafetensorsModel::tensor(const std::string& name) const {
  ASSIGN_OR_RETURN(const SafetensorsFile* file, file_of(name));
  return file->tensor(name);
}

Status SafetensorsModel::read_as_f32(const std::string& name, std::span<float> out) const {
  ASSIGN_OR_RETURN(const SafetensorsFile* file, file_of(name));
  return file->read_as_f32(name, out);
}

namespace {

std::string json_string(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string header_of(std::span<const NamedTensor* const> tensors,
                      const SafetensorsMetadata& metadata) {
  std::vector<std::string> items;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata)
      pairs.push_back(json_string(key) + ":" + json_string(value));
    items.push_back(fmt::format("\"__metadata__\":{{{}}}", fmt::join(pairs, ",")));
  }
  std::int64_t begin = 0;
  for (const NamedTensor* item : tensors) {
    const auto& [name, tensor] = *item;
    std::vector<std::int64_t> dims;
    for (std::int64_t i = 0; i < tensor.shape.rank(); ++i) dims.push_back(tensor.shape[i]);
    items.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                json_string(name), safetensors_name_of(tensor.dtype),
                                fmt::join(dims, ","), begin, begin + tensor.bytes()));
    begin += tensor.bytes();
  }
  std::string header = fmt::format("{{{}}}", fmt::join(items, ","));
  const std::size_t used = header.size() + 8;
  header.append((kAlign - used % kAlign) % kAlign, ' ');
  return header;
}

Status append_tensor(FileWriter& writer, const Tensor& tensor) {
  const auto* data = static_cast<const std::byte*>(tensor.data);
  if (tensor.dense())
    return writer.append(std::span(data, static_cast<std::size_t>(tensor.bytes())));
  const std::size_t row_bytes = static_cast<std::size_t>(tensor.columns()) * bytes_of(tensor.dtype);
  const std::size_t stride = static_cast<std::size_t>(tensor.row_stride) * bytes_of(tensor.dtype);
  for (std::int64_t row = 0; row < tensor.rows(); ++row)
    RETURN_IF_ERROR(
        writer.append(std::span(data + static_cast<std::size_t>(row) * stride, row_bytes)));
  return Done{};
}

Status write_all(FileWriter& writer, std::span<const NamedTensor* const> tensors,
                 const SafetensorsMetadata& metadata) {
  const std::string header = header_of(tensors, metadata);
  std::string opening;
  for (std::size_t i = 0; i < 8; ++i)
    opening += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xffU);
  RETURN_IF_ERROR(writer.append(opening + header));
  for (const NamedTensor* item : tensors) RETURN_IF_ERROR(append_tensor(writer, item->second));
  RETURN_IF_ERROR(writer.sync());
  return writer.close();
}

}  // namespace

Status write_safetensors(Env& env, const std::string& path, std::span<const NamedTensor> tensors,
                         const SafetensorsMetadata& metadata) {
  std::vector<const NamedTensor*> order;
  std::set<std::string> names;
  for (const NamedTensor& item : tensors) {
    CHECK(item.first != "__metadata__" && names.insert(item.first).second,
          "tensor name '{}' is reserved or stands twice", item.first);
    CHECK(item.second.data != nullptr || item.second.bytes() == 0, "'{}' has no memory",
          item.first);
    order.push_back(&item);
  }
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [](const NamedTensor* item) { return bytes_of(item->second.dtype); });
  const std::string temp = path + ".tmp";
  ASSIGN_OR_RETURN(auto writer, env.create(temp));
  Status status = write_all(*writer, order, metadata);
  writer.reset();
  if (status.ok()) status = env.rename(temp, path);
  if (!status.ok()) {
    (void)env.remove_all(temp);
    return std::move(status).error();
  }
  return env.sync_dir(parent_path(path));
}

}  // namespace boreal::tensor
