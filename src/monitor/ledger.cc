#include "monitor/ledger.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "monitor/escape.h"
#include "monitor/number_text.h"

namespace boreal::monitor {

namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;
constexpr std::size_t kDifferencesShown = 12;
constexpr std::size_t kNamesShown = 3;

std::string holder_text(double wall_s) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("process {} on host {} since {}\n", ::getpid(), host, utc_text(wall_s));
}

Json to_json(const StageRecord& stage) {
  return Json{{"name", stage.name},
              {"input_hash", stage.input_hash},
              {"start", utc_text(stage.start_s)},
              {"start_s", stage.start_s},
              {"wall_s", stage.wall_s},
              {"peak_rss_bytes", stage.peak_rss_bytes},
              {"attempts", stage.attempts},
              {"done", stage.done}};
}

StageRecord stage_from(const Json& json) {
  return {.name = json.at("name").get<std::string>(),
          .input_hash = json.at("input_hash").get<std::string>(),
          .start_s = json.at("start_s").get<double>(),
          .wall_s = json.at("wall_s").get<double>(),
          .peak_rss_bytes = json.value("peak_rss_bytes", std::int64_t{0}),  // early ones lack it
          .attempts = json.at("attempts").get<std::int64_t>(),
          .done = json.at("done").get<bool>()};
}

Error another_spec(const std::string& folder, const RunIdentity& identity,
                   const std::string& hash_before, const std::string& yaml_before) {
  std::string message =
      fmt::format("{} was written by another spec: its hash is {}, this spec's is {}", folder,
                  hash_before, identity.spec_hash);
  if (!identity.resolved_yaml.empty() && !yaml_before.empty()) {
    const auto lines = differing_keys(identity.resolved_yaml, yaml_before, identity.not_hashed);
    for (std::size_t i = 0; i < std::min(lines.size(), kDifferencesShown); ++i)
      message += "\n  " + printable_line(lines[i]);
    if (lines.size() > kDifferencesShown)
      message += fmt::format("\n  and {} more", lines.size() - kDifferencesShown);
  }
  message += "\nGive another --out, or remove that folder.";
  return {message, ErrorKind::refused};
}

// A folder without run.json may hold what a run leaves that was killed before it wrote that.
Status check_ours(Env& env, const std::string& folder) {
  if (!env.is_dir(folder) || env.exists(join_path(folder, "run.json"))) return Done{};
  ASSIGN_OR_RETURN(auto names, env.list_dir(folder));
  std::erase_if(names,
                [](const std::string& name) { return name == ".lock" || name == "run.json.tmp"; });
  if (names.empty()) return Done{};
  std::string held = printable_line(names[0]);
  for (std::size_t i = 1; i < std::min(names.size(), kNamesShown); ++i)
    held += ", " + printable_line(names[i]);
  if (names.size() > kNamesShown) held += fmt::format(" and {} more", names.size() - kNamesShown);
  return refused(
      "{} is not empty and no boreal output folder (it has no run.json; it holds {}): give another "
      "--out",
      folder, held);
}

}  // namespace

Result<RunLedger> RunLedger::open(Env& env, const Clock& clock, const std::string& out_folder,
                                  const RunIdentity& identity) {
  RETURN_IF_ERROR(check_ours(env, out_folder));
  RETURN_IF_ERROR(env.make_dirs(out_folder));
  RunLedger ledger(env, clock, out_folder);
  RETURN_IF_ERROR(ledger.take_lock());
  RETURN_IF_ERROR(ledger.read(identity));
  ledger.spec_hash_ = identity.spec_hash;
  ledger.facts_ = identity.facts;
  if (ledger.created_.empty()) ledger.created_ = utc_text(clock.wall_s());
  // run.json first: it says whose the folder is.
  RETURN_IF_ERROR(ledger.write());
  if (!identity.resolved_yaml.empty())
    RETURN_IF_ERROR(env.write_file(join_path(out_folder, "resolved.yaml"), identity.resolved_yaml));
  return ledger;
}

RunLedger::~RunLedger() {
  if (lock_ == nullptr || running_.empty()) return;
  count_attempt(*find(running_));
  (void)write();  // an error has been told already
}

Status RunLedger::take_lock() {
  const std::string path = join_path(folder_, ".lock");
  auto lock = env_->lock(path);
  if (!lock.ok()) {
    Error error = std::move(lock).error();
    // The holder writes its name after it has the lock, and a dead one's name stays: only a held
    // lock's content means something.
    if (error.message.find("held by another process") == std::string::npos) return error;
    const auto holder = env_->read_file(path);
    std::string who = holder.ok() ? holder.value() : "";
    while (!who.empty() && who.back() == '\n') who.pop_back();
    return failed("{} is in use by {}", folder_,
                  who.empty() ? "another process" : printable_line(who));
  }
  lock_ = std::move(lock).value();
  // In place, never by rename: the lock belongs to the file, not to its name.
  ASSIGN_OR_RETURN(auto file, env_->create(path));
  RETURN_IF_ERROR(file->append(holder_text(clock_->wall_s())));
  return file->close();
}

