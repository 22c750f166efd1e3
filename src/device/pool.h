// Pool: the one set of worker threads of a rank, pinned to its processors (placement.h).
// Work is cut statically, part p of n always covers the same items, so that results cannot depend
// on timing; split_guided is for those that cannot anyway. Thread rule: one thread owns the pool
// and calls run(); tasks must not call run() of the same pool.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/result.h"
#include "device/placement.h"

namespace boreal::device {

// What a call takes to be run: a callable of the caller's, which outlives the call. Unlike
// std::function it never allocates.
template <class... Args>
class Task {
 public:
  template <class Body>
  requires(!std::is_same_v<std::remove_cvref_t<Body>, Task>)
      Task(Body&& body)  // NOLINT: a lambda is a task
      : body_(const_cast<void*>(static_cast<const void*>(&body))),
        call_([](void* at, Args... args) {
          (*static_cast<std::remove_reference_t<Body>*>(at))(args...);
        }) {}
  void operator()(Args... args) const { call_(body_, args...); }

 private:
  void* body_;
  void (*call_)(void*, Args...);
};

class Profile;

class Pool {
 public:
  // The threads include the calling one. Where they are pinned, thread i sits on pins[i]; the
  // calling one, and what it starts while the pool lives, stays within `share`.
  explicit Pool(const Placement& placement);
  // pin: thread i sits on the i-th processor this process may use, for a process alone on its
  // processors; the calling thread goes where it likes.
  explicit Pool(std::int64_t threads, bool pin = false);
  // The same; an Error of kind failed where the system refuses a thread.
  static Result<std::unique_ptr<Pool>> start(const Placement& placement);
  static Result<std::unique_ptr<Pool>> start(std::int64_t threads, bool pin = false);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  std::int64_t threads() const;

  // Calls task(part) for part 0..threads()-1, each on its own thread, and waits for all.
  void run(Task<std::int64_t> task);

  // Cuts [0, items) into runs of whole `grain`s, one a thread, and calls task(begin, end) for those
  // that are not empty.
  void split(std::int64_t items, std::int64_t grain, Task<std::int64_t, std::int64_t> task);

  // The same in smaller and smaller runs of whole grains, taken in turns by whoever is free: for
  // work whose results do not depend on how it is cut, on machines whose cores are not equally
  // fast.
  void split_guided(std::int64_t items, std::int64_t grain, Task<std::int64_t, std::int64_t> task);

  // From now on the parts of each run are recorded there; null: no more.
  void watch(Profile* profile);

 private:
  struct Workers;
  std::unique_ptr<Workers> workers_;
};

}  // namespace boreal::device
