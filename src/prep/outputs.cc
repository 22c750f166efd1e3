#include "prep/outputs.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/hash.h"

namespace boreal::prep {

namespace {

constexpr const char* kStampPath = "prep/stamp";
constexpr const char* kLockPath = "prep/lock";
// Ranks pass prep/lock in milliseconds, one after the other; who holds it longer is a lone prep.
constexpr double kGateMax_s = 10;
constexpr double kGateMaxPerRank_s = 0.05;

// The text of a small file of ours, "" if it is not there.
std::string text_of(Env& env, const std::string& path) {
  if (!env.exists(path)) return "";
  const auto text = env.read_file(path);
  return text.ok() ? *text : "";
}

// Differs between hosts, processes and the ranks of a process: where a file system carries no locks
// between hosts, two may make one unit, and only their half-made files must not meet.
std::string work_name(std::int64_t rank) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("{}-{}-{}", host, ::getpid(), rank);
}

std::string header_of(const std::string& stamp, std::size_t bytes) {
  return fmt::format("boreal prep unit {} {} ", stamp, bytes);
}

// Header, hash, line break, content: the content of a file that is as long as it says.
std::optional<std::string_view> payload_of(std::string_view file, const std::string& stamp) {
  const std::size_t line = file.find('\n');
  if (line == std::string_view::npos) return std::nullopt;
  const std::string_view payload = file.substr(line + 1);
  if (!file.starts_with(header_of(stamp, payload.size()))) return std::nullopt;
  return payload;
}

}  // namespace

Outputs::Outputs(Env& env, std::string out_dir, std::string stamp, const PrepOptions& options)
    : env_(&env),
      out_dir_(std::move(out_dir)),
      stamp_(std::move(stamp)),
      options_(options),
      lone_(options.ranks == 1),
      work_("prep/partial/" + work_name(options.rank)) {}

Outputs::~Outputs() {
  // Moved from, or never let in.
  if (lock_ && env_->exists(path(work_))) static_cast<void>(env_->remove_all(path(work_)));
}

Result<Outputs> Outputs::open(Env& env, const std::string& out_dir, const std::string& stamp,
                              const PrepOptions& options) {
  Outputs outputs(env, out_dir, stamp, options);
  RETURN_IF_ERROR(outputs.take_place());
  return outputs;
}

// For a moment alone in the folder.
Result<std::unique_ptr<FileLock>> Outputs::gate() {
  auto lock = env_->lock(path(kLockPath));
  const double begun_s = options_.clock->now_s();
  const double patience_s =
      lone_ ? 0
            : std::min(kGateMax_s + kGateMaxPerRank_s * static_cast<double>(options_.ranks),
                       options_.wait_s);
  while (!lock.ok() && options_.clock->now_s() - begun_s < patience_s) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    lock = env_->lock(path(kLockPath));
  }
  return lock;
}

Status Outputs::take_place() {
  RETURN_IF_ERROR(env_->make_dirs(path("prep")));
  auto gate_lock = gate();
  if (!gate_lock.ok())
    return std::move(gate_lock).error().within("another prep works in " + out_dir_);
  const bool same_stamp = text_of(*env_, path(kStampPath)) == stamp_;
  if (lone_ || !same_stamp) {
    ASSIGN_OR_RETURN(const bool busy, others_work());
    if (busy)
      return failed("another prep works in {}: its ranks hold {}", out_dir_, path("prep/ranks"));
  }
  if (!same_stamp) RETURN_IF_ERROR(begin());
  if (lone_) {
    lock_ = std::move(gate_lock).value();
    return Done{};
  }
  RETURN_IF_ERROR(env_->make_dirs(path("prep/ranks")));
  auto place = env_->lock(path(fmt::format("prep/ranks/{}", options_.rank)));
  if (!place.ok()) {
    return std::move(place).error().within(
        fmt::format("rank {} of another prep works in {}", options_.rank, out_dir_));
  }
  lock_ = std::move(place).value();
  return Done{};
}

Result<bool> Outputs::others_work() const {
  const std::string ranks = path("prep/ranks");
  if (!env_->exists(ranks)) return false;
  ASSIGN_OR_RETURN(const auto names, env_->list_dir(ranks));
  for (const std::string& name : names) {
    if (!env_->lock(join_path(ranks, name)).ok()) return true;
  }
  return false;
}

Status Outputs::begin() {
  if (env_->exists(path(kStampPath))) {
    // prep.json first: without it the folder counts as unfinished, whatever happens from here on.
    for (const char* ours : {"prep.json", "shards", "eval", "tokenizer", "tables", "facts.csv",
                             "prep/units", "prep/claims", "prep/partial"}) {
      RETURN_IF_ERROR(env_->remove_all(path(ours)));
    }
  }
  return commit_file(kStampPath, stamp_);
}

