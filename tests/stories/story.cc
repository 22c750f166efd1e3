#include "tests/stories/story.h"

#include <algorithm>

namespace boreal::stories {

namespace {

constexpr const char* kFamilies =
    "families:\n"
    "  - {name: statement, pattern: \"{property} of {name} is {value} {unit}\"}\n"
    "  - {name: field, pattern: \"{name} {property}: {value} {unit}\"}\n"
    "  - {name: equation, pattern: \"{property}({name})={value} {unit}\"}\n"
    "styles:\n"
    "  - {name: style, pattern: \"{name}, its {property}? {value} {unit}\"}\n";

// Thirty stones with three properties each.
std::string stones() {
  constexpr const char* kColours[] = {"red", "blue", "green", "white", "black"};
  std::string csv = "name,mass (g),colour,age (a)\n";
  for (int i = 0; i < 30; ++i)
    csv += fmt::format("{}{},{},{},{}\n", static_cast<char>('A' + i % 26), i < 26 ? "ra" : "to",
                       11 + 7 * i, kColours[i % 5], 100 + 37 * i % 90);
  return csv;
}

constexpr int kSteps = 105;
constexpr const char* kSpec =
    "name: tiny\n"
    "seed: 7\n"
    "threads: 2\n"
    "data: {{root: ., sequence: 32, validation: 0.2, sources: [{{table: stones.csv}}]}}\n"
    "tokenizer: {{vocab: 300}}\n"
    "cards: {{families: families.yaml, heldout_every: 3}}\n"
    "model: {{family: llama, hidden: 32, layers: 2, heads: 2, ffn: 64, context: 32}}\n"
    "train: {{steps: {}, batch_sequences: 4}}\n"
    "optim: {{lr: 2.0e-3, warmup_steps: 5}}\n"
    "checkpoint: {{every_steps: 7}}\n"
    "eval: {{every_steps: 10}}\n";

}  // namespace

void Story::SetUp() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  dir = testing::TempDir() + "boreal_" + info->test_suite_name() + "_" + info->name();
  ASSERT_TRUE(env.remove_all(dir).ok());
  ASSERT_TRUE(env.make_dirs(dir).ok());
  file("stones.csv", stones());
  file("families.yaml", kFamilies);
  steps = kSteps;
  spec = file("tiny.yaml", fmt::format(kSpec, kSteps));
}

void Story::TearDown() {
  if (HasFailure()) return;  // the folder tells what happened
  ASSERT_TRUE(env.remove_all(dir).ok());
}

std::string Story::file(const std::string& name, const std::string& content) {
  EXPECT_TRUE(env.write_file(path(name), content).ok()) << name;
  return path(name);
}

std::string Story::read(const std::string& name) const {
  const auto text = env.read_file(path(name));
  EXPECT_TRUE(text.ok()) << text.error().message;
  return text.ok() ? *text : "";
}

void Story::flip(const std::string& name, std::size_t at, unsigned char mask) {
  std::string bytes = read(name);
  ASSERT_LT(at, bytes.size());
  bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ mask);
  file(name, bytes);
}

std::unique_ptr<Program> Story::start(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& launcher) {
  const std::string logs = path(fmt::format("logs/{}", ++started_));
  EXPECT_TRUE(env.make_dirs(logs).ok());
  return std::make_unique<Program>(dir, logs, arguments, launcher);
}

std::vector<std::string> Story::train_line(const std::string& out,
                                           const std::vector<std::string>& more) const {
  std::vector<std::string> line = {"train", "tiny.yaml", "--quiet", "--out", out};
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

void Story::trained(const std::string& out, const std::vector<std::string>& more) {
  const Outcome outcome = train(out, more);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
}

void Story::expect_error(const Outcome& outcome, int code, const std::vector<std::string>& texts) {
  EXPECT_EQ(outcome.signal, 0) << outcome.err;
  EXPECT_EQ(outcome.code, code) << outcome.err;
  for (const std::string& text : texts) EXPECT_THAT(outcome.err, testing::HasSubstr(text));
}

std::map<std::string, std::string> Story::files_of(const std::string& name) const {
  std::map<std::string, std::string> all;
  const auto names = env.list_dir(path(name));
  EXPECT_TRUE(names.ok()) << names.error().message;
  if (!names.ok()) return all;
  for (const std::string& each : *names)
    if (!env.is_dir(path(join_path(name, each)))) all[each] = read(join_path(name, each));
  return all;
}

void Story::expect_same_files(const std::string& folder, const std::string& other) const {
  const auto ours = files_of(folder);
  const auto theirs = files_of(other);
  EXPECT_FALSE(ours.empty()) << folder;
  EXPECT_EQ(ours.size(), theirs.size()) << folder << " and " << other;
  for (const auto& [name, content] : ours) {
    const auto found = theirs.find(name);
    // Not EXPECT_EQ, which would print them.
    EXPECT_TRUE(found != theirs.end() && found->second == content)
        << name << " of " << folder << " and " << other;
  }
}

std::vector<monitor::StepMetrics> Story::metrics(const std::string& out) const {
  auto rows = monitor::read_metrics(env, path(out + "/metrics.jsonl"));
  EXPECT_TRUE(rows.ok()) << rows.error().message;
  return rows.ok() ? std::move(rows).value() : std::vector<monitor::StepMetrics>{};
}

void Story::expect_same_metrics(const std::string& out, const std::string& other) const {
  const auto ours = metrics(out);
  const auto theirs = metrics(other);
  ASSERT_EQ(ours.size(), theirs.size()) << out << " and " << other;
  for (std::size_t i = 0; i < ours.size(); ++i)
    EXPECT_TRUE(monitor::equal_but_for_times(ours[i], theirs[i]))
        << monitor::metrics_line(ours[i]) << "\n"
        << monitor::metrics_line(theirs[i]);
}

std::vector<std::string> Story::checkpoints(const std::string& out) const {
  std::vector<std::string> kept;
  const auto names = env.list_dir(path(out + "/checkpoints"));
  if (!names.ok()) return kept;
  for (const std::string& name : *names)
    if (name.starts_with("step-")) kept.push_back(name);
  return kept;
}

std::vector<std::string> Story::leftovers(const std::string& folder) const {
  std::vector<std::string> found;
  const auto names = env.list_dir(path(folder));
  if (!names.ok()) return found;
  for (const std::string& name : *names) {
    const bool is_dir = env.is_dir(path(join_path(folder, name)));
    if (name.ends_with(".tmp") || name.starts_with(".old-") || name.starts_with(".trash-"))
      found.push_back(join_path(folder, name));
    else if (is_dir && name != "logs")
      for (const std::string& deeper : leftovers(join_path(folder, name))) found.push_back(deeper);
  }
  return found;
}

void Story::expect_first_rows(const std::string& out, const std::string& longer) const {
  const auto rows = metrics(out);
  const auto all = metrics(longer);
  ASSERT_FALSE(rows.empty());
  ASSERT_LE(rows.size(), all.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_TRUE(monitor::equal_but_for_times(rows[i], all[i])) << monitor::metrics_line(rows[i]);
}

}  // namespace boreal::stories
