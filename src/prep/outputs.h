// The output folder of a prep: who works in it, and whose files stand in it. Every file or folder
// of a stage appears whole (rename) or not at all, and the folder holds the files of one stamp
// only, so what a killed rank left is right as far as it goes.
//
//   prep/lock           held by a lone rank as long as it works, by one of several while it comes
//   prep/ranks/<rank>   held by each of several ranks as long as it works
//   prep/claims/        one lock a unit: who holds it makes the unit
//   prep/units/         what ranks tell one another of a unit, with stamp and hash
//   prep/partial/       half-made files, a folder for each rank and process
//
// Thread rule: one owner.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/result.h"
#include "prep/prep.h"

namespace boreal::prep {

class Outputs {
 public:
  // Takes this rank's place in the folder and removes what a prep of another stamp left there (only
  // what prep writes). kind failed if a lone prep, this rank, or ranks of another stamp are at work
  // in it.
  static Result<Outputs> open(Env& env, const std::string& out_dir, const std::string& stamp,
                              const PrepOptions& options);
  Outputs(Outputs&& other) = default;
  Outputs& operator=(Outputs&&) = delete;
  ~Outputs();

  std::string path(const std::string& relative) const { return join_path(out_dir_, relative); }

  // A path that is nobody else's, its folder made. Gone with this object.
  Result<std::string> work_path(const std::string& relative);
  // Puts the content at `relative`, durably.
  Status commit_file(const std::string& relative, std::string_view content);
  // Puts a folder that was filled at work_path(relative) at `relative`, for what stood there.
  // Durable once the folder above it is synced: one time for all.
  Status commit_folder(const std::string& relative);

  // The right to make a unit; none while another has it. A lone rank has it always.
  Result<std::optional<std::unique_ptr<FileLock>>> claim(const std::string& unit);
  std::string claim_path(const std::string& unit) const { return path("prep/claims/" + unit); }

  // What is known of a unit, for this rank and for the others. Not synced: what a lost machine
  // leaves of it is told by its hash, and made again.
  Status tell(const std::string& unit, std::string payload);
  // Nothing if nobody told it, or it is damaged, or of another stamp.
  std::optional<std::string> told(const std::string& unit) const;
  // Told under this stamp and as long as it was; what is in it only told() looks at.
  bool is_told(const std::string& unit) const;
  std::string told_path(const std::string& unit) const { return path("prep/units/" + unit); }

  // This rank needs no more of what was told in a stage.
  void forget(const std::string& stage);

  // Removes claims, what ranks told one another, and half-made files, once prep.json is there. What
  // cannot be removed stays.
  void tidy();

 private:
  Outputs(Env& env, std::string out_dir, std::string stamp, const PrepOptions& options);
  Status begin();
  Status put(const std::string& from, const std::string& to);
  Status take_place();
  Result<std::unique_ptr<FileLock>> gate();
  Result<bool> others_work() const;

  Env* env_;
  std::string out_dir_;
  std::string stamp_;
  PrepOptions options_;
  bool lone_;
  std::string work_;
  std::unique_ptr<FileLock> lock_;
  std::map<std::string, std::string> told_;  // of a lone rank
};

}  // namespace boreal::prep