Result<std::string> Outputs::work_path(const std::string& relative) {
  const std::string at = path(join_path(work_, relative));
  RETURN_IF_ERROR(env_->make_dirs(parent_path(at)));
  return at;
}

// What is lost here another job took away: no input's fault.
Status Outputs::put(const std::string& from, const std::string& to) {
  Status status = env_->rename(from, to);
  if (status.ok()) return status;
  return failed("{}; does another job write there? The same command completes what is missing",
                status.error().message);
}

Status Outputs::commit_file(const std::string& relative, std::string_view content) {
  ASSIGN_OR_RETURN(const std::string half, work_path(relative));
  ASSIGN_OR_RETURN(auto writer, env_->create(half));
  RETURN_IF_ERROR(writer->append(content));
  RETURN_IF_ERROR(writer->sync());
  RETURN_IF_ERROR(writer->close());
  const std::string whole = path(relative);
  RETURN_IF_ERROR(env_->make_dirs(parent_path(whole)));
  RETURN_IF_ERROR(put(half, whole));
  return env_->sync_dir(parent_path(whole));
}

Status Outputs::commit_folder(const std::string& relative) {
  const std::string whole = path(relative);
  if (env_->exists(whole)) {
    ASSIGN_OR_RETURN(const std::string old, work_path("replaced/" + relative));
    RETURN_IF_ERROR(env_->remove_all(old));
    RETURN_IF_ERROR(put(whole, old));
  }
  RETURN_IF_ERROR(env_->make_dirs(parent_path(whole)));
  return put(path(join_path(work_, relative)), whole);
}

Result<std::optional<std::unique_ptr<FileLock>>> Outputs::claim(const std::string& unit) {
  using Claim = std::optional<std::unique_ptr<FileLock>>;
  if (lone_) return Claim(nullptr);
  const std::string at = claim_path(unit);
  RETURN_IF_ERROR(env_->make_dirs(parent_path(at)));
  auto lock = env_->lock(at);
  if (lock.ok()) return Claim(std::move(lock).value());
  // The lock of a file that could not even be made is nobody's.
  if (!env_->exists(at)) return std::move(lock).error();
  return Claim();
}

Status Outputs::tell(const std::string& unit, std::string payload) {
  if (lone_) {
    told_[unit] = std::move(payload);
    return Done{};
  }
  ASSIGN_OR_RETURN(const std::string half, work_path("units/" + unit));
  ASSIGN_OR_RETURN(auto writer, env_->create(half));
  RETURN_IF_ERROR(writer->append(header_of(stamp_, payload.size())));
  RETURN_IF_ERROR(writer->append(xxh3_128_hex(payload) + "\n"));
  RETURN_IF_ERROR(writer->append(payload));
  RETURN_IF_ERROR(writer->close());
  RETURN_IF_ERROR(env_->make_dirs(parent_path(told_path(unit))));
  return put(half, told_path(unit));
}

std::optional<std::string> Outputs::told(const std::string& unit) const {
  if (const auto found = told_.find(unit); found != told_.end()) return found->second;
  if (!env_->exists(told_path(unit))) return std::nullopt;
  const auto text = env_->read_file(told_path(unit));
  const auto payload = text.ok() ? payload_of(*text, stamp_) : std::nullopt;
  if (!payload || !text->starts_with(header_of(stamp_, payload->size()) + xxh3_128_hex(*payload)))
    return std::nullopt;
  return std::string(*payload);
}

bool Outputs::is_told(const std::string& unit) const {
  if (told_.contains(unit)) return true;
  if (!env_->exists(told_path(unit))) return false;
  const auto mapped = env_->map_file(told_path(unit));
  if (!mapped.ok()) return false;
  const auto bytes = (*mapped)->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return payload_of(text, stamp_).has_value();
}

void Outputs::forget(const std::string& stage) {
  std::erase_if(told_, [&](const auto& entry) { return entry.first.starts_with(stage + "/"); });
}

void Outputs::tidy() {
  // One at a time: two that remove one tree trip over one another. The last to leave leaves
  // nothing.
  Result<std::unique_ptr<FileLock>> alone = lone_ ? std::unique_ptr<FileLock>() : gate();
  if (!alone.ok()) return;
  for (const char* ours : {"prep/units", "prep/claims", "prep/partial"}) {
    if (env_->exists(path(ours))) static_cast<void>(env_->remove_all(path(ours)));
  }
}

}  // namespace boreal::prep
