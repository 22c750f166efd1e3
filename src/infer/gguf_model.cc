#include "infer/gguf_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "infer/gguf_tokenizer.h"
#include "model/gguf.h"

namespace boreal::infer {

using kernels::WeightFormat;
using model::GgufRows;
using tensor::Block;
using tensor::GgufFile;
using tensor::GgufPiece;
using tensor::GgufTensor;
using tensor::GgufType;
using tensor::Shape;
using tensor::Tensor;

namespace {

WeightFormat format_of(GgufType type) {
  if (type == GgufType::q8_0) return WeightFormat::q8_0;
  if (type == GgufType::q4_0) return WeightFormat::q4_0;
  return WeightFormat::plain;
}

std::map<std::string, const nn::Parameter*> by_name(const model::Decoder& model) {
  std::map<std::string, const nn::Parameter*> all;
  for (const nn::Parameter* p : model.parameters()) all[p->name] = p;
  return all;
}

std::int64_t columns_of(const nn::Parameter& p) {
  return p.is_matrix() ? p.shape[1] : 1;
}

// Type of one tensor of the file that is written. Small tables are not worth blocks.
GgufType type_of(const nn::Parameter& p, const GgufRows& rows, GgufType wanted) {
  if (!p.is_matrix()) return GgufType::f32;
  if (rows.name == "position_embd.weight") return GgufType::f32;
  if (format_of(wanted) == WeightFormat::plain) return wanted;
  return p.shape[1] % kernels::kWeightBlock == 0 ? wanted : GgufType::bf16;
}

// The rows of one tensor, fp32, in the file's order.
Result<Block> rows_in_order(const std::string& path, const GgufRows& rows, const nn::Parameter& p,
                            const float* from) {
  const std::int64_t columns = columns_of(p);
  Block out(rows.rows * columns * 4);
  auto* to = reinterpret_cast<float*>(out.data());
  for (std::int64_t r = 0; r < rows.rows; ++r)
    std::copy_n(from + rows.our_row(r) * columns, columns, to + r * columns);
  const auto bad =
      std::find_if(to, to + rows.rows * columns, [](float x) { return !std::isfinite(x); });
  if (bad != to + rows.rows * columns)
    return refused("{}: \"{}\" holds {} at row {}, column {}; such a model is not written", path,
                   p.name, *bad, rows.our_row((bad - to) / columns), (bad - to) % columns);
  return out;
}

Block as_type(const device::Context& ctx, const Block& values, Shape shape, GgufType type) {
  Block out(shape.rows() * tensor::gguf_row_bytes(type, shape.columns()));
  const Tensor from(values.data(), DType::f32, shape);
  const std::int64_t count = shape.elements();
  const auto* x = reinterpret_cast<const float*>(values.data());
  switch (type) {
    case GgufType::f32:
      std::memcpy(out.data(), values.data(), static_cast<std::size_t>(count) * 4);
      break;
    case GgufType::bf16:
      for (std::int64_t i = 0; i < count; ++i)
        reinterpret_cast<bf16_t*>(out.data())[i] = to_bf16(x[i]);
      break;
    case GgufType::f16:
      for (std::int64_t i = 0; i < count; ++i)
        reinterpret_cast<std::uint16_t*>(out.data())[i] = half_bits(x[i]);
      break;
    case GgufType::q8_0:
    case GgufType::q4_0:
      kernels::to_blocks(
          ctx, from, format_of(type),
          Tensor(out.data(), DType::u8,
                 Shape{shape.rows(), tensor::gguf_row_bytes(type, shape.columns())}));
  }
  return out;
}

// One row of a tensor as floats.
void widen(const std::byte* row, GgufType type, std::int64_t columns, float* to,
           const device::Context& ctx) {
  if (format_of(type) != WeightFormat::plain) {
    const Tensor blocks(const_cast<std::byte*>(row), DType::u8,
                        Shape{1, tensor::gguf_row_bytes(type, columns)});
    kernels::from_blocks(ctx, blocks, format_of(type), Tensor(to, DType::f32, Shape{1, columns}));
    return;
  }
  if (type == GgufType::f32) {
    std::memcpy(to, row, static_cast<std::size_t>(columns) * 4);
    return;
  }
  for (std::int64_t i = 0; i < columns; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, row + 2 * i, 2);
    to[i] = type == GgufType::bf16 ? to_float(bf16_t{bits}) : float_of_half(bits);
  }
}

// The scale of every block of a row is a number.
bool scales_are_finite(const std::byte* row, GgufType type, std::int64_t columns) {
  const std::int64_t each = kernels::block_bytes(format_of(type));
  for (std::int64_t i = 0; i < columns / kernels::kWeightBlock; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, row + i * each, 2);
    if ((bits & 0x7c00U) == 0x7c00U) return false;
  }
  return true;
}

using Pieces = std::map<std::string, std::vector<std::pair<GgufRows, const GgufTensor*>>>;

// The file's tensors by parameter.
Result<Pieces> pieces_of(const GgufFile& file, const model::Decoder& model) {
  const auto parameters = by_name(model);
  ASSIGN_OR_RETURN(const auto tensors, model::gguf_tensors(model.config()));
  Pieces pieces;
  std::set<std::string> used;
  for (const GgufRows& rows : tensors) {
    ASSIGN_OR_RETURN(const GgufTensor* found, file.need(rows.name));
    const nn::Parameter& p = *parameters.at(rows.parameter);
    std::vector<std::int64_t> want = {rows.rows};
    if (p.is_matrix()) want.push_back(p.shape[1]);
    if (found->shape != want)
      return refused("{}: tensor \"{}\" has shape {}, but the file's own facts make it {}",
                     file.path(), rows.name, Shape(std::span(found->shape)).text(),
                     Shape(std::span(want)).text());
    pieces[rows.parameter].emplace_back(rows, found);
    used.insert(rows.name);
  }
  for (const GgufTensor& t : file.tensors())
    if (!used.contains(t.name))
      return refused("{}: tensor \"{}\" belongs to no part of a {} model", file.path(), t.name,
                     model.config().family);
  return pieces;
}

