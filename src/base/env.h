// Env: the only door to files. Everything that reads or writes goes through it, so tests can put a
// full disk, a failing write or a cut in its place. Paths are UTF-8; relative ones are relative to
// the working directory. Errors are Results whose message names the path and the system's reason.
// Thread rule: all methods from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace boreal {

// Sequential writer of one file. Nothing is promised to be on disk before sync(). Destroying it
// closes without sync.
class FileWriter {
 public:
  virtual ~FileWriter() = default;
  virtual Status append(std::span<const std::byte> bytes) = 0;
  virtual Status sync() = 0;
  virtual Status close() = 0;
  Status append(std::string_view text) { return append(std::as_bytes(std::span(text))); }
};

// A whole file mapped read-only; the mapping lives as long as the object.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::span<const std::byte> bytes() const = 0;
};

// Memory that the system may keep in a file instead of in its own: mapped shared, zero at first.
// The file has no name, so nothing of it is left when the object goes or the process is killed.
class FileMemory {
 public:
  virtual ~FileMemory() = default;
  virtual std::span<std::byte> bytes() = 0;
};

// Held while the object lives; released by the system if the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class Env {
 public:
  virtual ~Env() = default;

  virtual Result<std::string> read_file(const std::string& path) = 0;
  virtual Result<std::unique_ptr<MappedFile>> map_file(const std::string& path) = 0;
  // Truncates an existing file, or appends to it.
  virtual Result<std::unique_ptr<FileWriter>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<FileWriter>> append_to(const std::string& path) = 0;
  virtual Status truncate(const std::string& path, std::uint64_t size_bytes) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // Removes a file or a folder with all it holds; a missing path is no error.
  virtual Status remove_all(const std::string& path) = 0;
  virtual Status make_dirs(const std::string& path) = 0;
  // Makes a rename or a new entry in the folder durable.
  virtual Status sync_dir(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual bool is_dir(const std::string& path) = 0;
  virtual Result<std::uint64_t> file_size(const std::string& path) = 0;
  // Names (not paths) in the folder, sorted.
  virtual Result<std::vector<std::string>> list_dir(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  // Memory in a nameless file of the folder, which is made if need be. All of it is taken on disk
  // at once: an error of kind failed where the file system has not that much, with what it has.
  virtual Result<std::unique_ptr<FileMemory>> map_memory(const std::string& folder,
                                                         std::uint64_t bytes) {
    return failed("{}: no {} bytes of memory in files here", folder, bytes);
  }
  // Exclusive lock on a file that is created if need be. Error of kind failed if another process
  // holds it.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;

  // Writes to "path.tmp", syncs, renames over path and syncs the folder: a reader sees the old or
  // the new file, whole.
  Status write_file(const std::string& path, std::string_view content);

  static Env& real();
};

// "a/b" + "c" -> "a/b/c"; an absolute second part stands alone.
std::string join_path(std::string_view folder, std::string_view name);
std::string parent_path(std::string_view path);
std::string file_name(std::string_view path);

}  // namespace boreal
