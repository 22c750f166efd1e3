// A folder with tables, a spec that prepares them in milliseconds, and what a prep wrote.
// Everything is removed with the test. Thread rule: one thread's; many may prepare its spec.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "prep/prep.h"
#include "tests/corpus/files.h"
#include "tests/prep/failing_env.h"
#include "text/tokenizer.h"
#include "tokens/shard.h"

namespace boreal::prep {

inline constexpr const char* kFamilies =
    "families:\n"
    "  - {name: statement, pattern: \"The {property} of {name} is {value} {unit}.\"}\n"
    "  - {name: field, pattern: \"{name} | {property}: {value} {unit}\"}\n"
    "  - {name: question, pattern: \"What is the {property} of {name}? {value} {unit}\"}\n"
    "styles:\n"
    "  - {name: style, pattern: \"{name} and its {property}? {value} {unit}.\"}\n";

inline std::string planets(int records) {
  std::string csv = "name,mass (kg),radius (km),type,moons\n";
  const char* types[] = {"rock", "gas", "ice", "dwarf", "belt"};
  for (int i = 0; i < records; ++i) {
    csv += fmt::format("Planet {},{}e{},{},{},{}\n",
                       static_cast<char>('A' + i % 26) + std::string(i / 26 + 1, 'x'), i % 9 + 1,
                       20 + i % 7, 1000 + 37 * i, types[i % 5], i % 4);
  }
  return csv;
}

class PrepFixture : public corpus::FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    spec.data.root = dir;
    spec.data.validation = 0.1;
    spec.cards.families = file("families.yaml", kFamilies);
    spec.cards.heldout_every = 3;
    spec.tokenizer.vocab = 600;
    spec.model.vocab = 0;
    out = join_path(dir, "out");
  }

  void add_table(const std::string& name, const std::string& csv) {
    file(name, csv);
    spec::SourceSpec source;
    source.table = name;
    spec.data.sources.push_back(source);
  }

  PrepSummary prepared(const std::string& folder) {
    FailingEnv unfailing;
    auto result = run(unfailing, spec, folder);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  }

  // Every file that prep promises, by path.
  std::map<std::string, std::string> contents(const std::string& folder,
                                              const PrepSummary& summary) {
    std::map<std::string, std::string> all;
    for (const auto& [path, bytes] : summary.files)
      all[path] = env.read_file(join_path(folder, path)).value();
    all["prep.json"] = env.read_file(join_path(folder, "prep.json")).value();
    return all;
  }

  // The texts of a shard, with those parts that count in the loss.
  struct Text {
    std::string text;
    std::string in_loss;
    nlohmann::json from;
  };
  std::vector<Text> texts(const std::string& prefix) {
    const auto tokenizer = text::Tokenizer::load(env, join_path(out, "tokenizer/tokenizer.json"));
    const auto shard = tokens::ShardReader::open(env, join_path(out, prefix));
    EXPECT_TRUE(shard.ok()) << shard.error().message;
    EXPECT_TRUE(shard->verify().ok());
    std::vector<Text> all;
    for (std::int64_t d = 0; d < shard->info().documents; ++d) {
      auto ids = shard->ids_of(d);
      std::vector<std::uint8_t> loss(ids.size());
      shard->read_loss(shard->document_begin(d), loss);
      EXPECT_EQ(ids.back(), tokenizer->end_of_text());
      EXPECT_EQ(loss.back(), 1);
      ids.pop_back();
      std::vector<text::TokenId> counted;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (loss[i] == 1) counted.push_back(ids[i]);
      }
      all.push_back({tokenizer->decode(ids), tokenizer->decode(counted),
                     nlohmann::json::parse(*shard->provenance(d))});
    }
    return all;
  }

  std::vector<nlohmann::json> items(const std::string& task) {
    std::vector<nlohmann::json> all;
    const std::string lines = env.read_file(join_path(out, "eval/" + task + ".jsonl")).value();
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = lines.find('\n', begin);
      all.push_back(nlohmann::json::parse(lines.substr(begin, end - begin)));
      begin = end + 1;
    }
    return all;
  }

  spec::RunSpec spec;
  std::string out;
};

}  // namespace boreal::prep
