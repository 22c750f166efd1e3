#include "device/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace boreal::device {
namespace {

// The files of some machine; nothing else can be done with it.
using Files = std::map<std::string, std::string>;

class MachineFiles final : public Env {
 public:
  explicit MachineFiles(Files files) : files_(std::move(files)) {}

  Result<std::string> read_file(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return failed("{}: no such file", path);
    return found->second;
  }
  bool exists(const std::string& path) override { return files_.contains(path); }
  bool is_dir(const std::string&) override { return false; }
  Result<std::unique_ptr<MappedFile>> map_file(const std::string&) override { return no(); }
  Result<std::unique_ptr<FileWriter>> create(const std::string&) override { return no(); }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string&) override { return no(); }
  Status truncate(const std::string&, std::uint64_t) override { return no(); }
  Status rename(const std::string&, const std::string&) override { return no(); }
  Status remove_all(const std::string&) override { return no(); }
  Status make_dirs(const std::string&) override { return no(); }
  Status sync_dir(const std::string&) override { return no(); }
  Result<std::uint64_t> file_size(const std::string&) override { return no(); }
  Result<std::vector<std::string>> list_dir(const std::string&) override { return no(); }
  Result<std::uint64_t> free_bytes(const std::string&) override { return no(); }
  Result<std::unique_ptr<FileLock>> lock(const std::string&) override { return no(); }

 private:
  static Error no() { return failed("read only"); }
  Files files_;
};

TEST(Machine, HasTheCoresOfItsCgroupRoundedUp) {
  MachineFiles quarter(Files{{"/sys/fs/cgroup/cpu.max", "25000 100000\n"}});
  EXPECT_EQ(read_machine(quarter).cores, 1);
  EXPECT_EQ(read_machine(quarter).core_time, 0.25);
  MachineFiles old(Files{{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
                         {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}});
  EXPECT_EQ(read_machine(old).cores, 1);
}

TEST(Machine, WithoutALimitHasTheProcessorsItMayRunOn) {
  MachineFiles unlimited(Files{{"/sys/fs/cgroup/cpu.max", "max 100000\n"}});
  MachineFiles bare(Files{});
  EXPECT_GE(read_machine(bare).cores, 1);
  EXPECT_EQ(read_machine(unlimited).cores, read_machine(bare).cores);
  EXPECT_EQ(read_machine(unlimited).core_time, 0);
}

TEST(Machine, HasTheMemoryOfItsCgroup) {
  MachineFiles limited(Files{{"/sys/fs/cgroup/memory.max", "1048576\n"}});
  EXPECT_EQ(read_machine(limited).memory_bytes, 1 << 20);
  MachineFiles unlimited(Files{{"/sys/fs/cgroup/memory.max", "max\n"}});
  EXPECT_GT(read_machine(unlimited).memory_bytes, 1 << 20);
}

TEST(Machine, HasLeftWhatItsSystemAndEveryCgroupAboveItLeave) {
  const Files system{{"/proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    4096 kB\n"}};
  MachineFiles free(system);
  EXPECT_EQ(read_machine(free).available_bytes, 4096 * 1024);

  Files files = system;
  files["/proc/self/cgroup"] = "0::/jobs/one\n";
  files["/sys/fs/cgroup/jobs/one/memory.max"] = "max\n";
  files["/sys/fs/cgroup/jobs/memory.max"] = "3000000\n";
  files["/sys/fs/cgroup/jobs/memory.current"] = "1500000\n";
  MachineFiles parent(files);
  EXPECT_EQ(read_machine(parent).memory_bytes, 3000000);
  EXPECT_EQ(read_machine(parent).available_bytes, 1500000);

  // Pages of files are dropped when memory is wanted.
  files["/sys/fs/cgroup/jobs/memory.stat"] = "anon 1\ninactive_file 200000\nactive_file 50000\n";
  MachineFiles cached(files);
  EXPECT_EQ(read_machine(cached).available_bytes, 1750000);

  MachineFiles full(Files{{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"},
                          {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "2000\n"}});
  EXPECT_EQ(read_machine(full).available_bytes, 0);
}

TEST(Machine, ReadsTheModelOfItsProcessor) {
  MachineFiles machine(
      Files{{"/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU 9\nflags\t: a\n"}});
  EXPECT_EQ(read_machine(machine).cpu_model, "Some CPU 9");
  MachineFiles bare(Files{});
  EXPECT_EQ(read_machine(bare).cpu_model, "unknown");
}

TEST(Machine, ListsItsInstructionSetsInRisingOrderUpToTheBest) {
  const std::vector<Isa> isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::v2);
  EXPECT_EQ(isas.back(), best_isa());
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
  std::set<std::string_view> names;
  for (const Isa isa : isas) EXPECT_TRUE(names.insert(name_of(isa)).second);
}

TEST(Machine, KnowsHowMuchMemoryThisProcessTook) {
  const std::int64_t before = peak_rss_bytes();
  EXPECT_GT(before, 1 << 20);
  std::vector<char> large(64 << 20, 1);
  EXPECT_GE(peak_rss_bytes(), before + (std::int64_t{48} << 20) * large.back());
}

TEST(Machine, KnowsItsAnonymousMemoryNow) {
  const std::int64_t before = anonymous_bytes();
  EXPECT_GT(before, 1 << 16);
  // Mapped by hand: sanitizers keep what is freed.
  constexpr std::size_t kBytes = 64 << 20;
  void* large = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(large, MAP_FAILED);
  std::memset(large, 1, kBytes);
  EXPECT_GE(anonymous_bytes(), before + (60 << 20));
  ASSERT_EQ(munmap(large, kBytes), 0);
  EXPECT_LT(anonymous_bytes(), before + (32 << 20));
}

}  // namespace
}  // namespace boreal::device
