// World::State: what a rank of any world has; each kind of world adds how its groups are connected.
// Group::Members: a group's place in it. Thread rule: the thread that owns the rank.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dist/board.h"
#include "dist/lane.h"
#include "dist/transport.h"
#include "dist/watch.h"
#include "dist/world.h"

namespace boreal::dist {

struct Seat {
  std::int64_t rank = 0;
  std::int64_t size = 1;
  std::int64_t local_rank = 0;
  std::int64_t local_size = 1;
  std::string_view kind = "single";
};

class World::State {
 public:
  explicit State(const Seat& seat) : seat_(seat) {}
  virtual ~State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Seat& seat() const { return seat_; }
  const Group& group(std::span<const std::int64_t> ranks, std::string_view axis);
  // Null in a world of one rank.
  virtual Lane* lane() { return nullptr; }
  virtual Post* post() { return nullptr; }
  // No communication. Only called for two ranks or more, this one among them.
  virtual std::unique_ptr<Transport> connect(std::span<const std::int64_t> ranks,
                                             std::string_view axis) = 0;

 private:
  Seat seat_;
  std::map<std::pair<std::vector<std::int64_t>, std::string>, Group> groups_;
};

struct Group::Members {
  std::int64_t rank = 0;
  std::int64_t size = 1;
  std::string axis;
  std::vector<std::int64_t> ranks;  // world ranks; empty in an imagined group
  World::State* world = nullptr;    // null: imagined
  std::unique_ptr<Transport> transport;
  // For send and receive, by the other's rank; made when first used.
  mutable std::map<std::int64_t, std::unique_ptr<Transport>> pairs;

  // What every operation of this group says of itself.
  Operation operation(Kind kind, Transport* over, const Site& site) const;
  // A send to or a receive from another rank of the group.
  Operation pass(Kind kind, std::int64_t other, const Site& site) const;
  // Queues it. `described`: the tensor that all ranks have alike.
  Event start(Operation op, const tensor::Tensor& from, const tensor::Tensor& to,
              const tensor::Tensor& described, Urgency urgency) const;
  // gather_texts or agree.
  std::vector<std::string> texts(Kind kind, const std::string& text, const Site& site) const;

 private:
  Operation operation_among(Kind kind, Transport* over, std::span<const std::int64_t> among,
                            const Site& site) const;
};

}  // namespace boreal::dist
