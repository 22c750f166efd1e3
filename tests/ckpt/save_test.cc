#include "ckpt/save.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <random>

#include "faulty_env.h"
#include "fixture.h"

namespace boreal::ckpt {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Fault = FaultyEnv::Fault;

class Save : public CheckpointTest {
 protected:
  // A save of step 2 that the tests interrupt, and the step that is newest before it.
  struct Interrupted {
    const char* name;
    std::int64_t before;
    Result<Saved> (*run)(Env& env, const std::string& root);
  };
  // Removes step 1 once it has committed.
  static Result<Saved> second(Env& env, const std::string& root) {
    SaveOptions options = options_of(2);
    options.keep = 1;
    return save_step(env, root, 2, options);
  }
  static Interrupted second() {
    return {"save after step 1", 1,
            [](Env& env, const std::string& root) { return second(env, root); }};
  }
  // Replaces a step 2 that is there already.
  static Interrupted again() {
    return {"save of the same step", 2, [](Env& env, const std::string& root) {
              return save_step(env, root, 2, options_of(2));
            }};
  }

  // Runs `act` in a child that may be killed; returns its wait status.
  template <class F>
  static int in_child(F act) {
    const pid_t child = fork();
    if (child == 0) {
      act();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  void start(const Interrupted& save) {
    ASSERT_TRUE(env_.remove_all(root_).ok());
    ASSERT_TRUE(save_step(save.before).ok());
  }
  int count_changes(const Interrupted& save) {
    start(save);
    FaultyEnv env;
    EXPECT_TRUE(save.run(env, root_).ok());
    EXPECT_THAT(env.unsynced(), IsEmpty());
    EXPECT_GT(env.changes(), 20);
    return env.changes();
  }
  // Whatever happened, the next save succeeds and leaves nothing but checkpoints.
  void expect_a_clean_next_save() {
    ASSERT_TRUE(save_step(3).ok());
    EXPECT_EQ(newest_step(), 3);
    for (const std::string& name : names_in_root()) EXPECT_FALSE(name.starts_with(".")) << name;
  }
};

TEST_F(Save, ASaveThatReturnsHasSyncedEveryFileAndEveryFolderItChanged) {
  FaultyEnv env;
  ASSERT_TRUE(save_step(env, root_ + "/deep/er", 1, options_of(1)).ok());
  EXPECT_THAT(env.unsynced(), IsEmpty());
}

TEST_F(Save, AFailureAtAnyChangeIsReportedAndLeavesAWholeNewestCheckpoint) {
  for (const Interrupted& save : {second(), again()}) {
    const int changes = count_changes(save);
    for (int k = 0; k < changes; ++k) {
      SCOPED_TRACE(fmt::format("{}, change {} of {}", save.name, k, changes));
      start(save);
      FaultyEnv env(Fault::fails, k);
      const Result<Saved> saved = save.run(env, root_);
      if (saved.ok()) {
        EXPECT_EQ(newest_step(), 2);
        EXPECT_THAT(saved->warnings, ElementsAre(HasSubstr("No space left on device")));
      } else {
        EXPECT_THAT(newest_step(), AnyOf(save.before, 2));
        EXPECT_EQ(saved.error().kind, ErrorKind::failed);
        EXPECT_THAT(saved.error().message, HasSubstr("No space left on device"));
        EXPECT_FALSE(env_.exists(root_ + "/.step-2.tmp"));
        EXPECT_TRUE(env_.exists(committed_dir(root_, save.before)));
      }
      expect_a_clean_next_save();
    }
  }
}

TEST_F(Save, APowerCutAtAnyChangeLeavesAWholeNewestCheckpoint) {
  for (const Interrupted& save : {second(), again()}) {
    const int changes = count_changes(save);
    for (int k = 0; k < changes; ++k) {
      SCOPED_TRACE(fmt::format("{}, change {} of {}", save.name, k, changes));
      start(save);
      FaultyEnv env(Fault::dies, k);
      const Result<Saved> saved = save.run(env, root_);
      env.cut_power();
      if (saved.ok()) {
        EXPECT_EQ(newest_step(), 2);
      } else {
        EXPECT_EQ(newest_step(), save.before);  // nothing counts that was not promised
      }
      expect_a_clean_next_save();
    }
  }
}

TEST_F(Save, SigkillAtAnyChangeLeavesAWholeNewestCheckpoint) {
  for (const Interrupted& save : {second(), again()}) {
    const int changes = count_changes(save);
    for (int k = 0; k < changes; ++k) {
      SCOPED_TRACE(fmt::format("{}, change {} of {}", save.name, k, changes));
      start(save);
      const int status = in_child([&] {
        FaultyEnv env(Fault::killed, k);
        (void)save.run(env, root_);
      });
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
      EXPECT_THAT(newest_step(), AnyOf(save.before, 2));
      expect_a_clean_next_save();
    }
  }
}

// The moments come from the clock of the machine, the lengths from a fixed seed.
TEST_F(Save, SigkillAtRandomMomentsOfALoopOfSavesNeverLosesTheNewestOne) {
  std::mt19937 random(20);
  ASSERT_TRUE(save_step(1).ok());
  int killed_in_a_save = 0;
  for (int round = 0; round < 30; ++round) {
    const std::int64_t last = newest_step();
    int started[2];
    ASSERT_EQ(pipe(started), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (write(started[1], "s", 1) != 1) _exit(2);
      for (std::int64_t step = last + 1;; ++step) {
        SaveOptions options = options_of(step);
        options.keep = 2;
        if (!save_step(env_, root_, step, options).ok()) _exit(1);
      }
    }
    char byte = 0;
    ASSERT_EQ(read(started[0], &byte, 1), 1);
    close(started[0]);
    close(started[1]);
    timespec pause{0, std::uniform_int_distribution<long>(0, 15'000'000)(random)};
    nanosleep(&pause, nullptr);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed to save";
    EXPECT_GE(newest_step(), last);
    for (const std::string& name : names_in_root()) killed_in_a_save += name.starts_with(".");
  }
  EXPECT_GT(killed_in_a_save, 0) << "no kill fell inside a save";
}

TEST_F(Save, TooLittleRoomIsToldBeforeAnythingIsWritten) {
  ASSERT_TRUE(save_step(1).ok());
  FaultyEnv env;
  env.free_space_bytes = 3000;
  const Result<Saved> saved = second(env, root_);
  ASSERT_FALSE(saved.ok());
  EXPECT_EQ(saved.error().kind, ErrorKind::failed);
  EXPECT_THAT(saved.error().message, HasSubstr("3000 are free"));
  EXPECT_THAT(saved.error().message, HasSubstr("and 5 %"));
  EXPECT_THAT(names_in_root(), ElementsAre("step-1"));
  // Exactly the need is enough.
  const std::string text = saved.error().message;
  const std::size_t at = text.find("it needs ") + 9;
  env.free_space_bytes = std::stoull(text.substr(at)) - 1;
  EXPECT_FALSE(second(env, root_).ok());
  env.free_space_bytes += 1;
  EXPECT_TRUE(second(env, root_).ok());
}

TEST_F(Save, TheRoomAskedForCoversWhatIsWritten) {
  State state(1);
  std::vector<Piece> pieces;
  for (int i = 0; i < 200; ++i)
    pieces.push_back(
        whole(fmt::format("optimizer.second_moment.block.{}.attention.output.weight", i),
              tensor::Tensor(state.weight.data(), DType::f32, {5, 7})));
  FaultyEnv env;
  env.free_space_bytes = 0;
  const std::string message = save(env, root_, 1, pieces, "{}", {}).error().message;
  const std::size_t at = message.find("it needs ") + 9;
  const Result<Saved> saved = save(env_, root_, 1, pieces, "{}", {});
  ASSERT_TRUE(saved.ok());
  EXPECT_LE(saved->bytes, std::stoll(message.substr(at)));
}

// A real refusal of the system in the middle of a file, not an injected one.
TEST_F(Save, AFileSizeLimitOfTheSystemIsAClearError) {
  ASSERT_TRUE(save_step(1).ok());
  const int status = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{256, 256};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Result<Saved> saved = second(env_, root_);
    const bool told = !saved.ok() &&
                      saved.error().message.find("File too large") != std::string::npos &&
                      saved.error().message.find("rank-0.bin") != std::string::npos;
    _exit(told ? 7 : 8);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_THAT(names_in_root(), ElementsAre("step-1"));
  EXPECT_EQ(newest_step(), 1);
}

TEST_F(Save, AFolderThatCannotBeMadeIsNamed) {
  ASSERT_TRUE(env_.write_file(folder_ + "/file", "").ok());
  const Result<Saved> saved = save_step(env_, folder_ + "/file/checkpoints", 1, options_of(1));
  ASSERT_FALSE(saved.ok());
  EXPECT_EQ(saved.error().kind, ErrorKind::failed);
  EXPECT_THAT(saved.error().message, HasSubstr("/file/checkpoints"));
}

TEST_F(Save, MetadataThatAreNoJsonObjectAreAnError) {
  State state(1);
  for (const char* meta : {"", "[]", "{", "{\"a\": nan}"}) {
    const Result<Saved> saved = save(env_, root_, 1, state.pieces(), meta, {});
    ASSERT_FALSE(saved.ok()) << meta;
    EXPECT_THAT(saved.error().message, HasSubstr("no JSON object"));
  }
  EXPECT_THAT(names_in_root(), IsEmpty());
}

TEST_F(Save, AFileMayNotTakeANameOfTheFormat) {
  for (const char* name : {"manifest.json", "rank-0.bin", "a/b", "", ".hidden"}) {
    SaveOptions options;
    options.files = {{name, "x"}};
    EXPECT_DEATH((void)save_step(env_, root_, 1, options), "cannot be the name of a file");
  }
}

class SaveOfSeveralRanks : public Save {
 protected:
  // A commit of these pieces, one list a rank, must fail and say why.
  void expect_failure(const std::vector<std::vector<Piece>>& ranks, std::int64_t world,
                      const std::string& why) {
    const Result<std::string> stage = begin_save(env_, root_, 1, 1000);
    ASSERT_TRUE(stage.ok());
    for (std::size_t rank = 0; rank < ranks.size(); ++rank)
      ASSERT_TRUE(write_rank(env_, *stage, 1, static_cast<std::int64_t>(rank), ranks[rank]).ok());
    const Result<Saved> saved = commit_save(env_, root_, 1, world, "{}", {});
    ASSERT_FALSE(saved.ok()) << why;
    EXPECT_THAT(saved.error().message, HasSubstr(why));
    abandon_save(env_, root_, 1);
    EXPECT_THAT(names_in_root(), IsEmpty());
  }
  Piece rows(std::int64_t begin, std::int64_t end, std::int64_t total = 5) {
    const tensor::Tensor all(state_.weight.data(), DType::f32, {5, 7});
    return {"w", {total, 7}, {begin, 0}, all.row_slice(begin, end)};
  }
  State state_{1};
};

TEST_F(SaveOfSeveralRanks, ARankThatDidNotWriteIsNamed) {
  expect_failure({{rows(0, 5)}}, 2, "rank 1 of 2 has not written");
}

TEST_F(SaveOfSeveralRanks, PiecesThatDoNotMakeUpTheTensorAreRefused) {
  expect_failure({{rows(0, 2)}, {rows(3, 5)}}, 2, "28 of the 35 elements");
  expect_failure({{rows(0, 3)}, {rows(2, 5)}}, 2, "[0, 0]+[3, 7] and [2, 0]+[3, 7] overlap");
  expect_failure({{rows(0, 3)}, {rows(3, 5, 6)}}, 2, "fp32 [6, 7] on rank 1, but fp32 [5, 7]");
}

TEST_F(SaveOfSeveralRanks, AVoteOfAnotherSaveOrADamagedOneIsRefused) {
  const Result<std::string> stage = begin_save(env_, root_, 1, 1000);
  ASSERT_TRUE(write_rank(env_, *stage, 2, 0, std::vector<Piece>{rows(0, 5)}).ok());
  EXPECT_THAT(commit_save(env_, root_, 1, 1, "{}", {}).error().message,
              HasSubstr("wanted are rank 0 and step 1"));
  const std::string path = *stage + "/rank-0.vote.json";
  std::string text = *env_.read_file(path);
  text[text.size() / 2] ^= 1;
  ASSERT_TRUE(env_.write_file(path, text).ok());
  EXPECT_THAT(commit_save(env_, root_, 1, 1, "{}", {}).error().message, HasSubstr("damaged"));
}

}  // namespace
}  // namespace boreal::ckpt
