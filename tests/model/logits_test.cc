// A document's logits have the same bits however they are computed: alone, among others, packed
// behind another, in chunks, one token at a time with cached keys and values, on any number of
// threads, and as the trainer sees them.
#include <cmath>

#include "kernels/ops.h"
#include "tests/kernels/fixture.h"
#include "tests/model/rig.h"

namespace boreal::model {
namespace {

using reference::bytes_of_tensor;
using reference::DecoderBatch;
using reference::Matrix;
using reference::Values;
using tensor::Shape;

// Keys and values of every block, with not-a-number where nothing was stored yet.
class Cache {
 public:
  Cache(const DecoderConfig& config, std::int64_t capacity) {
    const std::int64_t width = config.kv_heads * config.head_dim();
    for (std::int64_t i = 0; i < 2 * config.layers; ++i)
      memory_.emplace_back(config.dtype, Matrix(capacity, width, std::nan("")));
    for (std::size_t i = 0; i < memory_.size(); i += 2)
      state.push_back({memory_[i].tensor(), memory_[i + 1].tensor()});
  }
  std::vector<nn::LayerState> state;

 private:
  std::vector<Values> memory_;
};

class Logits : public testing::TestWithParam<std::tuple<reference::Where, std::string, int>> {
 protected:
  static constexpr std::int64_t kLength = 75;  // more than one tile of keys

  reference::Where where() const { return std::get<0>(GetParam()); }
  DecoderConfig config() const { return tiny(std::get<1>(GetParam()), where().dtype); }
  device::Context ctx() {
    device::Context ctx = device::cpu_context(pool_);
    ctx.isa = where().isa;
    return ctx;
  }

  // The reference of this test: the document alone, whole, on one thread.
  std::vector<std::byte> alone() {
    device::Pool one(1);
    device::Context ctx = device::cpu_context(one);
    ctx.isa = where().isa;
    Rig rig(config(), ctx);
    return rig.logits(document()).bytes();
  }
  DecoderBatch document() const { return draw_batch("document", {kLength}, config().vocab); }

  // The document as number `place` of seven (others of other lengths).
  DecoderBatch among(std::size_t place) const {
    std::vector<std::int64_t> lengths = {3, 64, 1, 100, 7, 65, 20};
    lengths[place] = kLength;
    DecoderBatch batch = draw_batch("others", lengths, config().vocab);
    const std::int64_t begin = row_of(batch, place);
    const DecoderBatch own = document();
    std::ranges::copy(own.id, batch.id.begin() + begin);
    std::ranges::copy(own.target, batch.target.begin() + begin);
    return batch;
  }
  static std::int64_t row_of(const DecoderBatch& batch, std::size_t place) {
    std::int64_t row = 0;
    while (batch.document[static_cast<std::size_t>(row)] != static_cast<std::int64_t>(place)) ++row;
    return row;
  }

