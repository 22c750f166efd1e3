#include "ckpt/save.h"

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "ckpt/checkpoint.h"
#include "ckpt/folder.h"

namespace boreal::ckpt {

namespace {

constexpr std::size_t kBlockBytes = 1 << 20;  // hashed while in cache, then written
// A manifest's line for a piece, with room for a long name.
constexpr std::int64_t kRecordBytes = 512;

Status append_zeros(FileWriter& writer, std::int64_t count) {
  static constexpr std::array<std::byte, kPieceAlign_bytes> zeros{};
  return writer.append(std::span(zeros).first(static_cast<std::size_t>(count)));
}

// Appends and returns the hash of what was appended.
Result<std::string> append_hashed(FileWriter& writer, std::span<const std::byte> bytes) {
  Xxh3 hash;
  while (!bytes.empty()) {
    const auto block = bytes.first(std::min(bytes.size(), kBlockBytes));
    hash.add(block);
    RETURN_IF_ERROR(writer.append(block));
    bytes = bytes.subspan(block.size());
  }
  return hash.hex();
}

Status close_synced(FileWriter& writer) {
  RETURN_IF_ERROR(writer.sync());
  return writer.close();
}

Status write_synced(Env& env, const std::string& path, std::string_view content) {
  ASSIGN_OR_RETURN(auto writer, env.create(path));
  RETURN_IF_ERROR(writer->append(content));
  return close_synced(*writer);
}

void check_piece(const Piece& piece) {
  const tensor::Tensor& data = piece.data;
  CHECK(data.dense(), "piece of '{}' is not dense", piece.name);
  CHECK(data.data != nullptr || data.bytes() == 0, "piece of '{}' has no memory", piece.name);
  const std::string fault = fault_of({piece.offset, data.shape}, piece.global_shape);
  CHECK(fault.empty(), "piece of '{}': {}", piece.name, fault);
}

// Makes the folder so that it survives a power cut: each new level is synced in its parent.
Status make_durable_dirs(Env& env, const std::string& path) {
  std::vector<std::string> parents;
  for (std::string level = path; !level.empty() && !env.exists(level); level = parent_path(level))
    parents.push_back(parent_path(level));
  RETURN_IF_ERROR(env.make_dirs(path));
  for (const std::string& parent : parents) RETURN_IF_ERROR(env.sync_dir(parent));
  return Done{};
}

Result<std::vector<Vote>> read_votes(Env& env, const std::string& stage, std::int64_t step,
                                     std::int64_t ranks) {
  std::vector<Vote> votes;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    const std::string path = join_path(stage, vote_file_name(rank));
    if (!env.exists(path))
      return failed("rank {} of {} has not written its part of the checkpoint of step {} (no {})",
                    rank, ranks, step, path);
    ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
    ASSIGN_OR_RETURN(Vote vote, decode_vote(path, text));
    if (vote.step != step || vote.rank != rank)
      return failed("{}: is of rank {} and step {}, wanted are rank {} and step {}", path,
                    vote.rank, vote.step, rank, step);
    votes.push_back(std::move(vote));
  }
  return votes;
}

// All but the rename: afterwards the stage holds a whole checkpoint. Returns its bytes.
Result<std::int64_t> complete_stage(Env& env, const std::string& stage, std::int64_t step,
                                    std::int64_t ranks, const std::string& meta_json,
                                    const SaveOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<Vote> votes, read_votes(env, stage, step, ranks));
  Manifest manifest{.step = step,
                    .ranks = ranks,
                    .loss = options.loss,
                    .origin = options.origin,
                    .meta_json = meta_json,
                    .files = {},
                    .tensors = {}};
  ASSIGN_OR_RETURN(manifest.tensors, merge(votes));
  std::int64_t bytes = 0;
  for (const Vote& vote : votes) manifest.files.push_back(vote.file);
  for (const ExtraFile& file : options.files) {
    RETURN_IF_ERROR(write_synced(env, join_path(stage, file.name), file.content));
    manifest.files.push_back({.name = file.name,
                              .bytes = static_cast<std::int64_t>(file.content.size()),
                              .hash = xxh3_128_hex(file.content)});
  }
  for (const FileRecord& file : manifest.files) bytes += file.bytes;
  for (std::int64_t rank = 0; rank < ranks; ++rank)
    RETURN_IF_ERROR(env.remove_all(join_path(stage, vote_file_name(rank))));
  ASSIGN_OR_RETURN(const std::string text, encode(manifest));
  RETURN_IF_ERROR(write_synced(env, join_path(stage, kManifestName), text));
  RETURN_IF_ERROR(env.sync_dir(stage));
  return bytes + static_cast<std::int64_t>(text.size());
}

