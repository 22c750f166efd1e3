// Group: one set of ranks and the collectives over it. Layers and optimizers take groups from the
// first day; a group of one rank is not a special case, its collectives are identities.
//
// Sums are taken in fp32 and in rank order, ((r0 + r1) + r2) + ..., and rounded once, so every
// world and every number of threads gives the same bits. Tensors are dense. Where a tensor is made
// of the pieces of the ranks, rank r of n holds rows [r R / n, (r + 1) R / n) of its R rows (first
// dim; of a vector: its elements), rounded down: pieces may differ by one row, or be empty.
//
// Every rank of the group calls the same collectives in the same order, whatever other groups it
// calls in between; all ranks of the world call those of all groups in one order that fits. A
// collective may still run when the call returns: its tensors must stay as they are until
// Event::wait() has returned, also on the way out with an error. Collectives of one rank run in the
// order of the calls.
//
// Trouble (a rank is missing, ranks disagree) is thrown as Failure (failure.h).
// Thread rule: the thread that owns the rank.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::dist {

class Lane;

// Completion of a collective. A default one has happened.
class Event {
 public:
  Event() = default;
  Event(Lane* lane, std::int64_t ticket) : lane_(lane), ticket_(ticket) {}
  // Returns when the collective is done on this rank; throws its Failure.
  void wait() const;

 private:
  Lane* lane_ = nullptr;
  std::int64_t ticket_ = 0;
};

// Where a collective was called. Not std::source_location: clang-tidy 14 does not know it.
struct CallSite {
  const char* file = "";
  int line = 0;
  static constexpr CallSite current(const char* f = __builtin_FILE(), int l = __builtin_LINE()) {
    return {f, l};
  }
};

enum class Reduce : std::uint8_t { sum, max };

// foreground: the caller is about to wait, so it runs the collective itself. background: runs on
// the rank's communication thread while the caller computes.
enum class Urgency : std::uint8_t { foreground, background };

class Group {
 public:
  using Site = CallSite;

  // The group of this rank alone.
  Group() = default;
  // Made by World::group().
  struct Members;
  explicit Group(std::shared_ptr<const Members> members) : members_(std::move(members)) {}
  // A place in a group that is not there, for planning: only meta collectives.
  static Group imagined(std::int64_t rank, std::int64_t size, std::string_view axis);

  std::int64_t rank() const;
  std::int64_t size() const;
  std::string_view axis() const;                     // "" for a group of this rank alone
  std::int64_t world_rank(std::int64_t rank) const;  // of the group's rank

  // The piece of rank r of n: it begins at row begin(rows, r) and ends at begin(rows, r + 1).
  std::int64_t begin(std::int64_t rows, std::int64_t rank) const { return rank * rows / size(); }
  // This rank's piece of a tensor that has all rows.
  tensor::Tensor own_piece(const tensor::Tensor& whole) const;

  // fp32 or bf16, in place: every rank ends with the sum (largest) over the ranks, element by
  // element.
  Event all_reduce(const device::Context& ctx, tensor::Tensor x, Reduce reduce = Reduce::sum,
                   Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  // whole = the pieces of all ranks in rank order. piece may be its own place in whole.
  Event all_gather(const device::Context& ctx, const tensor::Tensor& piece, tensor::Tensor whole,
                   Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  // piece = this rank's part of the sum over the ranks of whole, fp32 or bf16. piece may be its own
  // place in whole; the rest of whole stays.
  Event reduce_scatter(const device::Context& ctx, const tensor::Tensor& whole,
                       tensor::Tensor piece, Urgency urgency = Urgency::foreground,
                       Site site = Site::current()) const;
  Event broadcast(const device::Context& ctx, tensor::Tensor x, std::int64_t root,
                  Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  // Piece s of this rank's `to` = piece r (this rank's number) of rank s's `from`. Both have a
  // number of rows that the group's size divides.
  Event all_to_all(const device::Context& ctx, const tensor::Tensor& from, tensor::Tensor to,
                   Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  // Between two ranks; the other one calls the counterpart with a tensor of equal dtype and shape.
  Event send(const device::Context& ctx, const tensor::Tensor& x, std::int64_t to,
             Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  Event receive(const device::Context& ctx, tensor::Tensor x, std::int64_t from,
                Urgency urgency = Urgency::foreground, Site site = Site::current()) const;
  void barrier(Site site = Site::current()) const;

  // Small host values, waited for. Sum in rank order.
  double sum(double value, Site site = Site::current()) const;
  // The texts of all ranks in rank order, on every rank.
  std::vector<std::string> gather_texts(const std::string& text, Site site = Site::current()) const;
  // The error of the first rank that has one, on every rank; so that all go on or all stop.
  Status agree(const Status& mine, Site site = Site::current()) const;

 private:
  std::shared_ptr<const Members> members_;  // null: alone
};

}  // namespace boreal::dist
