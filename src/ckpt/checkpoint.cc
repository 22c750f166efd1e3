#include "ckpt/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/hash.h"

namespace boreal::ckpt {

namespace {

std::span<const std::byte> part(std::span<const std::byte> bytes, std::int64_t begin,
                                std::int64_t count) {
  return bytes.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
}

}  // namespace

Result<Checkpoint> Checkpoint::open(Env& env, const std::string& dir) {
  Checkpoint checkpoint(env, dir);
  const std::string path = join_path(dir, kManifestName);
  if (!env.exists(path)) return refused("{}: is no checkpoint: it has no {}", dir, kManifestName);
  ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
  ASSIGN_OR_RETURN(checkpoint.manifest_, decode_manifest(path, text));
  for (const FileRecord& file : checkpoint.manifest_.files) {
    const std::string file_path = join_path(dir, file.name);
    ASSIGN_OR_RETURN(const std::uint64_t bytes, env.file_size(file_path));
    if (bytes != static_cast<std::uint64_t>(file.bytes))
      return refused("{}: holds {} bytes, the manifest says {}; was the copy cut short?", file_path,
                     bytes, file.bytes);
  }
  const std::vector<TensorRecord>& tensors = checkpoint.manifest_.tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) checkpoint.index_[tensors[i].name] = i;
  return checkpoint;
}

const TensorRecord* Checkpoint::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &manifest_.tensors[found->second];
}

Status Checkpoint::read(const std::string& name, const tensor::Tensor& into,
                        std::span<const std::int64_t> offset) {
  CHECK(into.data != nullptr || into.bytes() == 0, "no memory to read '{}' into", name);
  const TensorRecord* tensor = find(name);
  if (tensor == nullptr)
    return refused("{}: has no tensor '{}' (it holds {} others); is it of another model?", dir_,
                   name, manifest_.tensors.size());
  if (tensor->dtype != into.dtype)
    return refused("{}: tensor '{}' is {}, {} is wanted", dir_, name, name_of(tensor->dtype),
                   name_of(into.dtype));
  const Box wanted{{offset.begin(), offset.end()}, into.shape};
  if (const std::string fault = fault_of(wanted, tensor->shape); !fault.empty())
    return refused("{}: tensor '{}': the wanted {}; is it of another model?", dir_, name, fault);
  for (const PieceRecord& piece : tensor->pieces) {
    if (!overlap(piece.box, wanted)) continue;
    ASSIGN_OR_RETURN(const std::byte* data, checked_piece(*tensor, piece));
    copy_shared(piece.box, data, wanted, into);
  }
  return Done{};
}

Status Checkpoint::read(const std::string& name, const tensor::Tensor& into) {
  const TensorRecord* tensor = find(name);
  if (tensor != nullptr && tensor->shape != into.shape)
    return refused("{}: tensor '{}' has shape {}, {} is wanted; is it of another model?", dir_,
                   name, tensor->shape.text(), into.shape.text());
  const std::vector<std::int64_t> origin(static_cast<std::size_t>(into.shape.rank()), 0);
  return read(name, into, origin);
}

Result<std::string> Checkpoint::read_file(const std::string& name) {
  const auto file = std::ranges::find(manifest_.files, name, &FileRecord::name);
  const std::string path = join_path(dir_, name);
  if (file == manifest_.files.end() || file->hash.empty())
    return refused("{}: is not a file of this checkpoint", path);
  ASSIGN_OR_RETURN(std::string content, env_->read_file(path));
  const std::string hash = xxh3_128_hex(content);
  if (hash != file->hash)
    return refused(
        "{}: the manifest says XXH3-128 {}, its content gives {}; it is damaged or was "
        "edited",
        path, file->hash, hash);
  return content;
}

Status Checkpoint::verify() {
  for (const TensorRecord& tensor : manifest_.tensors)
    for (const PieceRecord& piece : tensor.pieces) RETURN_IF_ERROR(checked_piece(tensor, piece));
  for (const FileRecord& file : manifest_.files)
    if (!file.hash.empty()) RETURN_IF_ERROR(read_file(file.name));
  return verify_padding();
}

// Padding carries no value, but damage in it says that the disk is not to be trusted.
Status Checkpoint::verify_padding() {
  for (const TensorRecord& tensor : manifest_.tensors) {
    for (const PieceRecord& piece : tensor.pieces) {
      ASSIGN_OR_RETURN(const auto bytes, bytes_of_file(piece.file));
      const std::int64_t end = piece.begin + piece.bytes;
      const std::int64_t padding_end =
          std::min(padded_to_align(end), static_cast<std::int64_t>(bytes.size()));
      for (const std::byte b : part(bytes, end, padding_end - end)) {
        if (b != std::byte{0})
          return refused(
              "{}: the padding behind tensor '{}', bytes {} to {}, holds {} instead of 0; "
              "the file is damaged",
              join_path(dir_, piece.file), tensor.name, end, padding_end, std::to_integer<int>(b));
      }
    }
  }
  return Done{};
}

Result<std::span<const std::byte>> Checkpoint::bytes_of_file(const std::string& name) {
  const auto found = maps_.find(name);
  if (found != maps_.end()) return found->second->bytes();
  const std::string path = join_path(dir_, name);
  ASSIGN_OR_RETURN(auto map, env_->map_file(path));
  const auto file = std::ranges::find(manifest_.files, name, &FileRecord::name);
  CHECK(file != manifest_.files.end(), "{}", path);
  if (map->bytes().size() != static_cast<std::size_t>(file->bytes))
    return refused("{}: holds {} bytes, the manifest says {}; it changed while it was open", path,
                   map->bytes().size(), file->bytes);
  return (maps_[name] = std::move(map))->bytes();
}

Result<const std::byte*> Checkpoint::checked_piece(const TensorRecord& tensor,
                                                   const PieceRecord& piece) {
  const auto found = checked_.find(&piece);
  if (found != checked_.end()) return found->second;
  ASSIGN_OR_RETURN(const auto bytes, bytes_of_file(piece.file));
  const auto data = part(bytes, piece.begin, piece.bytes);
  const std::string hash = xxh3_128_hex(data);
  if (hash != piece.hash)
    return refused(
        "{}: tensor '{}', box {}, bytes {} to {}: the manifest says XXH3-128 {}, the "
        "content gives {}; the file is damaged",
        join_path(dir_, piece.file), tensor.name, piece.box.text(), piece.begin,
        piece.begin + piece.bytes, piece.hash, hash);
  checked_[&piece] = data.data();
  return data.data();
}

}  // namespace boreal::ckpt
