#include "model/hf_folder.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/staged_folder.h"
#include "tensor/memory.h"
#include "tensor/safetensors.h"

namespace boreal::model {

using tensor::Shape;
using tensor::Tensor;

namespace {

// Tensors of old checkpoints that hold no weights: masks and tables.
bool is_constant(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq");
}

std::map<std::string, const nn::Parameter*> by_name(const Decoder& model) {
  std::map<std::string, const nn::Parameter*> all;
  for (const nn::Parameter* p : model.parameters()) all[p->name] = p;
  return all;
}

std::vector<std::int64_t> shape_in_file(const HfTensor& t, const nn::Parameter& p) {
  if (!p.is_matrix()) return {t.rows};
  if (t.transposed) return {p.shape[1], t.rows};
  return {t.rows, p.shape[1]};
}

std::string text_of(const std::vector<std::int64_t>& shape) {
  return Shape(std::span(shape)).text();
}

// The name under which the file has the tensor; "" if it has it under none.
std::string name_in(const tensor::SafetensorsModel& file, const DecoderConfig& config,
                    const std::string& name) {
  if (file.find(name) != nullptr) return name;
  for (const std::string& alias : hf_aliases(config, name))
    if (file.find(alias) != nullptr) return alias;
  return {};
}

// to[r][c] = from[c][r]
void transpose(const float* from, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) to[r * columns + c] = from[c * rows + r];
}

}  // namespace

Status read_hf_weights(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory) {
  ASSIGN_OR_RETURN(const auto file, tensor::SafetensorsModel::open(env, folder));
  const auto parameters = by_name(model);
  std::set<std::string> used;
  for (const HfTensor& t : hf_tensors(model.config())) {
    const std::string name = name_in(file, model.config(), t.hf_name);
    if (name.empty())
      return refused("{}: no tensor \"{}\", which a {} model has", folder, t.hf_name,
                     model.config().family);
    used.insert(name);
    const nn::Parameter& p = *parameters.at(t.parameter);
    const std::vector<std::int64_t> want = shape_in_file(t, p);
    if (const auto& have = file.find(name)->shape; have != want)
      return refused("{}: tensor \"{}\" has shape {}, config.json makes it {}", folder, name,
                     text_of(have), text_of(want));
    const std::int64_t columns = p.is_matrix() ? p.shape[1] : 1;
    const std::int64_t count = t.rows * columns;
    float* to = static_cast<float*>(memory(p).data) + t.row_begin * columns;
    if (!t.transposed) {
      RETURN_IF_ERROR(file.read_as_f32(name, {to, static_cast<std::size_t>(count)}));
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(count));
    RETURN_IF_ERROR(file.read_as_f32(name, values));
    transpose(values.data(), t.rows, columns, to);
  }
  for (const std::string& name : file.names()) {
    if (used.contains(name) || is_constant(name)) continue;
    if (model.config().tied && name == "lm_head.weight") continue;
    return refused(
        "{}: tensor \"{}\" belongs to no part of a {} model; is model_type in config.json right?",
        folder, name, model.config().family);
  }
  return Done{};
}

Status write_hf_folder(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory, const HfExport& options) {
  ASSIGN_OR_RETURN(StagedFolder staged, StagedFolder::create(env, folder));
  const std::string& temp = staged.path();
  const auto parameters = by_name(model);
  std::vector<tensor::Block> blocks;
  std::vector<tensor::NamedTensor> tensors;
  for (const HfTensor& t : hf_tensors(model.config())) {
    const nn::Parameter& p = *parameters.at(t.parameter);
    const std::vector<std::int64_t> shape = shape_in_file(t, p);
    const std::int64_t columns = p.is_matrix() ? p.shape[1] : 1;
    const float* from = static_cast<const float*>(memory(p).data) + t.row_begin * columns;
    blocks.emplace_back(t.rows * columns * 4);
    auto* values = reinterpret_cast<float*>(blocks.back().data());
    if (t.transposed)
      transpose(from, columns, t.rows, values);
    else
      std::copy_n(from, t.rows * columns, values);
    if (options.dtype == DType::bf16) {
      tensor::Block narrow(t.rows * columns * 2);
      auto* to = reinterpret_cast<bf16_t*>(narrow.data());
      for (std::int64_t i = 0; i < t.rows * columns; ++i) to[i] = to_bf16(values[i]);
      blocks.back() = std::move(narrow);
    }
    tensors.emplace_back(t.hf_name,
                         Tensor(blocks.back().data(), options.dtype, Shape(std::span(shape))));
  }
  DecoderConfig config = model.config();
  config.dtype = options.dtype;
  RETURN_IF_ERROR(tensor::write_safetensors(env, join_path(temp, "model.safetensors"), tensors,
                                            {{"format", "pt"}}));
  RETURN_IF_ERROR(
      env.write_file(join_path(temp, "config.json"), hf_config_json(config, options.end_of_text)));
  if (!options.tokenizer_json.empty())
    RETURN_IF_ERROR(env.write_file(join_path(temp, "tokenizer.json"), options.tokenizer_json));
  return staged.commit();
}

}  // namespace boreal::model
