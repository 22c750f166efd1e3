// After the first steps nothing is allocated: steps 3 to 10 of a training run, counted.
#include <gtest/gtest.h>

#include <sys/mman.h>

#include <functional>
#include <thread>
#include <vector>

#include "tests/tokens/shard_fixture.h"
#include "tests/train/memory/counted_memory.h"
#include "tests/train/memory/training.h"

namespace boreal::train {
namespace {

// What a step may ask for: the text of its row of metrics and of its event, the list of its phases.
// They are rank 0's, some hundred bytes each, and do not grow with the model or the batch.
constexpr std::int64_t kLargestBytes = 2 << 10;
constexpr std::int64_t kStepBytes = 12 << 10;
constexpr std::int64_t kFirst = 3;
constexpr std::int64_t kLast = 10;

// The real files behind a door that sees each row of metrics go by: the end of a step.
class StepDoor final : public Env {
 public:
  explicit StepDoor(std::function<void(std::int64_t)> after) : after_(std::move(after)) {}

  Result<std::unique_ptr<FileWriter>> create(const std::string& path) override {
    ASSIGN_OR_RETURN(auto file, real_.create(path));
    if (file_name(path) != "metrics.jsonl") return file;
    return std::unique_ptr<FileWriter>(std::make_unique<Rows>(*this, std::move(file)));
  }
  Result<std::string> read_file(const std::string& p) override { return real_.read_file(p); }
  Result<std::unique_ptr<MappedFile>> map_file(const std::string& p) override {
    return real_.map_file(p);
  }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string& p) override {
    return real_.append_to(p);
  }
  Status truncate(const std::string& p, std::uint64_t n) override { return real_.truncate(p, n); }
  Status rename(const std::string& a, const std::string& b) override { return real_.rename(a, b); }
  Status remove_all(const std::string& p) override { return real_.remove_all(p); }
  Status make_dirs(const std::string& p) override { return real_.make_dirs(p); }
  Status sync_dir(const std::string& p) override { return real_.sync_dir(p); }
  bool exists(const std::string& p) override { return real_.exists(p); }
  bool is_dir(const std::string& p) override { return real_.is_dir(p); }
  Result<std::uint64_t> file_size(const std::string& p) override { return real_.file_size(p); }
  Result<std::vector<std::string>> list_dir(const std::string& p) override {
    return real_.list_dir(p);
  }
  Result<std::uint64_t> free_bytes(const std::string& p) override { return real_.free_bytes(p); }
  Result<std::unique_ptr<FileMemory>> map_memory(const std::string& p, std::uint64_t n) override {
    return real_.map_memory(p, n);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& p) override { return real_.lock(p); }

 private:
  class Rows final : public FileWriter {
   public:
    Rows(StepDoor& door, std::unique_ptr<FileWriter> file) : door_(door), file_(std::move(file)) {}
    Status append(std::span<const std::byte> bytes) override {
      Status status = file_->append(bytes);
      door_.after_(++door_.step_);
      return status;
    }
    Status sync() override { return file_->sync(); }
    Status close() override { return file_->close(); }

   private:
    StepDoor& door_;
    std::unique_ptr<FileWriter> file_;
  };

  Env& real_ = Env::real();
  std::function<void(std::int64_t)> after_;
  std::int64_t step_ = 0;
};

class Allocation : public tokens::ShardTest {
 protected:
  void SetUp() override {
    if (!counted::available()) GTEST_SKIP() << "the sanitizer has an allocator of its own";
    ShardTest::SetUp();
  }

  // Of steps 3 to 10; `extra` happens in step 5.
  counted::Count count(
      const spec::RunSpec& spec, std::int64_t threads, const std::function<void()>& extra = [] {}) {
    counted::Count counted;
    StepDoor door([&](std::int64_t step) {
      if (step == kFirst - 1) counted::start();
      if (step == 5) extra();
      if (step == kLast) counted = counted::stop();
    });
    const auto summary = train_run(door, spec, at("out"), threads);
    EXPECT_TRUE(summary.ok()) << summary.error().message;
    return counted;
  }
  static void expect_none(const counted::Count& counted) {
    EXPECT_GT(counted.calls, 0);  // rows of metrics are text: else nothing was counted
    EXPECT_LE(counted.largest_bytes, kLargestBytes);
    EXPECT_LE(counted.bytes, kStepBytes * (kLast - kFirst + 1)) << counted.calls << " calls";
  }
};

TEST_F(Allocation, ThereIsNoneAfterTheFirstStepsOnOneRank) {
  for (const std::string family : {"llama", "gpt2"})
    for (const std::string recompute : {"none", "selective", "full 0-1"}) {
      spec::RunSpec spec = tiny_run(family);
      spec.train.recompute = recompute;
      spec.train.micro_batch_sequences = 2;
      expect_none(count(spec, 2));
    }
}

TEST_F(Allocation, ThereIsNoneWithDocumentsOfAShard) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < 300; ++i) lengths.push_back(1 + i % 97);
  std::vector<tokens::TestDocument> documents;
  for (std::size_t d = 0; d < lengths.size(); ++d) {
    tokens::TestDocument& document = documents.emplace_back();
    for (std::int64_t i = 0; i < lengths[d]; ++i)
      document.ids.push_back(
          static_cast<std::int32_t>((d * 7 + static_cast<std::size_t>(i)) % 301));
  }
  feed(at("shard"), documents, 301, "");
  spec::RunSpec spec = tiny_run("llama");
  spec.data.sources = {{.name = "shard", .shards = at("shard")}};
  expect_none(count(spec, 2));
}

TEST_F(Allocation, ThereIsNoneOnTwoRanks) {
  for (const spec::MeshSpec& mesh : {spec::MeshSpec{.dp_shard = 2},
                                     spec::MeshSpec{.dp_replicate = 2}, spec::MeshSpec{.tp = 2}}) {
    spec::RunSpec spec = tiny_run("llama");
    spec.mesh = mesh;
    expect_none(count(spec, 1));
  }
}

TEST_F(Allocation, IsSeenWhereverItIsPutBack) {
  const spec::RunSpec spec = tiny_run("llama");
  const auto largest = [&](const std::function<void()>& extra) {
    return count(spec, 1, extra).largest_bytes;
  };
  EXPECT_EQ(largest([] { std::vector<char> memory(100'001); }), 100'001);
  EXPECT_GE(largest([] { tensor::Block memory(200'000); }), 200'000);
  EXPECT_EQ(largest([] {
              std::vector<char> memory;
              std::thread([&] { memory.resize(300'001); }).join();
            }),
            300'001);
}

}  // namespace
}  // namespace boreal::train
