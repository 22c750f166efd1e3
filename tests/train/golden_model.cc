#include "tests/train/golden_model.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace boreal::train {

using tensor::Shape;
using tensor::Tensor;

namespace {

constexpr std::int64_t kThreads = 2;

std::vector<float> read(const tensor::SafetensorsFile& file, const std::string& name) {
  const tensor::SafetensorsEntry* entry = file.find(name);
  CHECK(entry != nullptr, "{}: no tensor {}", file.path(), name);
  std::vector<float> values(static_cast<std::size_t>(entry->elements()));
  const Status done = file.read_as_f32(name, values);
  CHECK(done.ok(), "{}", done.error().message);
  return values;
}

double sum(const std::vector<float>& weights) {
  double total = 0;
  for (const float weight : weights) total += static_cast<double>(weight);
  return total;
}

// Calls visit(index in the file, index in the parameter) for each element of a tensor.
template <class Visit>
void each_element(const model::HfTensor& hf, const nn::Parameter& p, Visit visit) {
  const std::int64_t columns = p.shape.elements() / p.shape[0];
  for (std::int64_t row = 0; row < hf.rows; ++row)
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t in_file = hf.transposed ? column * hf.rows + row : row * columns + column;
      visit(static_cast<std::size_t>(in_file), hf.row(row) * columns + column);
    }
}

}  // namespace

GoldenModel::GoldenModel(const std::string& name, DType dtype)
    : folder_(std::string(BOREAL_SOURCE_DIR) + "/tests/golden/model/" + name), pool_(kThreads) {
  Env& env = Env::real();
  const std::string config_path = join_path(folder_, "config.json");
  const auto config =
      model::config_from_hf(env.read_file(config_path).value(), config_path, dtype).value();
  tensors_ = model::hf_tensors(config);
  file_ = std::make_unique<tensor::SafetensorsFile>(
      tensor::SafetensorsFile::open(env, join_path(folder_, "golden.safetensors")).value());
  read_batches();
  read_figures();
  replica_ = std::make_unique<Replica>(
      config,
      plan::StepShape{
          .rows = batches_[0].rows, .sequence = batches_[0].sequence, .threads = kThreads},
      pool_);
  const auto weights =
      tensor::SafetensorsFile::open(env, join_path(folder_, "model.safetensors")).value();
  CHECK_EQ(weights.entries().size(), tensors_.size());
  for (const model::HfTensor& hf : tensors_) fill(hf, read(weights, hf.hf_name));
  replica_->publish();
}

const nn::Parameter& GoldenModel::parameter(const std::string& name) const {
  for (const nn::Parameter* p : replica_->model().parameters())
    if (p->name == name) return *p;
  CHECK(false, "no parameter {}", name);
}

void GoldenModel::fill(const model::HfTensor& hf, const std::vector<float>& values) {
  const nn::Parameter& p = parameter(hf.parameter);
  auto* master = static_cast<float*>(replica_->state().master(p).data);
  each_element(hf, p,
               [&](std::size_t in_file, std::int64_t ours) { master[ours] = values.at(in_file); });
}

std::vector<float> GoldenModel::gradient(const model::HfTensor& hf) const {
  const nn::Parameter& p = parameter(hf.parameter);
  const auto* gradient = static_cast<const float*>(replica_->state().gradient(p).data);
  std::vector<float> values(static_cast<std::size_t>(hf.rows * p.shape.elements() / p.shape[0]));
  each_element(
      hf, p, [&](std::size_t in_file, std::int64_t ours) { values.at(in_file) = gradient[ours]; });
  return values;
}

std::vector<float> GoldenModel::golden(const std::string& name, DType dtype) const {
  if (dtype == DType::f32) return read(*file_, name);
  std::string bf16 = name;
  bf16.insert(std::min(name.find('.'), name.size()), "_bf16");
  return read(*file_, bf16);
}

void GoldenModel::read_batches() {
  const Shape shape = file_->tensor("input").value().shape;
  const auto tokens = static_cast<std::size_t>(shape[1] * shape[2]);
  const auto cut = [&](const std::string& name, std::size_t step, auto& to) {
    const Tensor all = file_->tensor(name).value();
    CHECK_EQ(all.shape.text(), shape.text());
    to.resize(tokens);
    std::memcpy(to.data(), static_cast<const std::byte*>(all.data) + step * tokens * 4, tokens * 4);
  };
  for (std::size_t step = 0; step < static_cast<std::size_t>(shape[0]); ++step) {
    tokens::Batch batch{.rows = shape[1], .sequence = shape[2]};
    cut("input", step, batch.input);
    cut("target", step, batch.target);
    cut("weight", step, batch.weight);
    cut("position", step, batch.position);
    cut("doc_begin", step, batch.doc_begin);
    batches_.push_back(std::move(batch));
  }
}

void GoldenModel::read_figures() {
  const auto json =
      nlohmann::json::parse(Env::real().read_file(join_path(folder_, "golden.json")).value());
  const auto figures = [&](const char* dtype) {
    return GoldenFigures{.loss = json.at(dtype).at("loss"),
                         .losses = json.at(dtype).at("losses"),
                         .gradient_norms = json.at(dtype).at("gradient_norms")};
  };
  fp32_ = figures("fp32");
  if (json.contains("bf16")) bf16_ = figures("bf16");
  const auto& optim = json.at("optim");
  optim_ = {.lr = optim.at("lr"),
            .schedule = "constant",
            .weight_decay = optim.at("weight_decay"),
            .betas = optim.at("betas"),
            .eps = optim.at("eps"),
            .clip = optim.at("clip")};
}

std::vector<float> GoldenModel::logits(const tokens::Batch& batch) const {
  const std::int64_t count = batch.rows * batch.sequence;
  std::vector<std::int32_t> id = batch.input;
  std::vector<std::int32_t> position = batch.position;
  std::vector<std::int32_t> row(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    row[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i);
  nn::Rows rows{.count = count,
                .id = Tensor(id.data(), DType::i32, Shape{count}),
                .position = Tensor(position.data(), DType::i32, Shape{count}),
                .keys_max = batch.sequence};
  spans_of(batch, 0, batch.rows, rows.spans);
  const std::int64_t vocab = replica_->model().config().vocab;
  std::vector<float> logits(static_cast<std::size_t>(count * vocab));
  const Tensor out(logits.data(), DType::f32, Shape{count, vocab});
  const auto run = [&](const device::Context& ctx, tensor::Arena& arena) {
    replica_->model().generate(ctx, arena, replica_->weights(), rows, nullptr,
                               Tensor(row.data(), DType::i32, Shape{count}), out);
  };
  tensor::Arena planned;
  run(device::meta_context(kThreads), planned);
  tensor::Arena arena(planned.peak_bytes());
  run(replica_->ctx(), arena);
  return logits;
}

double GoldenModel::accumulate(const tokens::Batch& batch, std::int64_t rows) {
  const double scale = 1 / sum(batch.weight);
  double loss = 0;
  for (std::int64_t begin = 0; begin < batch.rows; begin += rows) {
    tokens::Batch part{.rows = std::min(rows, batch.rows - begin), .sequence = batch.sequence};
    const auto cut = [&](const auto& from, auto& to) {
      const auto first = from.begin() + begin * batch.sequence;
      to.assign(first, first + part.rows * batch.sequence);
    };
    cut(batch.input, part.input);
    cut(batch.target, part.target);
    cut(batch.weight, part.weight);
    cut(batch.position, part.position);
    cut(batch.doc_begin, part.doc_begin);
    loss += replica_->accumulate(part, scale);
  }
  return loss;
}

}  // namespace boreal::train
