#include "ckpt/manifest.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/env.h"
#include "ckpt/manifest_json.h"

namespace boreal::ckpt {

namespace {

// Why one stored piece cannot be right; "" if it can.
std::string piece_fault(const TensorRecord& tensor, const PieceRecord& piece) {
  if (std::string fault = fault_of(piece.box, tensor.shape); !fault.empty()) return fault;
  const std::int64_t needed =
      piece.box.shape.elements() * static_cast<std::int64_t>(bytes_of(tensor.dtype));
  if (piece.bytes != needed)
    return fmt::format("box {} of {} needs {} bytes, {} are recorded", piece.box.text(),
                       name_of(tensor.dtype), needed, piece.bytes);
  if (piece.begin < 0 || piece.begin % kPieceAlign_bytes != 0)
    return fmt::format("box {} begins at byte {}, not a multiple of {}", piece.box.text(),
                       piece.begin, kPieceAlign_bytes);
  return "";
}

std::string tensor_fault(const TensorRecord& tensor) {
  std::int64_t bytes = static_cast<std::int64_t>(bytes_of(tensor.dtype));
  for (std::int64_t i = 0; i < tensor.shape.rank(); ++i) {
    if (tensor.shape[i] < 0 || __builtin_mul_overflow(bytes, tensor.shape[i], &bytes))
      return fmt::format("shape {} is impossible", tensor.shape.text());
  }
  std::vector<Box> boxes;
  for (const PieceRecord& piece : tensor.pieces) {
    if (std::string fault = piece_fault(tensor, piece); !fault.empty()) return fault;
    boxes.push_back(piece.box);
  }
  return coverage_fault(boxes, tensor.shape);
}

// Pieces lie one behind the other, each at the next multiple of the alignment, to the file's end:
// what lies between them is padding of fewer bytes than the alignment.
std::string file_fault(const FileRecord& file, std::vector<const PieceRecord*>& pieces) {
  std::ranges::stable_sort(pieces, {},
                           [](const PieceRecord* p) { return std::pair(p->begin, p->bytes); });
  std::int64_t end = 0;
  for (const PieceRecord* piece : pieces) {
    if (piece->begin != padded_to_align(end))
      return fmt::format("a piece begins at byte {}, the one before ends at {}", piece->begin, end);
    if (__builtin_add_overflow(piece->begin, piece->bytes, &end) ||
        end > INT64_MAX - kPieceAlign_bytes)
      return fmt::format("a piece of {} bytes is impossible", piece->bytes);
  }
  if (end != file.bytes)
    return fmt::format("its pieces end at byte {}, it has {}", end, file.bytes);
  return "";
}

Status check(const std::string& path, const Manifest& manifest) {
  std::unordered_map<std::string, std::vector<const PieceRecord*>> by_file;
  for (std::int64_t rank = 0; rank < manifest.ranks; ++rank) by_file[data_file_name(rank)];
  std::set<std::string> names;
  for (const TensorRecord& tensor : manifest.tensors) {
    if (!names.insert(tensor.name).second)
      return refused("{}: tensor '{}' stands twice", path, tensor.name);
    if (const std::string fault = tensor_fault(tensor); !fault.empty())
      return refused("{}: tensor '{}': {}", path, tensor.name, fault);
    for (const PieceRecord& piece : tensor.pieces) {
      const auto file = by_file.find(piece.file);
      if (file == by_file.end())
        return refused("{}: tensor '{}' lies in {}, which is none of its {} data files", path,
                       tensor.name, piece.file, manifest.ranks);
      file->second.push_back(&piece);
    }
  }
  std::set<std::string> files;
  for (const FileRecord& file : manifest.files) {
    if (!files.insert(file.name).second || file.name.empty() || file.name != file_name(file.name))
      return refused("{}: file name '{}' stands twice or is no plain name", path, file.name);
    const auto data = by_file.find(file.name);
    if ((data == by_file.end()) == file.hash.empty())
      return refused("{}: {} is {}", path, file.name,
                     file.hash.empty() ? "a data file of no rank" : "a data file with a hash");
    if (data == by_file.end()) continue;
    if (const std::string fault = file_fault(file, data->second); !fault.empty())
      return refused("{}: {}: {}", path, file.name, fault);
    by_file.erase(data);
  }
  if (!by_file.empty()) return refused("{}: does not list {}", path, by_file.begin()->first);
  return Done{};
}

}  // namespace

std::string data_file_name(std::int64_t rank) {
  return fmt::format("rank-{}.bin", rank);
}

std::string vote_file_name(std::int64_t rank) {
  return fmt::format("rank-{}.vote.json", rank);
}

std::int64_t padded_to_align(std::int64_t bytes) {
  return (bytes + kPieceAlign_bytes - 1) / kPieceAlign_bytes * kPieceAlign_bytes;
}

std::vector<std::string> differences(const Origin& saved, const Origin& now) {
  std::vector<std::string> out;
  const auto compare = [&](std::string_view what, const std::string& before,
                           const std::string& after) {
    if (before != after)
      out.push_back(fmt::format("{} was '{}' when the checkpoint was saved and is '{}' now", what,
                                before, after));
  };
  compare("spec hash", saved.spec_hash, now.spec_hash);
  compare("tokenizer", saved.tokenizer_fingerprint, now.tokenizer_fingerprint);
  compare("data", saved.data_fingerprint, now.data_fingerprint);
  compare("instruction set", saved.isa, now.isa);
  // Checkpoints from before there was this key do not say it.
  if (!saved.layout.empty() && !now.layout.empty()) compare("layout", saved.layout, now.layout);
  std::map<std::string, std::pair<std::string, std::string>> versions;
  for (const auto& [library, version] : saved.versions) versions[library].first = version;
  for (const auto& [library, version] : now.versions) versions[library].second = version;
  for (const auto& [library, pair] : versions)
    compare("version of " + library, pair.first, pair.second);
  return out;
}

Result<Manifest> decode_manifest(const std::string& file, const std::string& text) {
  ASSIGN_OR_RETURN(Manifest manifest, parse_manifest(file, text));
  RETURN_IF_ERROR(check(file, manifest));
  return manifest;
}

Result<std::vector<TensorRecord>> merge(const std::vector<Vote>& votes) {
  std::vector<TensorRecord> out;
  std::unordered_map<std::string, std::size_t> at;
  for (const Vote& vote : votes) {
    for (const TensorRecord& tensor : vote.tensors) {
      const auto [found, is_new] = at.emplace(tensor.name, out.size());
      if (is_new) {
        out.push_back(tensor);
        continue;
      }
      TensorRecord& whole = out[found->second];
      if (whole.dtype != tensor.dtype || whole.shape != tensor.shape)
        return failed("tensor '{}' is {} {} on rank {}, but {} {} on a rank before it", tensor.name,
                      name_of(tensor.dtype), tensor.shape.text(), vote.rank, name_of(whole.dtype),
                      whole.shape.text());
      whole.pieces.insert(whole.pieces.end(), tensor.pieces.begin(), tensor.pieces.end());
    }
  }
  for (const TensorRecord& tensor : out) {
    if (const std::string fault = tensor_fault(tensor); !fault.empty())
      return failed("tensor '{}': {}", tensor.name, fault);
  }
  return out;
}

}  // namespace boreal::ckpt
