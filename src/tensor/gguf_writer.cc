#include <cstring>

#include "tensor/gguf.h"
#include "tensor/gguf_format.h"

namespace boreal::tensor {

using namespace gguf;  // the numbers of the format

namespace {

template <class T>
void put(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}
void put_text(std::string& to, std::string_view text) {
  put<std::uint64_t>(to, text.size());
  to += text;
}

}  // namespace

void GgufFacts::key(std::string_view name, std::uint32_t type) {
  put_text(bytes_, name);
  put(bytes_, type);
  ++count_;
}
void GgufFacts::u32(std::string_view name, std::uint32_t value) {
  key(name, kU32);
  put(bytes_, value);
}
void GgufFacts::f32(std::string_view name, float value) {
  key(name, kF32);
  put(bytes_, value);
}
void GgufFacts::boolean(std::string_view name, bool value) {
  key(name, kBool);
  put<std::uint8_t>(bytes_, value ? 1 : 0);
}
void GgufFacts::text(std::string_view name, std::string_view value) {
  key(name, kString);
  put_text(bytes_, value);
}
void GgufFacts::texts(std::string_view name, std::span<const std::string> values) {
  key(name, kArray);
  put<std::uint32_t>(bytes_, kString);
  put<std::uint64_t>(bytes_, values.size());
  for (const std::string& value : values) put_text(bytes_, value);
}
void GgufFacts::i32s(std::string_view name, std::span<const std::int32_t> values) {
  key(name, kArray);
  put<std::uint32_t>(bytes_, kI32);
  put<std::uint64_t>(bytes_, values.size());
  for (const std::int32_t value : values) put(bytes_, value);
}

namespace {

std::int64_t bytes_of(const GgufPiece& piece) {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < piece.shape.size(); ++i) rows *= piece.shape[i];
  return rows * gguf_row_bytes(piece.type, piece.shape.back());
}

Status write_all(FileWriter& writer, const GgufFacts& facts, std::span<const GgufPiece> pieces) {
  std::string head(kMagic);
  put(head, kVersion);
  put<std::uint64_t>(head, pieces.size());
  put(head, facts.count());
  head += facts.bytes();
  std::int64_t offset = 0;
  for (const GgufPiece& piece : pieces) {
    put_text(head, piece.name);
    put(head, static_cast<std::uint32_t>(piece.shape.size()));
    for (std::size_t i = piece.shape.size(); i-- > 0;)
      put(head, static_cast<std::uint64_t>(piece.shape[i]));
    put(head, static_cast<std::uint32_t>(piece.type));
    put(head, static_cast<std::uint64_t>(offset));
    offset = aligned(offset + bytes_of(piece), kAlignment);
  }
  const auto pad = [&](std::int64_t size) {
    return writer.append(
        std::string(static_cast<std::size_t>(aligned(size, kAlignment) - size), 0));
  };
  RETURN_IF_ERROR(writer.append(head));
  RETURN_IF_ERROR(pad(static_cast<std::int64_t>(head.size())));
  for (const GgufPiece& piece : pieces) {
    ASSIGN_OR_RETURN(const Block block, piece.make());
    CHECK_GE(block.bytes(), bytes_of(piece));
    RETURN_IF_ERROR(writer.append(
        std::span<const std::byte>(block.data(), static_cast<std::size_t>(bytes_of(piece)))));
    RETURN_IF_ERROR(pad(bytes_of(piece)));
  }
  RETURN_IF_ERROR(writer.sync());
  return writer.close();
}

}  // namespace

Status write_gguf(Env& env, const std::string& path, const GgufFacts& facts,
                  std::span<const GgufPiece> pieces) {
  const std::string temp = path + ".tmp";
  ASSIGN_OR_RETURN(auto writer, env.create(temp));
  Status status = write_all(*writer, facts, pieces);
  writer.reset();
  if (status.ok()) status = env.rename(temp, path);
  if (!status.ok()) {
    (void)env.remove_all(temp);
    return std::move(status).error();
  }
  return env.sync_dir(parent_path(path));
}

}  // namespace boreal::tensor