 private:
  device::Pool pool_{std::get<2>(GetParam())};
};

TEST_P(Logits, AreFiniteAndEqualTheTwins) {
  Rig rig(config(), ctx());
  const DecoderBatch batch = document();
  const auto twin = reference::decoder(twin_shape(config()), rig.weights(), batch);
  EXPECT_LE(relative_error(rig.logits(batch).matrix(), twin.logits),
            where().dtype == DType::f32 ? 1e-5 : 5e-2);
  EXPECT_EQ(rig.logits(batch).bytes(), alone());
}

TEST_P(Logits, OfADocumentInABatchOfSevenAndBehindAnother) {
  Rig rig(config(), ctx());
  const auto expected = alone();
  for (const std::size_t place : {0U, 1U, 3U, 6U}) {
    const DecoderBatch batch = among(place);
    Values all = rig.logits(batch);
    const std::int64_t begin = row_of(batch, place);
    EXPECT_EQ(bytes_of_tensor(all.tensor().row_slice(begin, begin + kLength)), expected) << place;
  }
}

TEST_P(Logits, OfChunksAndSingleTokensWithTheCache) {
  Rig rig(config(), ctx());
  const auto expected = alone();
  const DecoderBatch batch = document();
  for (const std::vector<std::int64_t>& chunks :
       {std::vector<std::int64_t>(kLength, 1), {kLength}, {17, 23, 35}, {64, 1, 10}}) {
    constexpr std::int64_t kBegin = 3;  // where the document's keys stand in the cache
    Cache cache(config(), 90);
    std::vector<std::byte> got;
    std::int64_t done = 0;
    for (const std::int64_t n : chunks) {
      const DecoderBatch chunk = part_of(batch, done, done + n);
      std::vector<std::int64_t> cache_row;
      for (std::int64_t i = 0; i < n; ++i) cache_row.push_back(kBegin + done + i);
      const Values logits = rig.logits(chunk.id, chunk.position, cache_row,
                                       {{0, n, done, kBegin, done + n}}, &cache.state);
      got.insert(got.end(), logits.bytes().begin(), logits.bytes().end());
      done += n;
    }
    EXPECT_EQ(got, expected) << chunks.size() << " chunks";
  }
}

TEST_P(Logits, OfSevenDocumentsDecodedTogetherOneTokenAtATime) {
  Rig rig(config(), ctx());
  const auto expected = alone();
  const DecoderBatch batch = among(3);
  constexpr std::int64_t kRoom = 110;
  Cache cache(config(), 7 * kRoom);
  std::vector<std::byte> got;
  for (std::int64_t t = 0; t < kLength; ++t) {
    std::vector<std::int64_t> id;
    std::vector<std::int64_t> position;
    std::vector<std::int64_t> cache_row;
    std::vector<kernels::AttentionSpan> spans;
    std::int64_t own = -1;
    for (std::size_t d = 0; d < 7; ++d) {
      const auto row = static_cast<std::size_t>(row_of(batch, d) + t);
      // Shorter documents have left the batch.
      if (row >= batch.document.size() || batch.document[row] != static_cast<std::int64_t>(d))
        continue;
      const auto at = static_cast<std::int64_t>(id.size());
      if (d == 3) own = at;
      const std::int64_t begin = static_cast<std::int64_t>(d) * kRoom;
      spans.push_back({at, 1, t, begin, t + 1});
      id.push_back(batch.id[row]);
      position.push_back(t);
      cache_row.push_back(begin + t);
    }
    Values logits = rig.logits(id, position, cache_row, spans, &cache.state);
    const auto bytes = bytes_of_tensor(logits.tensor().row_slice(own, own + 1));
    got.insert(got.end(), bytes.begin(), bytes.end());
  }
  EXPECT_EQ(got, expected);
}

TEST_P(Logits, GiveTheLossThatTheTrainerSees) {
  Rig rig(config(), ctx());
  const DecoderBatch packed = among(3);
  const std::int64_t begin = row_of(packed, 3);
  DecoderBatch batch = packed;
  for (std::size_t r = 0; r < batch.weight.size(); ++r)
    batch.weight[r] = batch.document[r] == 3 ? 1 : 0;
  rig.accumulate(batch);
  const auto trained = rig.losses();
  rig.evaluate(batch);
  EXPECT_EQ(rig.losses(), trained);

  Values logits = rig.logits(part_of(packed, begin, begin + kLength));
  Values target(document().target);
  Values seed(DType::f32, Shape{kLength});
  Values loss(DType::f32, Shape{kLength});
  Values lse(DType::f32, Shape{kLength});
  kernels::cross_entropy(ctx(), logits.tensor(), target.tensor(), seed.tensor(), loss.tensor(),
                         lse.tensor(), nullptr);
  EXPECT_EQ(loss.bytes(), trained);
}

std::string case_name(const testing::TestParamInfo<Logits::ParamType>& info) {
  return fmt::format("{}_{}_{}threads", reference::name_of(std::get<0>(info.param)),
                     std::get<1>(info.param), std::get<2>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Logits,
                         testing::Combine(testing::ValuesIn(reference::everywhere()),
                                          testing::ValuesIn(all_families()), testing::Values(1, 2)),
                         case_name);

}  // namespace
}  // namespace boreal::model
