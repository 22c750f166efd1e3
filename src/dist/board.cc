#include "dist/board.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/clock.h"

namespace boreal::dist {

static_assert(std::is_trivially_copyable_v<Standing>);
static_assert(std::atomic<double>::is_always_lock_free);

Board::Board(void* memory, std::int64_t lines)
    : head_(static_cast<Head*>(memory)),
      line_(static_cast<Line*>(static_cast<void*>(static_cast<std::byte*>(memory) + sizeof(Head)))),
      lines_(lines) {
  static_assert(sizeof(Head) % alignof(Line) == 0);
}

Standing Board::read(std::int64_t index) const {
  const Line& from = line_[index];
  std::array<std::uint64_t, kWords> words{};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::uint64_t before = from.version.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < kWords; ++i)
      words[i] = from.words[i].load(std::memory_order_acquire);
    if (before % 2 == 0 && from.version.load(std::memory_order_acquire) == before) break;
  }
  Standing standing;
  if (from.version.load(std::memory_order_acquire) != 0)
    std::memcpy(static_cast<void*>(&standing), words.data(), sizeof standing);
  return standing;
}

bool Board::claim_failure() const {
  return head_->failed.exchange(1, std::memory_order_acq_rel) == 0;
}

Post::Post(Board::Line& line, std::int64_t rank, std::int64_t size)
    : line_(line), rank_(rank), size_(size) {
  standing_.since_s = Clock::real().now_s();
  const std::lock_guard lock(mutex_);
  publish();
}

void Post::publish() {
  std::array<std::uint64_t, Board::kWords> words{};
  std::memcpy(words.data(), &standing_, sizeof standing_);
  line_.version.fetch_add(1, std::memory_order_acq_rel);
  for (std::size_t i = 0; i < words.size(); ++i)
    line_.words[i].store(words[i], std::memory_order_release);
  line_.version.fetch_add(1, std::memory_order_acq_rel);
  beat();
}

void Post::beat() {
  line_.beat_s.store(Clock::real().now_s(), std::memory_order_release);
}

void Post::enter(const Call& call) {
  const std::lock_guard lock(mutex_);
  standing_.place = Place::inside;
  standing_.since_s = Clock::real().now_s();
  standing_.call = call;
  publish();
}

void Post::leave() {
  const std::lock_guard lock(mutex_);
  standing_.place = Place::outside;
  standing_.since_s = Clock::real().now_s();
  publish();
}

void Post::end() {
  const std::lock_guard lock(mutex_);
  standing_.place = Place::ended;
  standing_.since_s = Clock::real().now_s();
  publish();
}

void Post::describe(std::string_view coordinate) {
  const std::lock_guard lock(mutex_);
  standing_.coordinate.fill('\0');
  std::ranges::copy(coordinate.substr(0, standing_.coordinate.size() - 1),
                    standing_.coordinate.begin());
  publish();
}

void Post::at_step(std::int64_t step) {
  const std::lock_guard lock(mutex_);
  standing_.step = step;
  publish();
}

std::string Post::identity() const {
  const std::lock_guard lock(mutex_);
  return identity_of(rank_, size_, standing_);
}

std::string identity_of(std::int64_t rank, std::int64_t size, const Standing& standing) {
  std::string out = fmt::format("rank {}", rank);
  if (size > 0) out += fmt::format(" of {}", size);
  if (standing.coordinate[0] != '\0') out += fmt::format(" ({})", standing.coordinate.data());
  if (standing.step >= 0) out += fmt::format(", step {}", standing.step);
  return out;
}

}  // namespace boreal::dist
