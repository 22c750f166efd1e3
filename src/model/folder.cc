#include "model/folder.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "ckpt/checkpoint.h"

namespace boreal::model {

namespace {

bool is_checkpoint(Env& env, const std::string& folder) {
  return env.exists(join_path(folder, std::string(ckpt::kManifestName)));
}

Status check_folder(Env& env, const std::string& folder) {
  if (!env.is_dir(folder)) {
    if (!env.exists(folder)) return refused("{}: no such folder", folder);
    RETURN_IF_ERROR(env.list_dir(folder));  // says why it is none
  }
  if (is_checkpoint(env, folder) || env.exists(join_path(folder, "config.json"))) return Done{};
  return refused("{}: neither a checkpoint (no {}) nor a Hugging Face folder (no config.json)",
                 folder, ckpt::kManifestName);
}

// A checkpoint's weights go by their own names, and beside them lie the optimizer's under others.
Status check_no_more(const ckpt::Checkpoint& checkpoint, const Decoder& model) {
  std::set<std::string> known;
  for (const nn::Parameter* p : model.parameters()) known.insert(p->name);
  for (const ckpt::TensorRecord& record : checkpoint.tensors())
    for (const char* part : {"embedding.", "blocks.", "head."})
      if (record.name.starts_with(part) && !known.contains(record.name))
        return refused(
            "{}: tensor \"{}\" belongs to no part of the {} model that its config.json describes",
            checkpoint.dir(), record.name, model.config().family);
  return Done{};
}

Status check_finite(const std::string& folder, const nn::Parameter& p, const tensor::Tensor& x) {
  const auto* values = static_cast<const float*>(x.data);
  for (std::int64_t i = 0; i < x.elements(); ++i)
    if (!std::isfinite(values[i]))
      return refused(
          "{}: tensor \"{}\" holds {} at element {}; was the run that wrote it diverging?", folder,
          p.name, values[i], i);
  return Done{};
}

}  // namespace

Result<DecoderConfig> read_config(Env& env, const std::string& folder) {
  RETURN_IF_ERROR(check_folder(env, folder));
  const std::string path = join_path(folder, "config.json");
  std::string text;
  if (is_checkpoint(env, folder)) {
    ASSIGN_OR_RETURN(auto checkpoint, ckpt::Checkpoint::open(env, folder));
    ASSIGN_OR_RETURN(text, checkpoint.read_file("config.json"));
  } else {
    ASSIGN_OR_RETURN(text, env.read_file(path));
  }
  DType dtype = DType::f32;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object())
    for (const char* key : {"torch_dtype", "dtype"})
      if (json.contains(key) && json[key] == "bfloat16") dtype = DType::bf16;
  return config_from_hf(text, path, dtype);
}

Status read_weights(Env& env, const std::string& folder, const Decoder& model,
                    const ParameterMemory& memory) {
  RETURN_IF_ERROR(check_folder(env, folder));
  if (!is_checkpoint(env, folder)) return read_hf_weights(env, folder, model, memory);
  ASSIGN_OR_RETURN(auto checkpoint, ckpt::Checkpoint::open(env, folder));
  RETURN_IF_ERROR(check_no_more(checkpoint, model));
  for (const nn::Parameter* p : model.parameters()) {
    RETURN_IF_ERROR(checkpoint.read(p->name, memory(*p)));
    RETURN_IF_ERROR(check_finite(folder, *p, memory(*p)));
  }
  return Done{};
}

Status read_weights(Env& env, const std::string& folder, const Decoder& model,
                    const TakeParameter& take) {
  RETURN_IF_ERROR(check_folder(env, folder));
  if (is_checkpoint(env, folder)) {
    ASSIGN_OR_RETURN(auto checkpoint, ckpt::Checkpoint::open(env, folder));
    RETURN_IF_ERROR(check_no_more(checkpoint, model));
    for (const nn::Parameter* p : model.parameters()) {
      const tensor::Block memory(p->shape.elements() * 4);
      const tensor::Tensor whole(memory.data(), DType::f32, p->shape);
      RETURN_IF_ERROR(checkpoint.read(p->name, whole));
      RETURN_IF_ERROR(check_finite(folder, *p, whole));
      take(*p, whole);
    }
    return Done{};
  }
  // Such a folder keeps pieces of a parameter apart, in an order of its own.
  std::vector<tensor::Block> memory;
  for (const nn::Parameter* p : model.parameters()) memory.emplace_back(p->shape.elements() * 4);
  const auto whole = [&](const nn::Parameter& p) {
    return tensor::Tensor(memory[static_cast<std::size_t>(p.index)].data(), DType::f32, p.shape);
  };
  RETURN_IF_ERROR(read_hf_weights(env, folder, model, whole));
  for (const nn::Parameter* p : model.parameters()) take(*p, whole(*p));
  return Done{};
}

std::vector<ckpt::Piece> weight_pieces(const Decoder& model, const ParameterMemory& memory) {
  std::vector<ckpt::Piece> pieces;
  for (const nn::Parameter* p : model.parameters())
    pieces.push_back(ckpt::whole(p->name, memory(*p)));
  return pieces;
}

std::vector<ckpt::ExtraFile> model_files(const Decoder& model, const std::string& tokenizer_json,
                                         std::int64_t end_of_text) {
  std::vector<ckpt::ExtraFile> files = {
      {"config.json", hf_config_json(model.config(), end_of_text)}};
  if (!tokenizer_json.empty()) files.push_back({"tokenizer.json", tokenizer_json});
  return files;
}

}  // namespace boreal::model
