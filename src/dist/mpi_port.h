// MpiPort: the little of MPI that boreal uses: point-to-point messages that are tested, never
// waited for (MPI has no time limits), and a piece of memory that the ranks of a host share.
// mpi_port.cc alone knows mpi.h. Thread rule: any thread; calls into MPI are one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dist/transport.h"

namespace boreal::dist {

class MpiPort {
 public:
  // Messages under way, posted and tested together. A default one has none.
  class Batch {
   public:
    Batch();
    ~Batch();
    Batch(Batch&&) noexcept;

   private:
    friend class MpiPort;
    struct Requests;
    std::unique_ptr<Requests> requests_;
  };

  // Starts MPI; once a process. usage where this build has none.
  static Result<std::unique_ptr<MpiPort>> open();
  struct Library;
  explicit MpiPort(std::unique_ptr<Library> library);
  ~MpiPort();
  MpiPort(const MpiPort&) = delete;
  MpiPort& operator=(const MpiPort&) = delete;
  // Ends MPI; all ranks.
  void close();
  // Ends the job: all its processes.
  [[noreturn]] void abort(int code);

  std::int64_t rank() const;
  std::int64_t size() const;
  // World ranks on this host, rising.
  const std::vector<std::int64_t>& local() const;
  // Zeroed memory that the ranks of this host share; called once, by all of them.
  void* share(std::size_t bytes);

  // Up to 1 GiB. The memory stays as it is until the message has ended.
  void send(Batch& batch, const Part& part, std::int64_t to, int tag);
  void receive(Batch& batch, const Room& room, std::int64_t from, int tag);
  // How many have ended since the last look; -1: all have. Throws Failure when a message was not
  // as long as expected.
  int test(Batch& batch);
  // The other ends of those that have not.
  std::vector<std::int64_t> missing(const Batch& batch) const;

 private:
  std::unique_ptr<Library> library_;
};

}  // namespace boreal::dist
