#include "app/signals.h"

#include <gtest/gtest.h>

namespace boreal::app {
namespace {

train::Stop after(int signal) {
  const StopSignals signals;
  raise(signal);
  return signals.flag()->load();
}

TEST(StopSignals, SayWhatToDoWhileTheyAreHeld) {
  EXPECT_EQ(after(SIGTERM), train::Stop::save_and_requeue);
  EXPECT_EQ(after(SIGUSR1), train::Stop::save_and_requeue);
  EXPECT_EQ(after(SIGINT), train::Stop::save_and_end);
}

TEST(StopSignals, OneThatCameBeforeIsForgottenByTheNext) {
  EXPECT_EQ(after(SIGTERM), train::Stop::save_and_requeue);
  const StopSignals signals;
  EXPECT_EQ(signals.flag()->load(), train::Stop::none);
}

TEST(StopSignalsDeathTest, AfterTrainingASignalEndsTheProgramAgain) {
  EXPECT_EXIT(
      {
        { const StopSignals signals; }
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST(StopSignalsDeathTest, ASecondInterruptStopsAtOnce) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        raise(SIGINT);
        raise(SIGINT);
      },
      testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace boreal::app
