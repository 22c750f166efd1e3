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
          .versions = {{"boreal", BOREAL_VERSION}}};
}

// Bits that a decimal might lose.
std::string exact(double value) {
  return fmt::format("{:a}", value);
}
double from_exact(const std::string& text) {
  return std::strtod(text.c_str(), nullptr);
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
  for (const nn::Parameter* p : replica.model().parameters()) {
    RETURN_IF_ERROR(checkpoint.read(p->name, replica.state().master(*p)));
    RETURN_IF_ERROR(checkpoint.read(kFirst + p->name, replica.state().first_moment(*p)));
    RETURN_IF_ERROR(checkpoint.read(kSecond + p->name, replica.state().second_moment(*p)));
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

Result<std::optional<Progressed>> restore(Env& env, Replica& replica, const TrainInput& input,
                                          const TrainOptions& options,
                                          std::vector<std::string>& warnings) {
  const std::string root = root_of(options);
  std::string dir = options.resume;
  if (options.resume == "never") {
    RETURN_IF_ERROR(ckpt::remove_newer(env, root, -1));
    return std::optional<Progressed>{};
  }
  if (options.resume == "auto") {
    ASSIGN_OR_RETURN(const ckpt::Newest newest, ckpt::newest_whole(env, root));
    warnings.insert(warnings.end(), newest.warnings.begin(), newest.warnings.end());
    if (newest.dir.empty()) return std::optional<Progressed>{};
    dir = newest.dir;
  } else {
    // Every byte, as newest_whole() does: also of the files that resuming does not read.
    ASSIGN_OR_RETURN(auto named, ckpt::Checkpoint::open(env, dir));
    RETURN_IF_ERROR(named.verify());
  }
  ASSIGN_OR_RETURN(const Progressed at, read(env, replica, dir, input, options, warnings));
  RETURN_IF_ERROR(ckpt::remove_newer(env, root, at.step));
  replica.publish();
  return std::optional<Progressed>(at);
}

Result<std::string> save(Env& env, Replica& replica, const Progressed& at,
                         const spec::CheckpointSpec& spec, const TrainInput& input,
                         const TrainOptions& options) {
  parallel::ShardedState& state = replica.state();
  std::vector<ckpt::Piece> pieces = model::weight_pieces(
      replica.model(), [&](const nn::Parameter& p) { return state.master(p); });
  for (const nn::Parameter* p : replica.model().parameters()) {
    pieces.push_back(ckpt::whole(kFirst + p->name, state.first_moment(*p)));
    pieces.push_back(ckpt::whole(kSecond + p->name, state.second_moment(*p)));
  }
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
  ASSIGN_OR_RETURN(const ckpt::Saved saved,
                   ckpt::save(env, root_of(options), at.step, pieces, meta.dump(), how));
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
  if (ours.rotary)
    RETURN_IF_ERROR(same("rope_theta", theirs.rope_theta, ours.rope_theta));
  else
    RETURN_IF_ERROR(same("context", theirs.context, ours.context));
  return model::read_weights(env, folder, replica.model(),
                             [&](const nn::Parameter& p) { return replica.state().master(p); });
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