// The commit point is the rename of the stage. A checkpoint of the same step steps aside first and
// comes back if the rename fails; if the process dies in between, folder.h reads it as step-N.
Status commit(Env& env, const std::string& root, std::int64_t step) {
  const std::string target = committed_dir(root, step);
  const bool replaces = env.exists(target);
  if (replaces) RETURN_IF_ERROR(env.rename(target, replaced_dir(root, step)));
  if (Status status = env.rename(stage_dir(root, step), target); !status.ok()) {
    if (replaces) (void)env.rename(replaced_dir(root, step), target);
    return status;
  }
  return env.sync_dir(root);
}

// Folders that the rules no longer keep. Only whole checkpoints count towards `keep`, damaged ones
// stay for a person to look at, and later steps are another history's.
Result<std::vector<std::string>> no_longer_kept(Env& env, const std::string& root,
                                                std::int64_t step, const SaveOptions& options) {
  std::vector<std::string> out;
  if (options.keep <= 0) return out;
  ASSIGN_OR_RETURN(std::vector<Found> all, list(env, root));
  std::erase_if(all, [&](const Found& f) { return !f.damage.empty() || f.step > step; });
  const Found* best = nullptr;
  for (const Found& found : all) {
    if (found.loss && (best == nullptr || *found.loss < *best->loss)) best = &found;
  }
  for (std::size_t i = static_cast<std::size_t>(options.keep); i < all.size(); ++i) {
    if (options.keep_best && &all[i] == best) continue;
    out.push_back(all[i].dir);
  }
  return out;
}

// After the commit. Older checkpoints go only once the new one has been read back whole.
Status tidy(Env& env, const std::string& root, std::int64_t step, const SaveOptions& options,
            std::vector<std::string>& removed) {
  std::vector<std::string> leaving;
  ASSIGN_OR_RETURN(leaving, no_longer_kept(env, root, step, options));
  const std::string replaced = replaced_dir(root, step);
  const bool was_replaced = env.exists(replaced);
  if (leaving.empty() && !was_replaced) return Done{};
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(env, committed_dir(root, step)));
  RETURN_IF_ERROR(checkpoint.verify());
  if (was_replaced) RETURN_IF_ERROR(discard(env, root, replaced));
  for (const std::string& dir : leaving) {
    RETURN_IF_ERROR(discard(env, root, dir));
    removed.push_back(dir);
  }
  return Done{};
}

}  // namespace

Piece whole(std::string name, const tensor::Tensor& data) {
  return {.name = std::move(name),
          .global_shape = data.shape,
          .offset = std::vector<std::int64_t>(static_cast<std::size_t>(data.shape.rank()), 0),
          .data = data};
}

std::int64_t data_file_bytes(std::span<const Piece> pieces) {
  std::int64_t end = 0;
  for (const Piece& piece : pieces) end = padded_to_align(end) + piece.data.bytes();
  return end;
}

Result<std::string> begin_save(Env& env, const std::string& root, std::int64_t step,
                               std::int64_t bytes) {
  CHECK_GE(step, 0);
  RETURN_IF_ERROR(make_durable_dirs(env, root));
  RETURN_IF_ERROR(clean_leftovers(env, root));
  ASSIGN_OR_RETURN(const std::uint64_t free_bytes, env.free_bytes(root));
  const std::uint64_t needed =
      static_cast<std::uint64_t>(bytes) + static_cast<std::uint64_t>(bytes) / 20;
  if (free_bytes < needed)
    return failed(
        "cannot save step {} in {}: it needs {} bytes ({} and 5 %), {} are free on that "
        "disk; make room, or keep fewer checkpoints",
        step, root, needed, bytes, free_bytes);
  const std::string stage = stage_dir(root, step);
  RETURN_IF_ERROR(env.make_dirs(stage));
  return stage;
}

