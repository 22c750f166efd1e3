#include "train/step_recorder.h"

#include <algorithm>

#include "monitor/chart.h"
#include "train/profile_report.h"

namespace boreal::train {

StepRecorder::StepRecorder(Env& env, const Clock& clock, Replica& replica, Phases& phases,
                           const TrainOptions& options, std::int64_t steps_left, double peak_flops)
    : env_(env),
      replica_(replica),
      phases_(phases),
      out_(options.out),
      peak_flops_(peak_flops),
      first_(std::clamp<std::int64_t>(steps_left - options.profile_steps, 0, kWarmSteps)),
      last_(std::min(first_ + options.profile_steps, steps_left)) {
  if (first_ < last_) profile_ = std::make_unique<device::Profile>(clock, replica.ctx().threads);
}

void StepRecorder::record(bool on) {
  recording_ = on;
  replica_.record_in(profile());
  phases_.record_in(profile());
}

Status StepRecorder::advance() {
  if (profile_ == nullptr) return Done{};
  const std::int64_t step = begun_++;
  if (step == first_) record(true);
  if (recording_ && step < last_) profile_->reserve();
  if (step != last_) return Done{};
  record(false);
  return write();
}

Status StepRecorder::write() {
  RETURN_IF_ERROR(env_.write_file(join_path(out_, "profile.json"), trace_json(*profile_)));
  const monitor::StackedChart chart = time_chart(
      *profile_,
      fmt::format("Where the time of a step goes: {}", replica_.model().config().family));
  RETURN_IF_ERROR(monitor::write_svg(env_, join_path(out_, "profile.svg"), chart));
  table_ = kernel_table(*profile_, peak_flops_);
  if (profile_->left_out() > 0)
    table_.title += fmt::format("; {} spans had no room", profile_->left_out());
  profile_.reset();
  return Done{};
}

}  // namespace boreal::train
