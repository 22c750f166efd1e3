#include "dist/mpi_port.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "dist/failure.h"

#if BOREAL_HAS_MPI
#include <mpi.h>

namespace boreal::dist {

struct MpiPort::Batch::Requests {
  struct Expected {
    std::int64_t peer = 0;
    std::int64_t bytes = -1;  // of a receive
  };
  std::vector<MPI_Request> requests;
  std::vector<Expected> expected;
  std::size_t open = 0;
  // Of MPI_Testsome.
  std::vector<int> indices;
  std::vector<MPI_Status> statuses;
};

struct MpiPort::Library {
  std::mutex mutex;
  MPI_Comm all = MPI_COMM_NULL;
  MPI_Comm host = MPI_COMM_NULL;
  MPI_Win window = MPI_WIN_NULL;
  int rank = 0, size = 1;
  std::vector<std::int64_t> local;
};

namespace {

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Failure(fmt::format("{}: {}", what, text.data()));
}

}  // namespace

Result<std::unique_ptr<MpiPort>> MpiPort::open() {
  int started = 0;
  MPI_Initialized(&started);
  if (started != 0) return failed("world mpi: MPI was started in this process before");
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
  if (level < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    return failed(
        "world mpi: this MPI gives thread level {}, boreal needs {} (MPI_THREAD_SERIALIZED); it "
        "was built without threads",
        level, static_cast<int>(MPI_THREAD_SERIALIZED));
  }
  auto library = std::make_unique<Library>();
  MPI_Comm_dup(MPI_COMM_WORLD, &library->all);
  MPI_Comm_set_errhandler(library->all, MPI_ERRORS_RETURN);
  MPI_Comm_rank(library->all, &library->rank);
  MPI_Comm_size(library->all, &library->size);
  MPI_Comm_split_type(library->all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &library->host);
  int hosts_size = 1;
  MPI_Comm_size(library->host, &hosts_size);
  std::vector<int> ranks(static_cast<std::size_t>(hosts_size));
  MPI_Allgather(&library->rank, 1, MPI_INT, ranks.data(), 1, MPI_INT, library->host);
  library->local.assign(ranks.begin(), ranks.end());
  return std::make_unique<MpiPort>(std::move(library));
}

void* MpiPort::share(std::size_t bytes) {
  Library& mpi = *library_;
  const std::lock_guard lock(mpi.mutex);
  int own = 0;
  MPI_Comm_rank(mpi.host, &own);
  void* memory = nullptr;
  MPI_Win_allocate_shared(own == 0 ? static_cast<MPI_Aint>(bytes) : 0, 1, MPI_INFO_NULL, mpi.host,
                          &memory, &mpi.window);
  MPI_Aint size = 0;
  int unit = 0;
  MPI_Win_shared_query(mpi.window, 0, &size, &unit, &memory);
  if (own == 0) std::memset(memory, 0, bytes);
  MPI_Barrier(mpi.host);
  return memory;
}

void MpiPort::close() {
  Library& mpi = *library_;
  const std::lock_guard lock(mpi.mutex);
  if (mpi.window != MPI_WIN_NULL) MPI_Win_free(&mpi.window);
  MPI_Comm_free(&mpi.host);
  MPI_Comm_free(&mpi.all);
  MPI_Finalize();
}

