#include "parallel/sharded_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/family_ops.h"
#include "kernels/ops.h"
#include "parallel/weight_store.h"
#include "tests/reference/values.h"

namespace boreal::parallel {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

// Four parameters of every kind, numbered in the order given.
struct Model {
  nn::Parameter table{.name = "table", .shape = Shape{7, 10}, .gathered = true, .multiplied = true};
  nn::Parameter matrix{
      .name = "matrix", .shape = Shape{70, 10}, .init_std = 0.5, .multiplied = true};
  nn::Parameter norm{.name = "norm", .shape = Shape{10}, .init = nn::Init::ones, .decay = false};
  nn::Parameter bias{.name = "bias", .shape = Shape{3}, .init = nn::Init::zeros, .decay = false};

  std::vector<nn::Parameter*> in_order(std::vector<nn::Parameter*> order) {
    for (std::size_t i = 0; i < order.size(); ++i) order[i]->index = static_cast<std::int64_t>(i);
    return order;
  }
  std::vector<nn::Parameter*> all() { return in_order({&table, &matrix, &norm, &bias}); }
};

TEST(ShardedState, DrawsWeightsByNameWhateverTheOrderAndTheThreads) {
  device::Pool one_thread(1);
  device::Pool three_threads(3);
  const device::Context ctx = device::cpu_context(one_thread);
  const device::Context other = device::cpu_context(three_threads);
  Model one;
  ShardedState first(one.all(), false);
  first.initialise(ctx, 5);
  Model two;
  ShardedState second(two.in_order({&two.bias, &two.matrix, &two.norm, &two.table}), false);
  second.initialise(other, 5);
  EXPECT_EQ(bytes_of_tensor(first.master(one.matrix)), bytes_of_tensor(second.master(two.matrix)));
  EXPECT_EQ(bytes_of_tensor(first.master(one.table)), bytes_of_tensor(second.master(two.table)));
  second.initialise(other, 6);
  EXPECT_NE(bytes_of_tensor(first.master(one.matrix)), bytes_of_tensor(second.master(two.matrix)));
}

TEST(ShardedState, DrawsOfTheRightKindAndSpread) {
  Model model;
  device::Pool pool(2);
  ShardedState state(model.all(), false);
  state.initialise(device::cpu_context(pool), 1);
  const Matrix draws = matrix_of(state.master(model.matrix));
  EXPECT_NEAR(std::sqrt(dot(draws, draws) / 700), 0.5, 0.05);
  EXPECT_EQ(matrix_of(state.master(model.norm)).values, std::vector<double>(10, 1));
  EXPECT_EQ(matrix_of(state.master(model.bias)).values, std::vector<double>(3, 0));
}

TEST(ShardedState, ViewsOfParametersDoNotOverlapAndStartOnCacheLines) {
  Model model;
  ShardedState state(model.all(), false);
  const Tensor flat = state.all_gradients();
  EXPECT_EQ(flat.elements(), state.layout().elements());
  double value = 1;
  double expected = 0;
  for (const nn::Parameter* p : state.parameters()) {
    const Tensor view = state.gradient(*p);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 64, 0U) << p->name;
    EXPECT_TRUE(view.shape == p->shape);
    auto* at = static_cast<float*>(view.data);
    for (std::int64_t i = 0; i < view.elements(); ++i) {
      EXPECT_EQ(at[i], 0) << p->name << " shares memory";
      at[i] = static_cast<float>(value);
      expected += value;
    }
    value *= 2;
  }
  // All of it is in the flat buffer, and the padding is zero.
  const Matrix all = matrix_of(flat);
  EXPECT_EQ(dot(all, Matrix(all.rows, all.columns, 1)), expected);
}