WeightFormat common_format(const std::vector<std::pair<GgufRows, const GgufTensor*>>& pieces) {
  const std::uint32_t type = pieces.front().second->type;
  for (const auto& [rows, found] : pieces)
    if (found->type != type) return WeightFormat::plain;
  return format_of(static_cast<GgufType>(type));
}

Status read_parameter(const device::Context& ctx, const GgufFile& file, const nn::Parameter& p,
                      const Pieces::mapped_type& pieces, Weights& weights) {
  const std::int64_t columns = columns_of(p);
  const WeightFormat format = p.multiplied ? common_format(pieces) : WeightFormat::plain;
  const bool blocks = format != WeightFormat::plain;
  const std::int64_t row_bytes = blocks ? kernels::block_row_bytes(format, columns) : 4 * columns;
  const Block memory(p.shape.elements() / columns * row_bytes);
  for (const auto& [rows, found] : pieces) {
    const auto type = static_cast<GgufType>(found->type);
    const std::int64_t file_row_bytes = tensor::gguf_row_bytes(type, columns);
    const std::byte* from = file.data(*found).data();
    for (std::int64_t r = 0; r < rows.rows; ++r, from += file_row_bytes) {
      std::byte* to = memory.data() + rows.our_row(r) * row_bytes;
      bool finite = true;
      if (blocks) {
        std::memcpy(to, from, static_cast<std::size_t>(row_bytes));
        finite = scales_are_finite(to, type, columns);
      } else {
        auto* values = reinterpret_cast<float*>(to);
        widen(from, type, columns, values, ctx);
        finite = std::all_of(values, values + columns, [](float x) { return std::isfinite(x); });
      }
      if (!finite)
        return refused("{}: tensor \"{}\", row {}: a value that is not finite", file.path(),
                       found->name, r);
    }
  }
  if (blocks)
    weights.publish_blocks(ctx, p, Tensor(memory.data(), DType::u8, Shape{p.shape[0], row_bytes}));
  else
    weights.publish(ctx, p, Tensor(memory.data(), DType::f32, p.shape));
  return Done{};
}

}  // namespace

std::string_view name_of(GgufTokenizer tokenizer) {
  switch (tokenizer) {
    case GgufTokenizer::none: return "none";
    case GgufTokenizer::whole: return "whole";
    case GgufTokenizer::ids_only: return "ids only";
  }
  return "?";
}

Result<GgufTokenizer> write_gguf_model(Env& env, const device::Context& ctx,
                                       const std::string& path, const model::Decoder& model,
                                       const model::ParameterMemory& memory,
                                       const GgufExport& options) {
  const auto parameters = by_name(model);
  ASSIGN_OR_RETURN(const auto tensors, model::gguf_tensors(model.config()));
  ASSIGN_OR_RETURN(tensor::GgufFacts facts,
                   model::gguf_facts(model.config(), options.name, options.type));
  ASSIGN_OR_RETURN(const GgufTokenizer tokenizer,
                   add_tokenizer_facts(options.tokenizer_json, model.config().vocab, facts));
  std::vector<GgufPiece> pieces;
  for (const GgufRows& rows : tensors) {
    const nn::Parameter& p = *parameters.at(rows.parameter);
    const GgufType type = type_of(p, rows, options.type);
    const std::int64_t columns = columns_of(p);
    GgufPiece piece{.name = rows.name, .type = type, .shape = {rows.rows}, .make = {}};
    if (p.is_matrix()) piece.shape.push_back(columns);
    piece.make = [&, rows, type, columns]() -> Result<Block> {
      const auto* values = static_cast<const float*>(memory(p).data);
      ASSIGN_OR_RETURN(const Block ordered, rows_in_order(path, rows, p, values));
      return as_type(ctx, ordered, p.is_matrix() ? Shape{rows.rows, columns} : Shape{1, rows.rows},
                     type);
    };
    pieces.push_back(std::move(piece));
  }
  RETURN_IF_ERROR(tensor::write_gguf(env, path, facts, pieces));
  return tokenizer;
}

bool is_gguf(Env& env, const std::string& path) {
  return path.ends_with(".gguf") && !env.is_dir(path);
}

Weights::FormatOf formats_in(const GgufFile& file, const model::Decoder& model) {
  std::map<std::string, WeightFormat> formats;
  if (const auto pieces = pieces_of(file, model); pieces.ok())
    for (const auto& [name, list] : *pieces) formats[name] = common_format(list);
  return [formats](const nn::Parameter& p) {
    const auto at = formats.find(p.name);
    return at == formats.end() ? WeightFormat::plain : at->second;
  };
}

Status read_gguf_weights(const device::Context& ctx, const GgufFile& file,
                         const model::Decoder& model, Weights& weights) {
  ASSIGN_OR_RETURN(const Pieces pieces, pieces_of(file, model));
  for (const nn::Parameter* p : model.parameters())
    RETURN_IF_ERROR(read_parameter(ctx, file, *p, pieces.at(p->name), weights));
  return Done{};
}

}  // namespace boreal::infer