void MpiPort::abort(int code) {
  const std::lock_guard lock(library_->mutex);
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

void MpiPort::send(Batch& batch, const Part& part, std::int64_t to, int tag) {
  Batch::Requests& own = *batch.requests_;
  const std::lock_guard lock(library_->mutex);
  MPI_Request& request = own.requests.emplace_back(MPI_REQUEST_NULL);
  own.expected.push_back({to, -1});
  ++own.open;
  check_mpi(MPI_Isend(part.data, static_cast<int>(part.bytes), MPI_BYTE, static_cast<int>(to), tag,
                      library_->all, &request),
            "MPI_Isend");
}

void MpiPort::receive(Batch& batch, const Room& room, std::int64_t from, int tag) {
  Batch::Requests& own = *batch.requests_;
  const std::lock_guard lock(library_->mutex);
  MPI_Request& request = own.requests.emplace_back(MPI_REQUEST_NULL);
  own.expected.push_back({from, room.bytes});
  ++own.open;
  check_mpi(MPI_Irecv(room.data, static_cast<int>(room.bytes), MPI_BYTE, static_cast<int>(from),
                      tag, library_->all, &request),
            "MPI_Irecv");
}

int MpiPort::test(Batch& batch) {
  Batch::Requests& own = *batch.requests_;
  if (own.open > 0) {
    own.indices.resize(own.requests.size());
    own.statuses.resize(own.requests.size());
    int count = 0;
    const std::lock_guard lock(library_->mutex);
    check_mpi(MPI_Testsome(static_cast<int>(own.requests.size()), own.requests.data(), &count,
                           own.indices.data(), own.statuses.data()),
              "MPI_Testsome");
    for (int i = 0; i < count; ++i) {
      const auto& expected =
          own.expected[static_cast<std::size_t>(own.indices[static_cast<std::size_t>(i)])];
      int bytes = 0;
      MPI_Get_count(&own.statuses[static_cast<std::size_t>(i)], MPI_BYTE, &bytes);
      if (expected.bytes >= 0 && bytes != expected.bytes)
        throw Failure(fmt::format("rank {} sent {} bytes where {} were expected", expected.peer,
                                  bytes, expected.bytes));
    }
    own.open -= static_cast<std::size_t>(std::max(count, 0));
    if (own.open > 0) return count;
  }
  own.requests.clear();
  own.expected.clear();
  return -1;
}

std::vector<std::int64_t> MpiPort::missing(const Batch& batch) const {
  const Batch::Requests& own = *batch.requests_;
  std::vector<std::int64_t> ranks;
  for (std::size_t i = 0; i < own.requests.size(); ++i)
    if (own.requests[i] != MPI_REQUEST_NULL) ranks.push_back(own.expected[i].peer);
  std::ranges::sort(ranks);
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

std::int64_t MpiPort::rank() const {
  return library_->rank;
}
std::int64_t MpiPort::size() const {
  return library_->size;
}
const std::vector<std::int64_t>& MpiPort::local() const {
  return library_->local;
}

}  // namespace boreal::dist

#else  // no MPI when this was configured

namespace boreal::dist {

struct MpiPort::Batch::Requests {};
struct MpiPort::Library {
  std::vector<std::int64_t> local;
};

Result<std::unique_ptr<MpiPort>> MpiPort::open() {
  return wrong_usage(
      "world mpi: this build has no MPI; install libopenmpi-dev and openmpi-bin, then build again "
      "(./run setup mpi, ./run build boreal)");
}
void MpiPort::close() {}
void MpiPort::abort(int code) {
  std::_Exit(code);
}
std::int64_t MpiPort::rank() const {
  return 0;
}
std::int64_t MpiPort::size() const {
  return 1;
}
const std::vector<std::int64_t>& MpiPort::local() const {
  return library_->local;
}
void* MpiPort::share(std::size_t) {
  return nullptr;
}
void MpiPort::send(Batch&, const Part&, std::int64_t, int) {}
void MpiPort::receive(Batch&, const Room&, std::int64_t, int) {}
int MpiPort::test(Batch&) {
  return -1;
}
std::vector<std::int64_t> MpiPort::missing(const Batch&) const {
  return {};
}

}  // namespace boreal::dist

#endif

namespace boreal::dist {

MpiPort::Batch::Batch() : requests_(std::make_unique<Requests>()) {}
MpiPort::Batch::~Batch() = default;
MpiPort::Batch::Batch(Batch&&) noexcept = default;
MpiPort::MpiPort(std::unique_ptr<Library> library) : library_(std::move(library)) {}
MpiPort::~MpiPort() = default;

}  // namespace boreal::dist
