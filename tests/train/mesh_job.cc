#include "tests/train/mesh_job.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/philox.h"
#include "dist/layout.h"
#include "tests/model/rig.h"
#include "tokens/row.h"

namespace boreal::train {

namespace {

constexpr std::int64_t kSequence = 16;

// Documents of three lengths, every fifth token without weight.
tokens::Batch batch_of(const MeshJob& job, std::int64_t step, std::int64_t vocab) {
  tokens::Batch batch{.rows = job.rows, .sequence = kSequence};
  const std::string name = fmt::format("batch {}", step);
  const auto count = job.rows * kSequence;
  const auto in = reference::random_ids(name + " in", count, vocab);
  const auto out = reference::random_ids(name + " out", count, vocab);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto column = static_cast<std::int32_t>(i % kSequence);
    const std::int32_t begin = column < 3 ? 0 : (column < 9 ? 3 : 9);
    const auto at = static_cast<std::size_t>(i);
    batch.input.push_back(static_cast<std::int32_t>(in[at]));
    batch.target.push_back(static_cast<std::int32_t>(out[at]));
    batch.weight.push_back((i + step) % 5 == 2 ? 0.0F : 1.0F);
    batch.doc_begin.push_back(begin);
    batch.position.push_back(column - begin);
  }
  return batch;
}

// Whole parameters on every rank, from what each owns: (index, first element, count, values).
template <class ValueOf>
std::map<std::string, std::vector<float>> whole(Replica& replica, ValueOf value_of) {
  std::string mine;
  const auto put = [&](const void* data, std::size_t bytes) {
    mine.append(static_cast<const char*>(data), bytes);
  };
  for (const parallel::Part& part : replica.state().layout().parts()) {
    const nn::Parameter& p = *part.parameter;
    const auto* values = static_cast<const float*>(value_of(part).data);
    for (const auto& region : parallel::regions_of(p, part.begin, part.count))
      for (std::int64_t row = 0; row < region.shape[0]; ++row) {
        const std::int64_t count = region.shape.elements() / region.shape[0];
        const std::int64_t header[] = {p.index, region.global_index(p, row), count};
        put(header, sizeof(header));
        put(values, static_cast<std::size_t>(count) * 4);
        values += count;
      }
  }
  std::map<std::string, std::vector<float>> out;
  for (const nn::Parameter* p : replica.model().parameters())
    out[p->name].assign(static_cast<std::size_t>(p->shape.elements()),
                        std::numeric_limits<float>::quiet_NaN());
  for (const std::string& text : replica.mesh().all().gather_texts(mine))
    for (std::size_t at = 0; at < text.size();) {
      std::int64_t header[3];
      std::memcpy(header, text.data() + at, sizeof(header));
      at += sizeof(header);
      const nn::Parameter& p = *replica.model().parameters()[static_cast<std::size_t>(header[0])];
      const auto bytes = static_cast<std::size_t>(header[2]) * 4;
      std::memcpy(out[p.name].data() + header[1], text.data() + at, bytes);
      at += bytes;
    }
  return out;
}

}  // namespace

std::string MeshOutcome::bytes() const {
  std::string out(reinterpret_cast<const char*>(losses.data()), losses.size() * sizeof(double));
  for (const auto* map : {&gradients, &weights})
    for (const auto& [name, values] : *map)
      out.append(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  return out;
}

model::DecoderConfig config_of(const MeshJob& job) {
  model::DecoderConfig c = model::tiny(job.family, job.dtype);
  c.heads = 8;
  c.kv_heads = job.family == "gpt2" || job.family == "neox" ? 8 : job.kv_heads;
  if (job.family == "neox") c.hidden = 176;
  c.ffn = 160;
  c.context = kSequence;
  return c;
}

MeshOutcome run(dist::World& world, const MeshJob& job) {
  const auto mesh = dist::DeviceMesh::make(world, job.mesh);
  CHECK(mesh.ok(), "{}", mesh.error().message);
  device::Pool pool(1);
  const std::int64_t rows = job.rows / mesh->batch_parts();
  const std::int64_t micro = job.micro_rows > 0 ? job.micro_rows : rows;
  Replica replica(config_of(job),
                  {.rows = micro,
                   .sequence = kSequence,
                   .recompute = job.recompute,
                   .sequence_parallel = job.mesh.sequence_parallel,
                   .bucket_elements = job.bucket_elements},
                  pool, *mesh);
  replica.state().initialise(replica.ctx(), 9);
  replica.publish();
  const Rng rng(static_cast<std::uint64_t>(world.rank()), "delays", "");
  std::uint64_t delays = 0;
  const auto dawdle = [&] {
    if (job.slow)
      std::this_thread::sleep_for(std::chrono::microseconds(
          static_cast<std::int64_t>(std::abs(rng.normal(delays++)) * 2000)));
  };
  spec::OptimSpec optim;
  optim.eps = job.eps;
  MeshOutcome out;
  for (std::int64_t step = 0; step < job.steps; ++step) {
    const tokens::Batch batch = batch_of(job, step, config_of(job).vocab);
    (void)world.take_traffic();
    double loss = 0;
    for (std::int64_t row = 0; row < rows; row += micro) {
      dawdle();
      const std::int64_t count = std::min(micro, rows - row);
      loss += replica.accumulate(tokens::rows_of(batch, mesh->batch_index() * rows + row, count),
                                 1 / tokens::sum_of_weights(batch), row + count == rows);
    }
    dawdle();
    out.losses.push_back(mesh->dp().sum(loss));
    const double norm = replica.gradient_norm();
    if (step + 1 == job.steps)
      out.gradients =
          whole(replica, [&](const auto& part) { return replica.state().reduced_gradient(part); });
    dawdle();
    replica.update(optim, 1e-3, 1 / std::max(1.0, norm), step + 1);
    replica.settle();
    out.traffic = world.take_traffic();
  }
  out.weights = whole(replica, [&](const auto& part) { return replica.state().master(part); });
  return out;
}

MeshOutcome run_in_threads(const MeshJob& job) {
  MeshOutcome out;
  const std::int64_t ranks = ranks_of(job.mesh);
  const Status status = dist::run_world(ranks == 1 ? "single" : fmt::format("threads:{}", ranks),
                                        {.time_limit_s = 60}, [&](dist::World& world) -> Status {
                                          MeshOutcome mine = run(world, job);
                                          if (world.is_main()) out = std::move(mine);
                                          return Done{};
                                        });
  CHECK(status.ok(), "{}", status.error().message);
  return out;
}

double gradient_difference(const MeshOutcome& got, const MeshOutcome& expected) {
  double worst = 0;
  for (const auto& [name, values] : expected.gradients) {
    const std::vector<float>& here = got.gradients.at(name);
    double largest = 0;
    double difference = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(values[i])));
      const double d = std::abs(static_cast<double>(here[i]) - static_cast<double>(values[i]));
      difference =
          std::isfinite(d) ? std::max(difference, d) : std::numeric_limits<double>::infinity();
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

double loss_difference(const MeshOutcome& got, const MeshOutcome& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < expected.losses.size(); ++i)
    worst = std::max(worst, std::abs(got.losses[i] / expected.losses[i] - 1));
  return worst;
}

std::int64_t ranks_of(const spec::MeshSpec& mesh) {
  return dist::Layout(mesh).ranks();
}

std::string text_of(const spec::MeshSpec& mesh) {
  const std::string text = dist::Layout(mesh).text();
  return mesh.tp > 1 && !mesh.sequence_parallel ? text + ", rows not cut" : text;
}

}  // namespace boreal::train
