// An Env over the real one whose disk fills up after so many bytes, or that dies at the n-th change
// of the folder.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"

namespace boreal::tokens {

class FaultyEnv final : public Env {
 public:
  std::uint64_t bytes_left = std::numeric_limits<std::uint64_t>::max();
  // Renames and removals that still succeed; afterwards everything fails, as for a process that was
  // killed.
  std::int64_t changes_left = std::numeric_limits<std::int64_t>::max();

  Result<std::string> read_file(const std::string& path) override { return real_.read_file(path); }
  Result<std::unique_ptr<MappedFile>> map_file(const std::string& path) override {
    return real_.map_file(path);
  }
  Result<std::unique_ptr<FileWriter>> create(const std::string& path) override {
    if (dead()) return failed("killed");
    ASSIGN_OR_RETURN(auto writer, real_.create(path));
    return std::unique_ptr<FileWriter>(std::make_unique<Writer>(*this, std::move(writer)));
  }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string& path) override {
    return real_.append_to(path);
  }
  Status truncate(const std::string& path, std::uint64_t size_bytes) override {
    return real_.truncate(path, size_bytes);
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (dead()) return failed("killed before renaming {}", from);
    --changes_left;
    return real_.rename(from, to);
  }
  Status remove_all(const std::string& path) override {
    if (dead()) return failed("killed before removing {}", path);
    --changes_left;
    return real_.remove_all(path);
  }
  Status make_dirs(const std::string& path) override { return real_.make_dirs(path); }
  Status sync_dir(const std::string& path) override { return real_.sync_dir(path); }
  bool exists(const std::string& path) override { return real_.exists(path); }
  bool is_dir(const std::string& path) override { return real_.is_dir(path); }
  Result<std::uint64_t> file_size(const std::string& path) override {
    return real_.file_size(path);
  }
  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    return real_.list_dir(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return real_.free_bytes(path);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return real_.lock(path);
  }

  bool dead() const { return changes_left <= 0; }

 private:
  class Writer final : public FileWriter {
   public:
    Writer(FaultyEnv& env, std::unique_ptr<FileWriter> inner)
        : env_(env), inner_(std::move(inner)) {}
    Status append(std::span<const std::byte> bytes) override {
      if (bytes.size() > env_.bytes_left) return failed("cannot write: No space left on device");
      env_.bytes_left -= bytes.size();
      return inner_->append(bytes);
    }
    Status sync() override { return inner_->sync(); }
    Status close() override { return inner_->close(); }

   private:
    FaultyEnv& env_;
    std::unique_ptr<FileWriter> inner_;
  };

  Env& real_ = Env::real();
};

}  // namespace boreal::tokens
