#include "base/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace boreal {

namespace fs = std::filesystem;

namespace {

Error system_error(std::string_view act, const std::string& path, int code) {
  const ErrorKind kind =
      code == ENOENT || code == ENOTDIR || code == EISDIR ? ErrorKind::refused : ErrorKind::failed;
  return {fmt::format("{} {}: {}", act, path, std::strerror(code)), kind};
}

// Of a file that is read: what one may not read is an input that is refused.
Error input_error(std::string_view act, const std::string& path, int code) {
  Error error = system_error(act, path, code);
  if (code == EACCES || code == EPERM) error.kind = ErrorKind::refused;
  return error;
}

class PosixWriter final : public FileWriter {
 public:
  PosixWriter(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixWriter() override {
    if (fd_ >= 0) ::close(fd_);
  }
  PosixWriter(const PosixWriter&) = delete;
  PosixWriter& operator=(const PosixWriter&) = delete;

  Status append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return system_error("cannot write", path_, errno);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return Done{};
  }
  Status sync() override {
    if (::fsync(fd_) != 0) return system_error("cannot sync", path_, errno);
    return Done{};
  }
  Status close() override {
    const int fd = std::exchange(fd_, -1);
    if (fd >= 0 && ::close(fd) != 0) return system_error("cannot close", path_, errno);
    return Done{};
  }

 private:
  int fd_;
  std::string path_;
};

class PosixMap final : public MappedFile {
 public:
  PosixMap(void* data, std::size_t size) : data_(data), size_(size) {}
  ~PosixMap() override {
    if (size_ > 0) ::munmap(data_, size_);
  }
  PosixMap(const PosixMap&) = delete;
  PosixMap& operator=(const PosixMap&) = delete;
  std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(data_), size_};
  }

 private:
  void* data_;
  std::size_t size_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { ::close(fd_); }
  PosixLock(const PosixLock&) = delete;
  PosixLock& operator=(const PosixLock&) = delete;

 private:
  int fd_;
};

class PosixMemory final : public FileMemory {
 public:
  PosixMemory(void* data, std::size_t size) : data_(data), size_(size) {}
  PosixMemory(const PosixMemory&) = delete;
  PosixMemory& operator=(const PosixMemory&) = delete;
  ~PosixMemory() override { ::munmap(data_, size_); }
  std::span<std::byte> bytes() override { return {static_cast<std::byte*>(data_), size_}; }

 private:
  void* data_;
  std::size_t size_;
};