TEST(ShardedState, SumsSquaresWhenAUnitIsFinishedWithTheBitsOfALaterSum) {
  device::Pool pool(2);
  const device::Context ctx = device::cpu_context(pool);
  Model model;
  model.matrix.unit = model.norm.unit = 1;
  ShardedState state(model.all(), {}, {.bucket_elements = 100});
  const auto write = [&](const std::string& name) {
    for (const nn::Parameter* p : state.parameters()) {
      const Tensor to = state.gradient(*p);
      Values draw = reference::random_values(name + p->name, DType::f32, p->shape);
      std::memcpy(to.data, draw.bytes().data(), draw.bytes().size());
    }
  };
  write("first");
  const double late = state.sum_squares(ctx);
  state.start_reduction();
  state.finished(ctx, 1);
  state.finished(ctx, 0);
  state.finish_reduction();
  EXPECT_EQ(state.sum_squares(ctx), late);
  // Of the step, not of what is written afterwards; a new step starts anew.
  write("second");
  EXPECT_EQ(state.sum_squares(ctx), late);
  state.start_reduction();
  const double second = state.sum_squares(ctx);
  EXPECT_NE(second, late);
  static_cast<float*>(state.gradient(model.norm).data)[3] = std::nanf("");
  state.finished(ctx, 1);
  state.finished(ctx, 0);
  state.finish_reduction();
  EXPECT_TRUE(std::isnan(state.sum_squares(ctx)));
  state.forget_squares();
  write("second");
  EXPECT_EQ(state.sum_squares(ctx), second);
}

TEST(ShardedState, OnTheMetaDeviceHasTheSizesAndNoMemory) {
  Model model;
  const ShardedState real(model.all(), false);
  ShardedState meta(model.all(), true);
  EXPECT_EQ(meta.layout().elements(), real.layout().elements());
  EXPECT_EQ(meta.master(model.matrix).data, nullptr);
  EXPECT_EQ(meta.gradient(model.matrix).data, nullptr);
}

class Store : public testing::TestWithParam<DType> {};

TEST_P(Store, PublishesEveryFormOfEveryParameter) {
  device::Pool pool(2);
  const device::Context ctx = device::cpu_context(pool);
  Model model;
  ShardedState state(model.all(), false);
  state.initialise(ctx, 3);
  WeightStore store(model.all(), GetParam(), true, false);
  store.publish(ctx, state);

  // Vectors stay fp32; a table that is looked up is rounded.
  EXPECT_EQ(bytes_of_tensor(store.acquire_plain(model.norm)),
            bytes_of_tensor(state.master(model.norm)));
  const Matrix table = matrix_of(state.master(model.table));
  EXPECT_EQ(bytes_of_tensor(store.acquire_plain(model.table)), Values(GetParam(), table).bytes());

  // Both packed forms multiply as the matrix and its transpose do.
  for (const nn::Parameter* p : {&model.table, &model.matrix}) {
    const Matrix w = Values(GetParam(), matrix_of(state.master(*p))).matrix();
    for (const nn::Form form : {nn::Form::forward, nn::Form::backward}) {
      const bool forward = form == nn::Form::forward;
      const kernels::Packed packed = store.acquire_packed(*p, form);
      ASSERT_EQ(packed.k, forward ? w.columns : w.rows);
      ASSERT_EQ(packed.n, forward ? w.rows : w.columns);
      // bf16 products take k in pairs; the column behind an odd k is zero.
      const std::int64_t width = GetParam() == DType::bf16 ? (packed.k + 1) / 2 * 2 : packed.k;
      Matrix x = reference::random_matrix("x", 3, width);
      for (std::int64_t r = 0; r < 3; ++r)
        for (std::int64_t c = packed.k; c < width; ++c) x(r, c) = 0;
      Values a(GetParam(), x);
      Values y(DType::f32, Shape{3, packed.n});
      kernels::gemm(ctx, a.tensor(), packed, y.tensor());
      const Matrix left = columns_of(a.matrix(), 0, packed.k);
      EXPECT_LE(relative_error(y.matrix(), matmul(left, forward ? transpose(w) : w)), 1e-5)
          << p->name;
    }
  }
}

