#include "device/profile.h"

#include <algorithm>
#include <numeric>

namespace boreal::device {

namespace {
// More than a step of a small model takes; room for larger ones comes with their first step.
constexpr std::size_t kStepRecords = std::size_t{1} << 15;
}  // namespace

Profile::Profile(const Clock& clock, std::int64_t threads)
    : clock_(clock),
      work_(static_cast<std::size_t>(threads)),
      work_left_out_(static_cast<std::size_t>(threads)) {
  reserve();
}

void Profile::reserve() {
  largest_ = std::max(largest_, records_.size() - marked_);
  marked_ = records_.size();
  const std::size_t room = std::max(kStepRecords, 2 * largest_);
  records_.reserve(records_.size() + room);
  for (std::vector<WorkRecord>& part : work_) part.reserve(part.size() + room);
}

std::int64_t Profile::open(const SpanRecord& span) {
  if (records_.size() == records_.capacity()) {
    ++left_out_;
    return -1;
  }
  records_.push_back(span);
  SpanRecord& record = records_.back();
  record.parent = current_;
  current_ = static_cast<std::int64_t>(records_.size()) - 1;
  record.begin_s = record.end_s = clock_.now_s();
  return current_;
}

void Profile::close(std::int64_t place) {
  if (place < 0) return;
  SpanRecord& record = records_[static_cast<std::size_t>(place)];
  record.end_s = clock_.now_s();
  current_ = record.parent;
}

void Profile::work(std::int64_t part, double begin_s) {
  std::vector<WorkRecord>& mine = work_[static_cast<std::size_t>(part)];
  if (mine.size() == mine.capacity()) {
    ++work_left_out_[static_cast<std::size_t>(part)];
    return;
  }
  mine.push_back({current_, begin_s, clock_.now_s()});
}

std::int64_t Profile::left_out() const {
  return std::accumulate(work_left_out_.begin(), work_left_out_.end(), left_out_);
}

}  // namespace boreal::device