// A file that no folder names. Not every file system has O_TMPFILE; any lets an open file go on
// without its name.
int open_nameless(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return fd;
  std::string name = join_path(folder, "boreal-XXXXXX");
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

// Takes the space of a whole file: 0 or the reason. Where the file system cannot, the library
// writes it.
int take_space(int fd, std::uint64_t bytes) {
  int code = 0;
  do {
    code = ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  } while (code == EINTR);
  if (code != EOPNOTSUPP) return code;
  return ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
}

class PosixEnv final : public Env {
 public:
  Result<std::string> read_file(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return input_error("cannot open", path, errno);
    std::string content;
    struct stat info {};
    if (::fstat(fd, &info) == 0 && info.st_size > 0)
      content.reserve(static_cast<std::size_t>(info.st_size));
    char buffer[1 << 16];
    while (true) {
      const ssize_t n = ::read(fd, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const int code = errno;
        ::close(fd);
        return system_error("cannot read", path, code);
      }
      if (n == 0) break;
      content.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return content;
  }

  Result<std::unique_ptr<MappedFile>> map_file(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return input_error("cannot open", path, errno);
    struct stat info {};
    if (::fstat(fd, &info) != 0) {
      const int code = errno;
      ::close(fd);
      return system_error("cannot stat", path, code);
    }
    if (S_ISDIR(info.st_mode)) {
      ::close(fd);
      return system_error("cannot map", path, EISDIR);
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    void* data = nullptr;
    if (size > 0) {
      data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
      if (data == MAP_FAILED) {
        const int code = errno;
        ::close(fd);
        return system_error("cannot map", path, code);
      }
    }
    ::close(fd);
    return std::unique_ptr<MappedFile>(std::make_unique<PosixMap>(data, size));
  }

  Result<std::unique_ptr<FileWriter>> create(const std::string& path) override {
    return open_writer(path, O_TRUNC);
  }
  Result<std::unique_ptr<FileWriter>> append_to(const std::string& path) override {
    return open_writer(path, O_APPEND);
  }

  Status truncate(const std::string& path, std::uint64_t size_bytes) override {
    if (::truncate(path.c_str(), static_cast<off_t>(size_bytes)) != 0)
      return system_error("cannot truncate", path, errno);
    return Done{};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return system_error("cannot rename " + from + " to", to, errno);
    return Done{};
  }

  Status remove_all(const std::string& path) override {
    std::error_code code;
    fs::remove_all(path, code);
    if (code) return failed("cannot remove {}: {}", path, code.message());
    return Done{};
  }

  Status make_dirs(const std::string& path) override {
    std::error_code code;
    fs::create_directories(path, code);
    if (code) return failed("cannot make folder {}: {}", path, code.message());
    return Done{};
  }

  Status sync_dir(const std::string& path) override {
    const int fd = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return system_error("cannot open folder", path, errno);
    const int code = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (code != 0) return system_error("cannot sync folder", path, code);
    return Done{};
  }

  // What cannot be told for want of permission counts as there: opening it says why.
  bool exists(const std::string& path) override {
    return ::access(path.c_str(), F_OK) == 0 || errno == EACCES;
  }

  bool is_dir(const std::string& path) override {
    std::error_code code;
    return fs::is_directory(path, code);
  }

  Result<std::uint64_t> file_size(const std::string& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return system_error("cannot stat", path, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    DIR* dir = ::opendir(path.c_str());
    if (dir == nullptr) return input_error("cannot list", path, errno);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(dir);
    std::ranges::sort(names);
    return names;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0)
      return system_error("cannot stat the file system of", path, errno);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::unique_ptr<FileMemory>> map_memory(const std::string& folder,
                                                 std::uint64_t bytes) override {
    CHECK_GT(bytes, 0U);
    RETURN_IF_ERROR(make_dirs(folder));
    // Asked first: filling a disk to the brim to find that out would hurt others.
    ASSIGN_OR_RETURN(const std::uint64_t free, free_bytes(folder));
    const auto too_small = [&] {
      return failed("{}: a file of {:.1f} GB is wanted, but the file system has {:.1f} GB free",
                    folder, static_cast<double>(bytes) * 1e-9, static_cast<double>(free) * 1e-9);
    };
    if (bytes > free) return too_small();
    const int fd = open_nameless(folder);
    if (fd < 0) return system_error("cannot make a file in", folder, errno);
    int code = take_space(fd, bytes);
    void* data = nullptr;
    if (code == 0) {
      data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (data == MAP_FAILED) code = errno;
    }
    ::close(fd);
    if (code == ENOSPC || code == EFBIG || code == EDQUOT) return too_small();
    if (code != 0) return system_error("cannot map a file in", folder, code);
    return std::unique_ptr<FileMemory>(std::make_unique<PosixMemory>(data, bytes));
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return system_error("cannot open", path, errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      ::close(fd);
      if (code == EWOULDBLOCK) return failed("{} is held by another process", path);
      return system_error("cannot lock", path, code);
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixLock>(fd));
  }

 private:
  static Result<std::unique_ptr<FileWriter>> open_writer(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0) {
      Error error = system_error("cannot create", path, errno);
      error.kind = ErrorKind::failed;
      return error;
    }
    return std::unique_ptr<FileWriter>(std::make_unique<PosixWriter>(fd, path));
  }
};

}  // namespace

Env& Env::real() {
  static PosixEnv env;
  return env;
}

Status Env::write_file(const std::string& path, std::string_view content) {
  const std::string temp = path + ".tmp";
  {
    ASSIGN_OR_RETURN(auto writer, create(temp));
    Status status = writer->append(content);
    if (status.ok()) status = writer->sync();
    if (status.ok()) status = writer->close();
    if (!status.ok()) {
      writer.reset();
      (void)remove_all(temp);
      return status;
    }
  }
  if (Status status = rename(temp, path); !status.ok()) {
    (void)remove_all(temp);
    return status;
  }
  return sync_dir(parent_path(path));
}

std::string join_path(std::string_view folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}
std::string parent_path(std::string_view path) {
  return fs::path(path).parent_path().string();
}
std::string file_name(std::string_view path) {
  return fs::path(path).filename().string();
}

}  // namespace boreal
