#include "train/replica.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/model/rig.h"
#include "tests/reference/operations.h"

namespace boreal::train {
namespace {

using model::DecoderConfig;
using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using tokens::Batch;

// Rows of documents whose lengths add up to the sequence.
Batch batch_of(const std::string& name, const std::vector<std::vector<std::int64_t>>& rows,
               std::int64_t vocab) {
  Batch batch;
  batch.rows = static_cast<std::int64_t>(rows.size());
  for (const auto& row : rows) {
    std::int64_t column = 0;
    for (const std::int64_t length : row) {
      for (std::int64_t i = 0; i < length; ++i) {
        batch.position.push_back(static_cast<std::int32_t>(i));
        batch.doc_begin.push_back(static_cast<std::int32_t>(column));
      }
      column += length;
    }
    batch.sequence = column;
  }
  const auto count = static_cast<std::int64_t>(batch.position.size());
  for (const std::int64_t id : reference::random_ids(name + " in", count, vocab))
    batch.input.push_back(static_cast<std::int32_t>(id));
  for (const std::int64_t id : reference::random_ids(name + " out", count, vocab))
    batch.target.push_back(static_cast<std::int32_t>(id));
  for (std::int64_t i = 0; i < count; ++i) batch.weight.push_back(i % 5 == 2 ? 0.0F : 1.0F);
  return batch;
}

double weight_of(const Batch& batch) {
  double sum = 0;
  for (const float weight : batch.weight) sum += static_cast<double>(weight);
  return sum;
}

// The same batch as the twin reads it.
reference::DecoderBatch twin_batch(const Batch& batch, double scale) {
  reference::DecoderBatch out;
  for (std::size_t i = 0; i < batch.input.size(); ++i) {
    out.id.push_back(batch.input[i]);
    out.target.push_back(batch.target[i]);
    out.position.push_back(batch.position[i]);
    out.document.push_back(static_cast<std::int64_t>(i) / batch.sequence * 1000 +
                           batch.doc_begin[i]);
    out.weight.push_back(static_cast<double>(batch.weight[i]));
  }
  out.scale = scale;
  return out;
}

reference::Parameters weights_of(Replica& replica) {
  reference::Parameters out;
  for (const nn::Parameter* p : replica.model().parameters())
    out[p->name] = matrix_of(replica.state().master(*p));
  return out;
}

TEST(SpansOf, EndsADocumentWhereTheNextOneOrTheRowBegins) {
  const Batch batch = batch_of("batch", {{3, 5}, {8}, {1, 6, 1}}, 10);
  std::vector<kernels::AttentionSpan> spans(3);  // what was there is gone
  spans_of(batch, 0, batch.rows, spans);
  std::vector<std::pair<std::int64_t, std::int64_t>> got;
  for (const auto& span : spans) {
    EXPECT_EQ(span.query_row, span.kv_row);
    EXPECT_EQ(span.queries, span.keys);
    EXPECT_EQ(span.query_begin, 0);
    got.emplace_back(span.query_row, span.queries);
  }
  EXPECT_EQ(got, (std::vector<std::pair<std::int64_t, std::int64_t>>{
                     {0, 3}, {3, 5}, {8, 8}, {16, 1}, {17, 6}, {23, 1}}));
}

class ReplicaTest : public testing::TestWithParam<std::string> {
 protected:
  DecoderConfig config(DType dtype = DType::f32) const {
    return GetParam() == "llama" ? model::tiny_llama(dtype) : model::tiny_gpt2(dtype);
  }
  std::unique_ptr<Replica> make(const plan::StepShape& shape, device::Pool& pool,
                                DType dtype = DType::f32) const {
    plan::StepShape with_threads = shape;
    with_threads.threads = pool.threads();
    auto replica = std::make_unique<Replica>(config(dtype), with_threads, pool);
    replica->state().initialise(replica->ctx(), 9);
    replica->publish();
    return replica;
  }
  device::Pool pool_{2};
};

TEST_P(ReplicaTest, LossNormAndGradientsEqualTheTwinsOverMicroBatches) {
  const auto replica = make({.rows = 2, .sequence = 30}, pool_);
  const std::int64_t vocab = config().vocab;
  // The second micro-batch is smaller than planned in both directions.
  const Batch first = batch_of("first", {{30}, {7, 3, 20}}, vocab);
  const Batch second = batch_of("second", {{4, 9}}, vocab);
  const double scale = 1 / (weight_of(first) + weight_of(second));
  const double loss = replica->accumulate(first, scale) + replica->accumulate(second, scale);

  const auto weights = weights_of(*replica);
  const auto shape = model::twin_shape(config());
  const auto twin1 = reference::decoder(shape, weights, twin_batch(first, scale));
  const auto twin2 = reference::decoder(shape, weights, twin_batch(second, scale));
  EXPECT_NEAR(loss / (twin1.total + twin2.total), 1, 1e-6);
  double squares = 0;
  for (const nn::Parameter* p : replica->model().parameters()) {
    const Matrix expected = twin1.gradients.at(p->name) + twin2.gradients.at(p->name);
    EXPECT_LE(relative_error(matrix_of(replica->state().gradient(*p)), expected), 1e-5) << p->name;
    squares += dot(expected, expected);
  }
  EXPECT_NEAR(replica->gradient_norm() / std::sqrt(squares), 1, 1e-6);
  EXPECT_EQ(replica->first_non_finite(), "");
}

TEST_P(ReplicaTest, EvaluatingGivesTheTrainingLossAndTouchesNoGradient) {
  const auto replica = make({.rows = 2, .sequence = 16}, pool_);
  const Batch batch = batch_of("batch", {{16}, {8, 8}}, config().vocab);
  const double sum = replica->evaluate(batch);
  EXPECT_EQ(replica->gradient_norm(), 0);
  EXPECT_NEAR(replica->accumulate(batch, 1 / weight_of(batch)) / (sum / weight_of(batch)), 1,
              1e-12);
}

TEST_P(ReplicaTest, UpdatesAsAdamWDoesAndDecaysMatricesOnly) {
  const auto replica = make({.rows = 1, .sequence = 20}, pool_);
  const Batch batch = batch_of("batch", {{20}}, config().vocab);
  spec::OptimSpec optim;
  optim.betas = {0.9, 0.999};
  optim.weight_decay = 0.5;
  auto weights = weights_of(*replica);
  reference::Parameters m;
  reference::Parameters v;
  for (const auto& [name, w] : weights) m[name] = v[name] = Matrix(w.rows, w.columns);
  for (std::int64_t step = 1; step <= 3; ++step) {
    replica->accumulate(batch, 1 / weight_of(batch));
    for (const nn::Parameter* p : replica->model().parameters())
      reference::adamw(weights[p->name], matrix_of(replica->state().gradient(*p)), m[p->name],
                       v[p->name],
                       {.lr = 0.01,
                        .beta1 = 0.9,
                        .beta2 = 0.999,
                        .eps = optim.eps,
                        .weight_decay = p->is_matrix() ? 0.5 : 0,
                        .grad_scale = 0.25,
                        .step = static_cast<double>(step)});
    replica->update(optim, 0.01, 0.25, step);
    EXPECT_EQ(replica->gradient_norm(), 0);
  }
  for (const auto& [name, w] : weights_of(*replica))
    EXPECT_LE(relative_error(w, weights[name]), 1e-5) << name;
}

TEST_P(ReplicaTest, HasTheSameBitsAfterThreeStepsOnOneAndTwoThreads) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto train = [&](std::int64_t threads) {
      device::Pool pool(threads);
      const auto replica = make({.rows = 2, .sequence = 40}, pool, dtype);
      for (std::int64_t step = 1; step <= 3; ++step) {
        const Batch batch = batch_of(fmt::format("{}", step), {{40}, {13, 27}}, config().vocab);
        replica->accumulate(batch, 1 / weight_of(batch));
        replica->update({}, 0.01, 1, step);
      }
      std::vector<std::byte> bytes;
      for (const nn::Parameter* p : replica->model().parameters()) {
        const auto part = bytes_of_tensor(replica->state().master(*p));
        bytes.insert(bytes.end(), part.begin(), part.end());
      }
      return bytes;
    };
    EXPECT_EQ(train(1), train(2));
  }
}