Status RunLedger::read(const RunIdentity& identity) {
  const std::string path = join_path(folder_, "run.json");
  if (!env_->exists(path)) return Done{};
  ASSIGN_OR_RETURN(const std::string text, env_->read_file(path));
  std::string hash_before;
  std::map<std::string, std::string> facts_before;
  try {
    const Json json = Json::parse(text);
    if (const int format = json.at("format").get<int>(); format != kFormat)
      return refused("{}: format {}, this program reads format {}", path, format, kFormat);
    hash_before = json.at("spec_hash").get<std::string>();
    created_ = json.at("created").get<std::string>();
    facts_before = json.at("facts").get<std::map<std::string, std::string>>();
    for (const Json& stage : json.at("stages")) stages_.push_back(stage_from(stage));
  } catch (const Json::exception& error) {
    return refused("{} is damaged: {}; give another --out, or remove the folder", path,
                   printable_line(error.what()));
  }
  if (hash_before != identity.spec_hash) {
    ASSIGN_OR_RETURN(const bool worthless, is_worthless());
    if (worthless) {
      stages_.clear();
      return Done{};
    }
    const auto yaml_before = env_->read_file(join_path(folder_, "resolved.yaml"));
    return another_spec(folder_, identity, hash_before,
                        yaml_before.ok() ? yaml_before.value() : "");
  }
  for (const auto& [key, value] : identity.facts) {
    const auto found = facts_before.find(key);
    if (found != facts_before.end() && found->second != value)
      changed_facts_.push_back(fmt::format("{}: {}, was {}", key, value, found->second));
  }
  return Done{};
}

Result<bool> RunLedger::is_worthless() const {
  if (std::ranges::any_of(stages_, &StageRecord::done)) return false;
  const std::string checkpoints = join_path(folder_, "checkpoints");
  if (!env_->is_dir(checkpoints)) return true;
  ASSIGN_OR_RETURN(const auto names, env_->list_dir(checkpoints));
  return names.empty();
}

Status RunLedger::write() const {
  Json json = {{"format", kFormat}, {"spec_hash", spec_hash_}, {"created", created_}};
  json["facts"] = Json(facts_);
  json["stages"] = Json::array();
  for (const StageRecord& stage : stages_) json["stages"].push_back(to_json(stage));
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace);
  return env_->write_file(join_path(folder_, "run.json"), text + "\n");
}

StageRecord* RunLedger::find(std::string_view stage) {
  const auto found = std::ranges::find(stages_, stage, &StageRecord::name);
  return found == stages_.end() ? nullptr : &*found;
}

bool RunLedger::is_done(std::string_view stage, std::string_view input_hash) const {
  return std::ranges::any_of(stages_, [&](const StageRecord& record) {
    return record.name == stage && record.done && record.input_hash == input_hash;
  });
}

Status RunLedger::begin(std::string_view stage, std::string_view input_hash) {
  StageRecord* record = find(stage);
  if (record == nullptr) record = &stages_.emplace_back(StageRecord{.name = std::string(stage)});
  before_ = *record;
  if (record->input_hash != input_hash) *record = {.name = std::string(stage)};
  record->input_hash = input_hash;
  record->start_s = clock_->wall_s();
  record->attempts += 1;
  record->done = false;
  began_s_ = clock_->now_s();
  running_ = stage;
  return write();
}

void RunLedger::count_attempt(StageRecord& record) const {
  record.wall_s += clock_->now_s() - began_s_;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  record.peak_rss_bytes =
      std::max(record.peak_rss_bytes, static_cast<std::int64_t>(usage.ru_maxrss) * 1024);
}

Status RunLedger::finish(std::string_view stage) {
  CHECK_EQ(running_, stage);
  StageRecord* record = find(stage);
  count_attempt(*record);
  record->done = true;
  running_.clear();
  return write();
}

Status RunLedger::found_done(std::string_view stage) {
  CHECK(before_ && before_->name == stage && running_.empty());
  // A first attempt keeps its record: what it found was made by a process that was killed since.
  if (before_->attempts == 0) return Done{};
  StageRecord* record = find(stage);
  before_->done = true;
  before_->input_hash = record->input_hash;
  *record = *before_;
  return write();
}

std::int64_t RunLedger::peak_rss_bytes() const {
  std::int64_t peak = 0;
  for (const StageRecord& stage : stages_) peak = std::max(peak, stage.peak_rss_bytes);
  return peak;
}

}  // namespace boreal::monitor
