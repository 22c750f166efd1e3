#include "train/checkpointing.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/staged_folder.h"
#include "ckpt/checkpoint.h"
#include "ckpt/folder.h"
#include "ckpt/save.h"
#include "model/folder.h"

namespace boreal::train {

namespace {

constexpr const char* kFirst = "first_moment/";
constexpr const char* kSecond = "second_moment/";

std::string root_of(const TrainOptions& options) {
  return join_path(options.out, "checkpoints");
}

ckpt::Origin origin_of(const Replica& replica, const TrainInput& input, const TrainOptions& options,
                       std::int64_t step) {
  return {.spec_hash = options.spec_hash,
          .tokenizer_fingerprint = input.tokenizer_fingerprint,
          .data_fingerprint = input.data_fingerprint,
          .data_position = step,
          .isa = std::string(device::name_of(replica.ctx().isa)),
          .layout = replica.mesh().layout().text() + (replica.cuts_rows() ? "" : ", rows not cut"),
          .versions = {{"boreal", BOREAL_VERSION}}};
}

// Bits that a decimal might lose.
std::string exact(double value) {
  return fmt::format("{:a}", value);
}
double from_exact(const std::string& text) {
  return std::strtod(text.c_str(), nullptr);
}

// Where a region's values lie in a vector that holds a part.
tensor::Tensor values_of(const parallel::Region& region, const parallel::Part& part,
                         const tensor::Tensor& vector) {
  return {static_cast<float*>(vector.data) + (region.begin - part.begin), DType::f32, region.shape};
}

Status read_part(ckpt::Checkpoint& checkpoint, const std::string& name, const parallel::Part& part,
                 const tensor::Tensor& into) {
  for (const auto& region : parallel::regions_of(*part.parameter, part.begin, part.count))
    RETURN_IF_ERROR(checkpoint.read(name, values_of(region, part, into), region.offset));
  return Done{};
}

// What this rank writes of a checkpoint: of its slices what no rank before it has.
std::vector<ckpt::Piece> pieces_of(Replica& replica) {
  std::vector<ckpt::Piece> pieces;
  if (replica.mesh().dp_replicate().rank() > 0) return pieces;
  const parallel::ShardedState& state = replica.state();
  const auto add = [&](const std::string& name, const parallel::Part& part,
                       const tensor::Tensor& vector) {
    for (const auto& region : parallel::regions_of(*part.parameter, part.begin, part.count))
      if (region.first_holder)
        pieces.push_back({.name = name,
                          .global_shape = part.parameter->shape,
                          .offset = region.offset,
                          .data = values_of(region, part, vector)});
  };
  for (const parallel::Part& part : state.layout().parts())
    add(part.parameter->name, part, state.master(part));
  for (const parallel::Part& part : state.layout().parts()) {
    add(kFirst + part.parameter->name, part, state.first_moment(part));
    add(kSecond + part.parameter->name, part, state.second_moment(part));
  }
  return pieces;
}

Result<Progressed> read(Env& env, Replica& replica, const std::string& dir, const TrainInput& input,
                        const TrainOptions& options, std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(auto checkpoint, ckpt::Checkpoint::open(env, dir));
  const ckpt::Origin now = origin_of(replica, input, options, checkpoint.step());
  const ckpt::Origin& then = checkpoint.origin();
  if (then.spec_hash != now.spec_hash)
    return refused(
        "{}: written by the spec {}, this is {}; to start from its weights use train.init_from",
        dir, then.spec_hash, now.spec_hash);
  if (then.tokenizer_fingerprint != now.tokenizer_fingerprint)
    return refused("{}: its tokenizer is {}, the shards' is {}", dir, then.tokenizer_fingerprint,
                   now.tokenizer_fingerprint);
  if (then.data_fingerprint != now.data_fingerprint)
    return refused(
        "{}: trained on the data {}, which are {} now: have input files or shards changed? Give "
        "another --out, or start again with --resume never",
        dir, then.data_fingerprint, now.data_fingerprint);
  for (const std::string& difference : ckpt::differences(then, now))
    warnings.push_back(dir + ": " + difference + "; results may differ in their last bits");
  const parallel::ShardedState& state = replica.state();
  for (const parallel::Part& part : state.layout().parts()) {
    const std::string& name = part.parameter->name;
    RETURN_IF_ERROR(read_part(checkpoint, name, part, state.master(part)));
    RETURN_IF_ERROR(read_part(checkpoint, kFirst + name, part, state.first_moment(part)));
    RETURN_IF_ERROR(read_part(checkpoint, kSecond + name, part, state.second_moment(part)));
  }
  const auto meta = nlohmann::json::parse(checkpoint.meta_json(), nullptr, false);
  try {
    return Progressed{.step = checkpoint.step(),
                      .tokens = meta.at("tokens"),
                      .validation_loss = from_exact(meta.at("validation_loss")),
                      .loss = from_exact(meta.at("loss"))};
  } catch (const nlohmann::json::exception& error) {
    return refused("{}: its record of the run: {}", dir, error.what());
  }
}

}  // namespace

namespace {

// The folder to go on from, "" for none, and every byte of it verified. One rank decides for all:
// ranks that see a file system differently must not take different ones.
Result<std::string> folder_to_resume(Env& env, const std::string& root, const TrainOptions& options,
                                     std::vector<std::string>& warnings) {
  if (options.resume == "never") {
    RETURN_IF_ERROR(ckpt::remove_newer(env, root, -1));
    return std::string();
  }
  if (options.resume == "auto") {
    ASSIGN_OR_RETURN(ckpt::Newest newest, ckpt::newest_whole(env, root));
    warnings.insert(warnings.end(), newest.warnings.begin(), newest.warnings.end());
    return newest.dir;
  }
  // Every byte, as newest_whole() does: also of the files that resuming does not read.
  ASSIGN_OR_RETURN(auto named, ckpt::Checkpoint::open(env, options.resume));
  RETURN_IF_ERROR(named.verify());
  return options.resume;
}

}  // namespace

Result<std::optional<Progressed>> restore(Env& env, Replica& replica, const TrainInput& input,
                                          const TrainOptions& options,
                                          std::vector<std::string>& warnings) {
  const std::string root = root_of(options);
  const dist::Group& all = replica.mesh().all();
  Status chosen = Done{};
  std::string dir;
  if (all.rank() == 0) {
    Result<std::string> folder = folder_to_resume(env, root, options, warnings);
    if (folder.ok())
      dir = *folder;
    else
      chosen = std::move(folder).error();
  }
  RETURN_IF_ERROR(all.agree(chosen));
  dir = all.gather_texts(dir).front();
  if (dir.empty()) return std::optional<Progressed>{};
  Result<Progressed> at = read(env, replica, dir, input, options, warnings);
  RETURN_IF_ERROR(all.agree(at.ok() ? Status(Done{}) : Status(at.error())));
  Status removed = Done{};
  if (all.rank() == 0)
    if (auto gone = ckpt::remove_newer(env, root, at->step); !gone.ok())
      removed = std::move(gone).error();
  RETURN_IF_ERROR(all.agree(removed));
  replica.publish();
  return std::optional<Progressed>(*at);
}

Result<std::string> save(Env& env, Replica& replica, const Progressed& at,
                         const spec::CheckpointSpec& spec, const TrainInput& input,
                         const TrainOptions& options) {
  const nlohmann::json meta{{"tokens", at.tokens},
                            {"validation_loss", exact(at.validation_loss)},
                            {"loss", exact(at.loss)}};
  ckpt::SaveOptions how{
      .keep = spec.keep,
      .keep_best = spec.keep_best,
      .files = model::model_files(replica.model(), input.tokenizer_json, input.end_of_text),
      .origin = origin_of(replica, input, options, at.step)};
  how.files.push_back({"resolved.yaml", options.resolved_yaml});
  if (std::isfinite(at.validation_loss)) how.loss = at.validation_loss;
  const std::vector<ckpt::Piece> pieces = pieces_of(replica);
  ASSIGN_OR_RETURN(const ckpt::Saved saved, ckpt::save(env, replica.mesh().all(), root_of(options),
                                                       at.step, pieces, meta.dump(), how));
  return saved.dir;
}

Status initialise_from(Env& env, Replica& replica, const std::string& folder) {
  ASSIGN_OR_RETURN(const model::DecoderConfig theirs, model::read_config(env, folder));
  const model::DecoderConfig& ours = replica.model().config();
  const auto same = [&](const char* key, auto a, auto b) -> Status {
    if (a == b) return Done{};
    return wrong_usage("train.init_from: {} has {} {}, the spec's model has {}", folder, key, a, b);
  };
  RETURN_IF_ERROR(same("family", theirs.family, ours.family));
  RETURN_IF_ERROR(same("hidden", theirs.hidden, ours.hidden));
  RETURN_IF_ERROR(same("layers", theirs.layers, ours.layers));
  RETURN_IF_ERROR(same("heads", theirs.heads, ours.heads));
  RETURN_IF_ERROR(same("kv_heads", theirs.kv_heads, ours.kv_heads));
  RETURN_IF_ERROR(same("ffn", theirs.ffn, ours.ffn));
  RETURN_IF_ERROR(same("vocab", theirs.vocab, ours.vocab));
  RETURN_IF_ERROR(same("tied_embeddings", theirs.tied, ours.tied));
  RETURN_IF_ERROR(same("norm_eps", theirs.norm_eps, ours.norm_eps));
  RETURN_IF_ERROR(same("head_dim", theirs.head_dim(), ours.head_dim()));
  RETURN_IF_ERROR(same("position", model::spec_of(theirs).position, model::spec_of(ours).position));
  RETURN_IF_ERROR(same("rotary_dim", theirs.rotary_dim(), ours.rotary_dim()));
  RETURN_IF_ERROR(same("attention.scalar", theirs.attention.scalar, ours.attention.scalar));
  RETURN_IF_ERROR(same("attention.soft_cap", theirs.attention.soft_cap, ours.attention.soft_cap));
  RETURN_IF_ERROR(same("logit_soft_cap", theirs.logit_soft_cap, ours.logit_soft_cap));
  if (ours.position == model::PositionKind::rotary)
    RETURN_IF_ERROR(same("rope_theta", theirs.rope.theta, ours.rope.theta));
  if (ours.position == model::PositionKind::learned)
    RETURN_IF_ERROR(same("context", theirs.context, ours.context));
  // Whole, one parameter after the other; each rank keeps its own.
  const parallel::ShardedState& state = replica.state();
  return model::read_weights(
      env, folder, replica.model(), [&](const nn::Parameter& p, const tensor::Tensor& whole) {
        for (const parallel::Part& part : state.layout().parts()) {
          if (part.parameter != &p) continue;
          for (const auto& region : parallel::regions_of(p, part.begin, part.count))
            ckpt::copy_shared(
                {std::vector<std::int64_t>(static_cast<std::size_t>(p.shape.rank()), 0), p.shape},
                static_cast<const std::byte*>(whole.data), {region.offset, region.shape},
                values_of(region, part, state.master(part)));
        }
      });
}

Status import_checkpoint(Env& env, const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(StagedFolder staged, StagedFolder::create(env, to));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, from));
  const model::Decoder decoder(config);
  parallel::ShardedState state(decoder.parameters(), false);
  const auto memory = [&](const nn::Parameter& p) { return state.master(p); };
  RETURN_IF_ERROR(model::read_weights(env, from, decoder, memory));
  std::string tokenizer;
  if (const std::string path = join_path(from, "tokenizer.json"); env.exists(path)) {
    ASSIGN_OR_RETURN(tokenizer, env.read_file(path));
  }
  // The name of a checkpoint is its step; this one gets its own once it is whole.
  const ckpt::SaveOptions how{.files = model::model_files(decoder, tokenizer, -1),
                              .origin = {.versions = {{"boreal", BOREAL_VERSION}}}};
  ASSIGN_OR_RETURN(
      const ckpt::Saved saved,
      ckpt::save(env, staged.path(), 0, model::weight_pieces(decoder, memory), "{}", how));
  return staged.commit(file_name(saved.dir));
}

}  // namespace boreal::train
