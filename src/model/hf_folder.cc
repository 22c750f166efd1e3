#include "model/hf_folder.h"

#include <cmath>
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
  return name.ends_with(".attention.bias") || name.ends_with(".attention.masked_bias") ||
         name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
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

// Calls visit(index in the file, index in the parameter) for each element of a tensor.
template <class Visit>
void each_element(const HfTensor& t, std::int64_t columns, const Visit& visit) {
  for (std::int64_t row = 0; row < t.rows; ++row) {
    const std::int64_t ours = t.row(row) * columns;
    for (std::int64_t c = 0; c < columns; ++c)
      visit(t.transposed ? c * t.rows + row : row * columns + c, ours + c);
  }
}

Status check_finite(const std::string& folder, const std::string& name,
                    const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return refused(
          "{}: tensor \"{}\" holds {} at element {}; was the run that wrote it diverging?", folder,
          name, values[i], i);
  return Done{};
}

// A head beside a tied embedding: the same values (some writers store both), or a contradiction.
Status check_tied_head(const std::string& folder, const tensor::SafetensorsModel& file,
                       const Decoder& model, const std::string& head,
                       const ParameterMemory& memory) {
  const nn::Parameter& table = *by_name(model).at("embedding.weight");
  const auto& entry = *file.find(head);
  if (entry.elements() != table.shape.elements())
    return refused(
        "{}: tie_word_embeddings makes \"{}\" the embedding's matrix of shape {}, but the file has "
        "one of shape {}",
        folder, head, table.shape.text(), text_of(entry.shape));
  std::vector<float> values(static_cast<std::size_t>(entry.elements()));
  RETURN_IF_ERROR(file.read_as_f32(head, values));
  const auto* embedding = static_cast<const float*>(memory(table).data);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != embedding[i])
      return refused(
          "{}: tie_word_embeddings is true, but \"{}\" differs from the embedding at element {}: "
          "{} "
          "against {}; which one is meant?",
          folder, head, i, values[i], embedding[i]);
  return Done{};
}

Status read_tensor(const std::string& folder, const tensor::SafetensorsModel& file,
                   const std::string& name, const HfTensor& t, const nn::Parameter& p,
                   const Tensor& memory) {
  const std::vector<std::int64_t> want = shape_in_file(t, p);
  if (const auto& have = file.find(name)->shape; have != want)
    return refused("{}: tensor \"{}\" has shape {}, config.json makes it {}", folder, name,
                   text_of(have), text_of(want));
  const std::int64_t columns = p.is_matrix() ? p.shape[1] : 1;
  std::vector<float> values(static_cast<std::size_t>(t.rows * columns));
  RETURN_IF_ERROR(file.read_as_f32(name, values));
  RETURN_IF_ERROR(check_finite(folder, name, values));
  auto* to = static_cast<float*>(memory.data);
  each_element(t, columns, [&](std::int64_t in_file, std::int64_t ours) {
    to[ours] = values[static_cast<std::size_t>(in_file)];
  });
  return Done{};
}

}  // namespace

Status read_hf_weights(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory) {
  ASSIGN_OR_RETURN(const auto file, tensor::SafetensorsModel::open(env, folder));
  const auto parameters = by_name(model);
  const std::string head = hf_head_name(model.config());
  std::set<std::string> used;
  for (const HfTensor& t : hf_tensors(model.config())) {
    const std::string name = name_in(file, model.config(), t.hf_name);
    if (name.empty())
      return refused("{}: no tensor \"{}\", which a {} model has{}", folder, t.hf_name,
                     model.config().family,
                     t.hf_name == head ? " where tie_word_embeddings in config.json is false" : "");
    used.insert(name);
    const nn::Parameter& p = *parameters.at(t.parameter);
    RETURN_IF_ERROR(read_tensor(folder, file, name, t, p, memory(p)));
  }
  for (const std::string& name : file.names()) {
    if (used.contains(name) || is_constant(name)) continue;
    if (model.config().tied && name == head) {
      RETURN_IF_ERROR(check_tied_head(folder, file, model, head, memory));
      continue;
    }
    return refused(
        "{}: tensor \"{}\" belongs to no part of a {} model; is model_type in config.json right?",
        folder, name, model.config().family);
  }
  return Done{};
}

Status write_hf_folder(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory, const HfExport& options) {
  RETURN_IF_ERROR(exportable(model.config()));
  ASSIGN_OR_RETURN(StagedFolder staged, StagedFolder::create(env, folder));
  const std::string& temp = staged.path();
  const auto parameters = by_name(model);
  std::vector<tensor::Block> blocks;
  std::vector<tensor::NamedTensor> tensors;
  for (const HfTensor& t : hf_tensors(model.config())) {
    const nn::Parameter& p = *parameters.at(t.parameter);
    const std::vector<std::int64_t> shape = shape_in_file(t, p);
    const std::int64_t columns = p.is_matrix() ? p.shape[1] : 1;
    const Tensor whole = memory(p);
    const auto* from = static_cast<const float*>(whole.data);
    blocks.emplace_back(t.rows * columns * 4);
    auto* values = reinterpret_cast<float*>(blocks.back().data());
    each_element(t, columns,
                 [&](std::int64_t in_file, std::int64_t ours) { values[in_file] = from[ours]; });
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