TEST_P(ReplicaTest, LearnsABatchByHeart) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto replica = make({.rows = 1, .sequence = 24}, pool_, dtype);
    const Batch batch = batch_of("batch", {{24}}, config().vocab);
    const double start = replica->evaluate(batch) / weight_of(batch);
    EXPECT_NEAR(start, std::log(static_cast<double>(config().vocab)), 0.2);
    for (std::int64_t step = 1; step <= 60; ++step) {
      replica->accumulate(batch, 1 / weight_of(batch));
      replica->update({}, 0.01, 1, step);
    }
    EXPECT_LT(replica->evaluate(batch) / weight_of(batch), 0.1 * start) << name_of(dtype);
  }
}

TEST_P(ReplicaTest, NamesTheFirstParameterThatIsNotFinite) {
  const auto replica = make({.rows = 1, .sequence = 8}, pool_);
  const nn::Parameter& p = *replica->model().parameters()[3];
  auto* gradient = static_cast<float*>(replica->state().gradient(p).data);
  gradient[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(replica->first_non_finite(), "gradient of " + p.name);
  EXPECT_TRUE(std::isinf(replica->gradient_norm()));
  replica->zero_gradients();
  static_cast<float*>(replica->state().master(p).data)[0] = std::nanf("");
  EXPECT_EQ(replica->first_non_finite(), "weight " + p.name);
}

TEST_P(ReplicaTest, ANotANumberInAWeightReachesTheLoss) {
  const auto replica = make({.rows = 1, .sequence = 8}, pool_);
  const nn::Parameter& p = *replica->model().parameters().back();
  static_cast<float*>(replica->state().master(p).data)[0] = std::nanf("");
  replica->publish();
  const Batch batch = batch_of("batch", {{8}}, config().vocab);
  EXPECT_TRUE(std::isnan(replica->accumulate(batch, 1)));
  EXPECT_NE(replica->first_non_finite(), "");
}

INSTANTIATE_TEST_SUITE_P(Families, ReplicaTest, testing::Values("llama", "gpt2"),
                         [](const auto& family) { return family.param; });

TEST(ReplicaDeathTest, RefusesABatchLargerThanPlanned) {
  device::Pool pool(1);
  Replica replica(model::tiny_llama(DType::f32), {.rows = 1, .sequence = 8}, pool);
  const Batch batch = batch_of("batch", {{9}}, 97);
  EXPECT_DEATH(replica.accumulate(batch, 1), "9 against 8");
}

}  // namespace
}  // namespace boreal::train