Status write_rank(Env& env, const std::string& stage, std::int64_t step, std::int64_t rank,
                  std::span<const Piece> pieces) {
  Vote vote{.step = step,
            .rank = rank,
            .file = {.name = data_file_name(rank), .bytes = data_file_bytes(pieces), .hash = {}},
            .tensors = {}};
  ASSIGN_OR_RETURN(auto writer, env.create(join_path(stage, vote.file.name)));
  std::int64_t end = 0;
  for (const Piece& piece : pieces) {
    check_piece(piece);
    const std::int64_t begin = padded_to_align(end);
    RETURN_IF_ERROR(append_zeros(*writer, begin - end));
    end = begin + piece.data.bytes();
    const std::span bytes(static_cast<const std::byte*>(piece.data.data),
                          static_cast<std::size_t>(piece.data.bytes()));
    ASSIGN_OR_RETURN(std::string hash, append_hashed(*writer, bytes));
    vote.tensors.push_back({.name = piece.name,
                            .dtype = piece.data.dtype,
                            .shape = piece.global_shape,
                            .pieces = {{.box = {piece.offset, piece.data.shape},
                                        .file = vote.file.name,
                                        .begin = begin,
                                        .bytes = piece.data.bytes(),
                                        .hash = std::move(hash)}}});
  }
  CHECK_EQ(end, vote.file.bytes);
  RETURN_IF_ERROR(close_synced(*writer));
  // The vote is gone before the commit, so it need not survive a power cut.
  ASSIGN_OR_RETURN(auto vote_writer, env.create(join_path(stage, vote_file_name(rank))));
  RETURN_IF_ERROR(vote_writer->append(encode(vote)));
  return vote_writer->close();
}

Result<Saved> commit_save(Env& env, const std::string& root, std::int64_t step, std::int64_t ranks,
                          const std::string& meta_json, const SaveOptions& options) {
  for (const ExtraFile& file : options.files)
    CHECK(!file.name.empty() && file.name == file_name(file.name) && file.name != kManifestName &&
              !file.name.starts_with("rank-") && !file.name.starts_with('.'),
          "'{}' cannot be the name of a file in a checkpoint", file.name);
  Saved saved{.dir = committed_dir(root, step), .bytes = 0, .removed = {}, .warnings = {}};
  ASSIGN_OR_RETURN(saved.bytes,
                   complete_stage(env, stage_dir(root, step), step, ranks, meta_json, options));
  RETURN_IF_ERROR(commit(env, root, step));
  if (const Status status = tidy(env, root, step, options, saved.removed); !status.ok())
    saved.warnings.push_back(
        fmt::format("the checkpoint of step {} is saved, but older ones were "
                    "not removed: {}",
                    step, status.error().message));
  return saved;
}

void abandon_save(Env& env, const std::string& root, std::int64_t step) {
  (void)env.remove_all(stage_dir(root, step));
}

Result<Saved> save(Env& env, const dist::Group& ranks, const std::string& root, std::int64_t step,
                   std::span<const Piece> pieces, const std::string& meta_json,
                   const SaveOptions& options) {
  std::int64_t bytes =
      data_file_bytes(pieces) + kRecordBytes * static_cast<std::int64_t>(pieces.size() + 1);
  bytes = static_cast<std::int64_t>(ranks.sum(static_cast<double>(bytes)));
  for (const ExtraFile& file : options.files)
    bytes += static_cast<std::int64_t>(file.content.size());
  bytes += kRecordBytes * static_cast<std::int64_t>(options.files.size() + 4) +
           static_cast<std::int64_t>(meta_json.size());
  const bool first = ranks.rank() == 0;
  Saved saved{.dir = committed_dir(root, step), .bytes = 0, .removed = {}, .warnings = {}};
  const auto phases = [&]() -> Status {
    Status status = Done{};
    if (first)
      if (auto stage = begin_save(env, root, step, bytes); !stage.ok())
        status = std::move(stage).error();
    RETURN_IF_ERROR(ranks.agree(status));
    RETURN_IF_ERROR(
        ranks.agree(write_rank(env, stage_dir(root, step), step, ranks.rank(), pieces)));
    if (first) {
      auto committed = commit_save(env, root, step, ranks.size(), meta_json, options);
      if (committed.ok())
        saved = std::move(committed).value();
      else
        status = std::move(committed).error();
    }
    return ranks.agree(status);
  };
  Status status = phases();
  if (status.ok()) return saved;
  if (first) abandon_save(env, root, step);
  return std::move(status).error().within(
      fmt::format("the checkpoint of step {} was not saved", step));
}

Result<Saved> save(Env& env, const std::string& root, std::int64_t step,
                   std::span<const Piece> pieces, const std::string& meta_json,
                   const SaveOptions& options) {
  return save(env, dist::Group(), root, step, pieces, meta_json, options);
}

}  // namespace boreal::ckpt
