// An Env over the real files that dies at its n-th change: that call and all after it fail, as if
// the process were gone.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"

namespace boreal::prep {

class FailingEnv : public Env {
 public:
  // Changes that still succeed; the default never fails.
  std::int64_t changes_left = std::numeric_limits<std::int64_t>::max();

  Result<std::string> read_file(const std::string& p) override { return real_.read_file(p); }
  Result<std::unique_ptr<MappedFile>> map_file(const std::string& p) override {
    return real_.map_file(p);
  }
  Result<std::unique_ptr<FileWriter>> create(const std::string& p) override {
    return writer(real_.create(p), p);
  }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string& p) override {
    return writer(real_.append_to(p), p);
  }
  Status truncate(const std::string& p, std::uint64_t n) override {
    RETURN_IF_ERROR(spend(p));
    return real_.truncate(p, n);
  }
  Status rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(spend(to));
    return real_.rename(from, to);
  }
  Status remove_all(const std::string& p) override {
    RETURN_IF_ERROR(spend(p));
    return real_.remove_all(p);
  }
  Status make_dirs(const std::string& p) override {
    RETURN_IF_ERROR(spend(p));
    return real_.make_dirs(p);
  }
  Status sync_dir(const std::string& /*p*/) override { return Done{}; }
  bool exists(const std::string& p) override { return real_.exists(p); }
  bool is_dir(const std::string& p) override { return real_.is_dir(p); }
  Result<std::uint64_t> file_size(const std::string& p) override { return real_.file_size(p); }
  Result<std::vector<std::string>> list_dir(const std::string& p) override {
    return real_.list_dir(p);
  }
  Result<std::uint64_t> free_bytes(const std::string& p) override { return real_.free_bytes(p); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& p) override { return real_.lock(p); }

 private:
  class Writer final : public FileWriter {
   public:
    Writer(FailingEnv& env, std::unique_ptr<FileWriter> under, std::string path)
        : env_(env), under_(std::move(under)), path_(std::move(path)) {}
    Status append(std::span<const std::byte> bytes) override {
      RETURN_IF_ERROR(env_.spend(path_));
      return under_->append(bytes);
    }
    Status sync() override { return Done{}; }
    Status close() override { return under_->close(); }

   private:
    FailingEnv& env_;
    std::unique_ptr<FileWriter> under_;
    std::string path_;
  };

  Result<std::unique_ptr<FileWriter>> writer(Result<std::unique_ptr<FileWriter>> under,
                                             const std::string& path) {
    RETURN_IF_ERROR(spend(path));
    if (!under.ok()) return under;
    return std::unique_ptr<FileWriter>(
        std::make_unique<Writer>(*this, std::move(under).value(), path));
  }

  Status spend(const std::string& path) {
    if (changes_left <= 0) return failed("{}: no space left on device", path);
    --changes_left;
    return Done{};
  }

  Env& real_ = Env::real();
};

}  // namespace boreal::prep
