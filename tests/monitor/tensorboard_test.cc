#include "monitor/tensorboard.h"

#include <gmock/gmock.h>

#include "monitor/crc32c.h"
#include "tests/monitor/folder.h"

namespace boreal::monitor {
namespace {

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

TEST(Crc32c, GivesTheKnownAnswersOfRfc3720) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising += c;
  EXPECT_EQ(crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(crc32c(std::string(rising.rbegin(), rising.rend())), 0x113FDB5CU);
}

class TensorBoard : public FolderTest {
 protected:
  std::string file(std::size_t index) {
    return env.read_file(join_path(dir, env.list_dir(dir).value().at(index))).value();
  }
  ManualClock clock;
};

TEST_F(TensorBoard, AnEventFileHasTheseBytes) {
  {
    auto writer = EventWriter::open(env, clock, dir, 41);
    ASSERT_TRUE(writer.ok());
    clock.advance(0.5);
    ASSERT_TRUE(writer->append(42, {{"train/loss", 2.5}, {"train/lr", 0.001}}).ok());
  }
  // The same bytes come out of TensorBoard's own protobuf classes and checksum (tensorboard 2.21).
  EXPECT_EQ(hex_of(file(0)),
            "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d"
            "0f000000000000006d532b090900000040fc54d941102a3a0208012a54ff5d"
            "31000000000000009d8383e90900002040fc54d941102a2a240a110a0a747261696e2f6c6f737315"
            "000020400a0f0a08747261696e2f6c72156f12833a1a16d1b8");
}

TEST_F(TensorBoard, ANewFileSortsBehindTheOthersThoughTheClockWentBack) {
  const ManualClock earlier;
  ManualClock later;
  later.advance(5000);
  for (const ManualClock& at : {later, earlier, earlier}) {
    auto writer = EventWriter::open(env, at, dir, 0);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->append(env.list_dir(dir)->size() == 1 ? 1 : 2, {{"x", 1.0}}).ok());
  }
  const auto names = env.list_dir(dir).value();
  ASSERT_EQ(names.size(), 3U);
  EXPECT_TRUE(names[0].starts_with("events.out.tfevents.1700005000."));
  EXPECT_TRUE(names[1].starts_with("events.out.tfevents.1700005001."));
  EXPECT_TRUE(names[2].starts_with("events.out.tfevents.1700005002."));
}

TEST_F(TensorBoard, AStepsMetricsStandUnderTheirGroups) {
  {
    auto writer = EventWriter::open(env, clock, dir, 0);
    StepMetrics row{.step = 3, .loss = 1};
    row.validation_loss = 2;
    row.phases_ms = {{"fetch", 4}};
    ASSERT_TRUE(writer->append(row).ok());
    ASSERT_TRUE(writer->sync().ok());
  }
  for (const char* tag :
       {"train/loss", "train/grad_norm", "train/lr", "speed/step_ms", "speed/tokens_per_s",
        "speed/flop_utilisation", "validation/loss", "phase_ms/fetch"})
    EXPECT_THAT(file(0), testing::HasSubstr(tag));
}

TEST_F(TensorBoard, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  const std::string path = join_path(dir, "file");
  ASSERT_TRUE(env.write_file(path, "").ok());
  const auto writer = EventWriter::open(env, clock, join_path(path, "tensorboard"), 0);
  ASSERT_FALSE(writer.ok());
  EXPECT_THAT(writer.error().message, testing::HasSubstr("tensorboard"));
}

}  // namespace
}  // namespace boreal::monitor