TEST_P(Store, LeavesTablesThatTheSweepHasWritten) {
  device::Pool pool(2);
  const device::Context ctx = device::cpu_context(pool);
  Model model;
  ShardedState state(model.all(), false);
  state.initialise(ctx, 3);
  WeightStore store(model.all(), GetParam(), true, false);
  EXPECT_EQ(store.rounded_table(model.matrix), nullptr);
  Tensor* table = store.rounded_table(model.table);
  ASSERT_EQ(table != nullptr, GetParam() == DType::bf16);
  if (table != nullptr) kernels::fill_zero(ctx, *table);  // stands for what a sweep writes
  const bool written = table != nullptr;
  store.start_publish(ctx, state, WeightStore::Tables::written);
  EXPECT_EQ(largest(matrix_of(store.acquire_plain(model.table))) == 0, written);
  EXPECT_EQ(bytes_of_tensor(store.acquire_plain(model.norm)),
            bytes_of_tensor(state.master(model.norm)));
  // The next publication makes them again.
  store.publish(ctx, state);
  EXPECT_EQ(bytes_of_tensor(store.acquire_plain(model.table)),
            Values(GetParam(), matrix_of(state.master(model.table))).bytes());
}

TEST_P(Store, WithoutBackwardIsSmallerAndOnTheMetaDeviceTheSameSize) {
  Model model;
  const WeightStore train(model.all(), GetParam(), true, false);
  const WeightStore generate(model.all(), GetParam(), false, false);
  const WeightStore meta(model.all(), GetParam(), true, true);
  EXPECT_LT(generate.packed_bytes(), train.packed_bytes());
  EXPECT_EQ(generate.plain_bytes(), train.plain_bytes());
  EXPECT_EQ(meta.packed_bytes(), train.packed_bytes());
  EXPECT_EQ(meta.plain_bytes(), train.plain_bytes());
}

TEST_P(Store, ReadsFp32MastersWhereTheyAre) {
  device::Pool pool(2);
  const device::Context ctx = device::cpu_context(pool);
  Model model;
  ShardedState state(model.all(), false);
  state.initialise(ctx, 3);
  WeightStore kept(model.all(), GetParam(), true, false);
  kept.publish(ctx, state);
  WeightStore store(model.all(), GetParam(), true, false, &state);
  const WeightStore meta(model.all(), GetParam(), true, true, &state);
  EXPECT_EQ(meta.packed_bytes(), store.packed_bytes());
  EXPECT_EQ(meta.plain_bytes(), store.plain_bytes());
  const bool shared = GetParam() == DType::f32;
  EXPECT_EQ(store.plain_bytes() == 0, shared);
  EXPECT_EQ(store.packed_bytes() < kept.packed_bytes(), shared);
  store.publish(ctx, state);
  EXPECT_EQ(store.acquire_plain(model.table).data == state.master(model.table).data, shared);

  // A change of the masters is in the next product.
  for (const double scale : {1.0, 3.0}) {
    for (const nn::Parameter* p : {&model.table, &model.matrix}) {
      const Tensor master = state.master(*p);
      kernels::affine(ctx, master, scale, 0, master);
    }
    kept.publish(ctx, state);
    store.publish(ctx, state);
    for (const nn::Parameter* p : {&model.table, &model.matrix})
      for (const nn::Form form : {nn::Form::forward, nn::Form::backward}) {
        const kernels::Packed packed = kept.acquire_packed(*p, form);
        const std::int64_t width = GetParam() == DType::bf16 ? (packed.k + 1) / 2 * 2 : packed.k;
        Matrix x = reference::random_matrix("x", 3, width);
        for (std::int64_t r = 0; r < 3; ++r)
          for (std::int64_t c = packed.k; c < width; ++c) x(r, c) = 0;
        Values a(GetParam(), x);
        Values y(DType::f32, Shape{3, packed.n});
        Values got(DType::f32, Shape{3, packed.n});
        kernels::gemm(ctx, a.tensor(), packed, y.tensor());
        kernels::gemm(ctx, a.tensor(), store.acquire_packed(*p, form), got.tensor());
        EXPECT_EQ(got.bytes(), y.bytes()) << p->name;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Store, testing::Values(DType::f32, DType::bf16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

TEST(StoreDeathTest, HasNoFormThatNobodyAskedFor) {
  Model model;
  WeightStore store(model.all(), DType::bf16, true, false);
  EXPECT_DEATH(store.acquire_plain(model.matrix), "matrix");
  EXPECT_DEATH(store.acquire_packed(model.bias, nn::Form::forward), "bias");
}

}  // namespace
}  // namespace boreal::parallel
