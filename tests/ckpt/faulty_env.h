// The real file system behind a door that fails, dies or kills at the k-th change, and that knows
// what a power cut would take: bytes and entries that were not synced.
#pragma once

#include <signal.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"

namespace boreal::ckpt {

class FaultyEnv final : public Env {
 public:
  enum class Fault {
    none,
    fails,   // the change is refused half done, what comes after works (a disk that is then freed)
    dies,    // the change is cut in the middle and nothing works any more
    killed,  // SIGKILL in the middle of the change
  };

  FaultyEnv() = default;
  FaultyEnv(Fault fault, int at) : fault_(fault), at_(at) {}

  int changes() const { return changes_; }
  std::uint64_t free_space_bytes = ~std::uint64_t{0};

  // Files with unsynced bytes and folders with unsynced entries, now.
  std::vector<std::string> unsynced() const {
    std::vector<std::string> out(dirty_dirs_.begin(), dirty_dirs_.end());
    out.insert(out.end(), dirty_files_.begin(), dirty_files_.end());
    return out;
  }

  // Half of every unsynced file is lost, and every new entry of an unsynced folder.
  void cut_power() {
    for (const std::string& path : dirty_files_) {
      const auto bytes = real_.file_size(path);
      if (bytes.ok()) (void)real_.truncate(path, *bytes / 2);
    }
    for (const std::string& path : new_entries_) {
      if (dirty_dirs_.count(parent_path(path)) > 0) (void)real_.remove_all(path);
    }
  }

  Result<std::string> read_file(const std::string& path) override { return real_.read_file(path); }
  Result<std::unique_ptr<MappedFile>> map_file(const std::string& path) override {
    return real_.map_file(path);
  }
  bool exists(const std::string& path) override { return real_.exists(path); }
  bool is_dir(const std::string& path) override { return real_.is_dir(path); }
  Result<std::uint64_t> file_size(const std::string& path) override {
    return real_.file_size(path);
  }
  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    return real_.list_dir(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    RETURN_IF_ERROR(real_.free_bytes(path));
    return free_space_bytes;
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return real_.lock(path);
  }

  Result<std::unique_ptr<FileWriter>> create(const std::string& path) override {
    RETURN_IF_ERROR(change("create", path));
    ASSIGN_OR_RETURN(auto writer, real_.create(path));
    note_entry(path);
    dirty_files_.insert(path);
    return std::unique_ptr<FileWriter>(std::make_unique<Writer>(*this, path, std::move(writer)));
  }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string& path) override {
    return failed("{}: checkpoints are not appended to", path);
  }
  Status truncate(const std::string& path, std::uint64_t) override {
    return failed("{}: checkpoints are not truncated", path);
  }
  Status rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(change("rename", from));
    RETURN_IF_ERROR(real_.rename(from, to));
    move(dirty_files_, from, to);
    move(dirty_dirs_, from, to);
    move(new_entries_, from, to);
    dirty_dirs_.insert(parent_path(to));
    return Done{};
  }
  Status remove_all(const std::string& path) override {
    if (is_due()) remove_half(path);
    RETURN_IF_ERROR(change("remove", path));
    forget(dirty_files_, path);
    forget(dirty_dirs_, path);
    forget(new_entries_, path);
    return real_.remove_all(path);
  }
  Status make_dirs(const std::string& path) override {
    RETURN_IF_ERROR(change("make", path));
    for (std::string level = path; !level.empty() && !real_.exists(level);
         level = parent_path(level))
      note_entry(level);
    return real_.make_dirs(path);
  }
  Status sync_dir(const std::string& path) override {
    RETURN_IF_ERROR(change("sync folder", path));
    dirty_dirs_.erase(path);
    std::erase_if(new_entries_, [&](const std::string& e) { return parent_path(e) == path; });
    return real_.sync_dir(path);
  }

 private:
  class Writer final : public FileWriter {
   public:
    Writer(FaultyEnv& env, std::string path, std::unique_ptr<FileWriter> real)
        : env_(env), path_(std::move(path)), real_(std::move(real)) {}
    Status append(std::span<const std::byte> bytes) override {
      if (env_.is_due()) (void)real_->append(bytes.first(bytes.size() / 2));
      RETURN_IF_ERROR(env_.change("write", path_));
      env_.dirty_files_.insert(path_);
      return real_->append(bytes);
    }
    Status sync() override {
      RETURN_IF_ERROR(env_.change("sync", path_));
      env_.dirty_files_.erase(path_);
      return real_->sync();
    }
    Status close() override {
      const Status status = env_.change("close", path_);
      RETURN_IF_ERROR(real_->close());
      return status;
    }

   private:
    FaultyEnv& env_;
    std::string path_;
    std::unique_ptr<FileWriter> real_;
  };

  bool is_due() const { return fault_ != Fault::none && changes_ == at_; }

  // Removing a folder goes file by file, so it can stop between two.
  void remove_half(const std::string& folder) {
    const auto names = real_.list_dir(folder);
    for (std::size_t i = 0; names.ok() && i < (names->size() + 1) / 2; ++i)
      (void)real_.remove_all(join_path(folder, (*names)[i]));
  }

  // Called before each change.
  Status change(const char* act, const std::string& path) {
    const int number = changes_++;
    if (fault_ == Fault::none || number < at_ || (fault_ == Fault::fails && number > at_))
      return Done{};
    if (fault_ == Fault::killed) raise(SIGKILL);
    return failed("cannot {} {}: No space left on device", act, path);
  }

  void note_entry(const std::string& path) {
    new_entries_.insert(path);
    dirty_dirs_.insert(parent_path(path));
  }
  static bool lies_in(const std::string& path, const std::string& folder) {
    return path == folder || path.starts_with(folder + "/");
  }
  static void forget(std::set<std::string>& paths, const std::string& folder) {
    std::erase_if(paths, [&](const std::string& path) { return lies_in(path, folder); });
  }
  static void move(std::set<std::string>& paths, const std::string& from, const std::string& to) {
    std::set<std::string> out;
    for (const std::string& path : paths)
      out.insert(lies_in(path, from) ? to + path.substr(from.size()) : path);
    paths = std::move(out);
  }

  Env& real_ = Env::real();
  Fault fault_ = Fault::none;
  int at_ = -1;
  int changes_ = 0;
  std::set<std::string> dirty_files_;
  std::set<std::string> dirty_dirs_;
  std::set<std::string> new_entries_;
};

}  // namespace boreal::ckpt
