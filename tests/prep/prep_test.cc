#include "prep/prep.h"

#include <gmock/gmock.h>

#include <set>

#include "corpus/sheet.h"
#include "tests/prep/prep_fixture.h"

namespace boreal::prep {
namespace {

using corpus::message_of;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class PrepTest : public PrepFixture {};

TEST_F(PrepTest, ATableBecomesShardsItemsFactsAndASummary) {
  add_table("planets.csv", planets(40));
  const PrepSummary s = prepared(out);
  EXPECT_FALSE(s.skipped);
  EXPECT_EQ(s.tables, 1);
  EXPECT_EQ(s.records, 40);
  EXPECT_EQ(s.facts, 160);
  EXPECT_EQ(s.facts_trained, 36 * 4);
  EXPECT_EQ(s.facts_validation, 4 * 4);
  // Three families, one held out for each property (the fourth property has family 0 held out
  // again).
  EXPECT_EQ(s.documents, 160 * 2);
  EXPECT_EQ(s.sources[0].documents_valid, 16 * 2);
  EXPECT_EQ(texts("shards/planets/train").size(), 36U * 4U * 2U);
  EXPECT_EQ(s.eval_items.at("recall_seen"), 36 * 4);
  EXPECT_EQ(s.eval_items.at("recall_heldout"), 36 * 4);
  EXPECT_EQ(s.eval_items.at("recall_style"), 36 * 4);
  const auto facts = corpus::read_sheet(env, join_path(out, "facts.csv"));
  EXPECT_EQ(facts->rows.size(), 160U);
  EXPECT_EQ(s.names_unstable, 0);
  EXPECT_EQ(*read_summary(env, out).value().sources.begin(), s.sources[0]);
}

TEST_F(PrepTest, OnlyAnswersAndEndTokensCountInTheLoss) {
  add_table("planets.csv", planets(30));
  prepared(out);
  for (const Text& t : texts("shards/planets/train")) {
    EXPECT_TRUE(t.text.ends_with(t.in_loss)) << t.text << " / " << t.in_loss;
    EXPECT_FALSE(t.in_loss.empty());
    EXPECT_EQ(t.in_loss.find(t.from["record"].get<std::string>()), std::string::npos);
    EXPECT_LT(t.in_loss.size(), 12U) << t.in_loss;
  }
}

TEST_F(PrepTest, ValidationRecordsAreNeverTrainedOrAsked) {
  add_table("planets.csv", planets(40));
  prepared(out);
  std::set<std::string> kept;
  for (const Text& t : texts("shards/planets/valid")) kept.insert(t.from["record"]);
  EXPECT_EQ(kept.size(), 4U);
  for (const Text& t : texts("shards/planets/train")) EXPECT_FALSE(kept.contains(t.from["record"]));
  for (const json& item : items("recall_seen")) EXPECT_FALSE(kept.contains(item["record"]));
}

TEST_F(PrepTest, ItemsAskInTrainedHeldOutAndUntrainedWords) {
  add_table("planets.csv", planets(40));
  prepared(out);
  std::set<std::string> trained;
  for (const Text& t : texts("shards/planets/train")) trained.insert(t.text);
  const auto whole = [](const json& item) {
    return item["prompt"].get<std::string>() + item["answer"].get<std::string>();
  };
  for (const json& item : items("recall_seen"))
    EXPECT_TRUE(trained.contains(whole(item))) << whole(item);
  for (const json& item : items("recall_heldout"))
    EXPECT_FALSE(trained.contains(whole(item))) << whole(item);
  for (const json& item : items("recall_style")) {
    EXPECT_FALSE(trained.contains(whole(item)));
    EXPECT_EQ(item["family"], "style");
  }
}

TEST_F(PrepTest, ChoicesAreFourDistinctValuesOfTheSamePropertyWithTheRightOneAtItsIndex) {
  add_table("planets.csv", planets(40));
  prepared(out);
  std::map<std::string, std::set<std::string>>
      values;  // property -> trained answers, without punctuation
  for (const json& item : items("recall_seen")) {
    std::string answer = item["answer"];
    if (answer.ends_with('.')) answer.pop_back();
    values[item["property"]].insert(answer);
  }
  std::set<std::size_t> places;
  const auto all = items("choice");
  ASSERT_GT(all.size(), 100U);
  for (const json& item : all) {
    ASSERT_EQ(item["choices"].size(), 4U);
    const std::set<std::string> distinct(item["choices"].begin(), item["choices"].end());
    EXPECT_EQ(distinct.size(), 4U);
    EXPECT_EQ(item["choices"][item["answer_index"].get<std::size_t>()], item["answer"]);
    places.insert(item["answer_index"].get<std::size_t>());
    for (std::string choice : distinct) {
      if (choice.ends_with('.')) choice.pop_back();
      EXPECT_TRUE(values[item["property"]].contains(choice)) << choice;
    }
  }
  EXPECT_EQ(places.size(), 4U);
}

TEST_F(PrepTest, TheCommonestValueIsCountedOverTrainedFacts) {
  std::string csv = "name,state,number\n";
  for (int i = 0; i < 20; ++i) csv += fmt::format("r{},{},{}\n", i, i < 15 ? "solid" : "gas", i);
  add_table("t.csv", csv);
  spec.data.validation = 0;
  prepared(out);
  for (const json& item : items("recall_seen")) {
    EXPECT_DOUBLE_EQ(item["commonest"].get<double>(), item["property"] == "state" ? 0.75 : 0.05);
  }
  // Two values cannot make four choices.
  for (const json& item : items("choice")) EXPECT_EQ(item["property"], "number");
}

TEST_F(PrepTest, WhatIsTooLongToBeTrainedIsNotAsked) {
  std::string csv = "name,story,number\n";
  for (int i = 0; i < 20; ++i) {
    csv += fmt::format("r{},{}{},{}\n", i, i < 5 ? std::string(90, '1') + " " : "", i, i);
  }
  add_table("t.csv", csv);
  spec.data.validation = 0;
  spec.data.sequence = 64;
  const PrepSummary s = prepared(out);
  EXPECT_EQ(s.sources[0].dropped.at("fact longer than the context").count, 5 * 2);
  EXPECT_EQ(s.documents, 35 * 2);
  for (const char* task : {"recall_seen", "recall_heldout", "recall_style"}) {
    EXPECT_EQ(s.eval_items.at(task), 35) << task;
  }
}

TEST_F(PrepTest, WithThePatternGpt2ThePromptEndsBeforeTheBlank) {
  add_table("planets.csv", planets(30));
  spec.tokenizer.pattern = "gpt2";
  prepared(out);
  for (const json& item : items("recall_seen")) {
    EXPECT_FALSE(item["prompt"].get<std::string>().ends_with(' '));
    EXPECT_TRUE(item["answer"].get<std::string>().starts_with(' '));
  }
}

TEST_F(PrepTest, RecordsInOneDocumentFitTheSequenceAndRepeatTheirHeader) {
  std::string csv = "name";
  for (int p = 0; p < 25; ++p) csv += fmt::format(",property number {}", p);
  csv += "\n";
  for (int r = 0; r < 8; ++r) {
    csv += fmt::format("record {}", r);
    for (int p = 0; p < 25; ++p) csv += fmt::format(",{}", 1000 + 31 * r + p);
    csv += "\n";
  }
  add_table("wide.csv", csv);
  spec.cards.facts_per_document = 0;
  spec.data.sequence = 120;
  const PrepSummary s = prepared(out);
  const auto shard = tokens::ShardReader::open(env, join_path(out, "shards/wide/train"));
  std::int64_t longest = 0;
  for (std::int64_t d = 0; d < shard->info().documents; ++d) {
    longest = std::max(longest, shard->document_tokens(d));
  }
  EXPECT_LE(longest, 120);
  EXPECT_GT(longest, 90);
  EXPECT_LT(s.documents, 8 * 25);
  for (const Text& t : texts("shards/wide/train")) {
    const std::string record = t.from["record"];
    EXPECT_TRUE(t.text.starts_with(record + "\n")) << t.text;
  }
}

TEST_F(PrepTest, MaxFactsIsTheNumberOfTrainedFacts) {
  add_table("a.csv", planets(40));
  std::string csv = "name,age,size,use\n";
  for (int i = 0; i < 30; ++i) csv += fmt::format("tool {},{},{},{}\n", i, i + 3, 2 * i, 3 * i);
  add_table("b.csv", csv);
  spec.cards.max_facts = 50;
  const PrepSummary s = prepared(out);
  EXPECT_EQ(s.facts_trained, 50);
  EXPECT_EQ(s.sources[0].facts_trained, 25);
  EXPECT_EQ(s.eval_items.at("recall_seen"), 50);
  const auto facts = corpus::read_sheet(env, join_path(out, "facts.csv"));
  std::int64_t trained = 0;
  for (const auto& row : facts->rows) trained += row[facts->column("split")] == "train" ? 1 : 0;
  EXPECT_EQ(trained, 50);
}

TEST_F(PrepTest, TheFirstShareOfAShardHoldsAllCardsOfTheSameShareOfTheRecords) {
  add_table("planets.csv", planets(100));
  spec.data.validation = 0;
  prepared(out);
  const auto all = texts("shards/planets/train");
  std::set<std::string> first, later;
  for (std::size_t i = 0; i < all.size(); ++i)
    (i < all.size() / 5 ? first : later).insert(all[i].from["record"].get<std::string>());
  EXPECT_EQ(first.size(), 20U);
  for (const auto& record : first) EXPECT_FALSE(later.contains(record)) << record;
  // Neighbours are mostly of different records.
  std::size_t same = 0;
  for (std::size_t i = 1; i < all.size(); ++i)
    same += all[i].from["record"] == all[i - 1].from["record"] ? 1 : 0;
  EXPECT_LT(same, all.size() / 3);
}

TEST_F(PrepTest, TwoRunsWriteTheSameBytes) {
  add_table("planets.csv", planets(30));
  const auto first = contents(out, prepared(out));
  const std::string again = join_path(dir, "again");
  EXPECT_EQ(contents(again, prepared(again)), first);
}

TEST_F(PrepTest, AFinishedFolderIsNotDoneAgainUntilSomethingChanges) {
  add_table("planets.csv", planets(30));
  const PrepSummary first = prepared(out);
  EXPECT_TRUE(prepared(out).skipped);
  spec.optim.lr = 0.5;  // nothing that prep reads
  EXPECT_TRUE(prepared(out).skipped);
  spec.seed = 2;
  EXPECT_FALSE(prepared(out).skipped);
  spec.seed = 1;
  EXPECT_EQ(prepared(out).stamp, first.stamp);
  file("planets.csv", planets(31));
  const PrepSummary changed = prepared(out);
  EXPECT_FALSE(changed.skipped);
  EXPECT_EQ(changed.records, 31);
}

TEST_F(PrepTest, ALostOrCutFileIsMadeAgain) {
  add_table("planets.csv", planets(30));
  const PrepSummary first = prepared(out);
  const auto before = contents(out, first);
  for (const char* victim :
       {"shards/planets/train.bin", "tokenizer/tokenizer.json", "eval/choice.jsonl", "facts.csv"}) {
    const std::string path = join_path(out, victim);
    ASSERT_TRUE(env.truncate(path, 10).ok());
    EXPECT_FALSE(prepared(out).skipped) << victim;
    EXPECT_EQ(contents(out, first), before) << victim;
    ASSERT_TRUE(env.remove_all(path).ok());
    prepared(out);
    EXPECT_EQ(contents(out, first), before) << victim;
  }
}

TEST_F(PrepTest, ARunKilledAtAnyChangeIsCompletedByTheNext) {
  add_table("planets.csv", planets(12));
  add_table("more.csv", "name,a,b\nx,1,2\ny,3,4\nz,5,6\n");
  const PrepSummary whole = prepared(out);
  const auto expected = contents(out, whole);
  bool completed = false;
  for (std::int64_t changes = 0; !completed; changes += 1) {
    ASSERT_LT(changes, 400);
    const std::string folder = join_path(dir, "killed");
    ASSERT_TRUE(env.remove_all(folder).ok());
    FailingEnv failing;
    failing.changes_left = changes;
    const auto result = run(failing, spec, folder);
    completed = result.ok();
    if (!completed) {
      EXPECT_EQ(exit_code(result.error().kind), 1) << result.error().message;
      EXPECT_FALSE(read_summary(env, folder).ok());
    }
    EXPECT_EQ(contents(folder, prepared(folder)), expected) << "after " << changes << " changes";
  }
}

TEST_F(PrepTest, AnotherSpecsFilesDoNotStayBehind) {
  add_table("planets.csv", planets(12));
  add_table("more.csv", "name,a,b\nx,1,2\ny,3,4\nz,5,6\n");
  prepared(out);
  spec.data.sources.pop_back();
  prepared(out);
  EXPECT_FALSE(env.exists(join_path(out, "shards/more")));
  EXPECT_FALSE(env.exists(join_path(out, "tables/more.yaml")));
}

TEST_F(PrepTest, AReadersOwnTableNeedsNoYamlAndGetsADraft) {
  add_table("mine.tsv",
            "Compound\tboiling point (K)\tcolour\nfoo\t300\tred\nbar\t310\tblue\nbaz\t\tred\n");
  const PrepSummary s = prepared(out);
  EXPECT_EQ(s.sources[0].facts, 5);
  EXPECT_EQ(s.sources[0].bundle, "mine");
  EXPECT_THAT(env.read_file(join_path(out, "tables/mine.yaml")).value(),
              AllOf(HasSubstr("record: \"Compound\""),
                    HasSubstr("property: \"boiling point\", unit: \"K\"")));
}

TEST_F(PrepTest, ProseIsTokenisedWholeAndEveryTokenCounts) {
  std::string text, lines;
  for (int i = 0; i < 60; ++i) {
    text += "A line of the play, number " + std::to_string(i) + ".\n";
    lines += "{\"text\": \"Document " + std::to_string(i % 50) + " says little.\"}\n";
  }
  file("play.txt", text);
  file("docs.jsonl", lines);
  spec.data.sources.resize(2);
  spec.data.sources[0].text = "play.txt";
  spec.data.sources[1].jsonl = "docs.jsonl";
  const PrepSummary s = prepared(out);
  EXPECT_FALSE(env.exists(join_path(out, "facts.csv")));
  EXPECT_TRUE(s.eval_items.empty());
  const auto play = texts("shards/play/train");
  ASSERT_EQ(play.size(), 1U);
  EXPECT_EQ(play[0].in_loss, play[0].text);
  EXPECT_EQ(play[0].text + texts("shards/play/valid")[0].text, text);
  EXPECT_EQ(s.sources[1].read, 60);
  EXPECT_EQ(s.sources[1].documents_train + s.sources[1].documents_valid, 50);
  EXPECT_EQ(s.sources[1].dropped.at("exact duplicate").count, 10);
}

TEST_F(PrepTest, TokensThatAreFinishedAreLeftAlone) {
  spec.data.sources.resize(1);
  spec.data.sources[0].synthetic = true;
  const PrepSummary s = prepared(out);
  EXPECT_EQ(s.tokens, 0);
  EXPECT_TRUE(s.tokenizer_fingerprint.empty());
  EXPECT_EQ(s.sources[0].kind, "synthetic");
}

TEST_F(PrepTest, ANamedTokenizerIsUsedAndCopied) {
  add_table("planets.csv", planets(30));
  const std::string first = prepared(out).tokenizer_fingerprint;
  spec.data.tokenizer = join_path(out, "tokenizer/tokenizer.json");
  spec.cards.max_facts = 40;
  const std::string second = join_path(dir, "second");
  EXPECT_EQ(prepared(second).tokenizer_fingerprint, first);
  spec.data.tokenizer = "nowhere.json";
  EXPECT_THAT(message_of(run(env, spec, join_path(dir, "third")), ErrorKind::refused),
              AllOf(HasSubstr("nowhere.json"), HasSubstr("data.root")));
}

TEST_F(PrepTest, BadInputIsRefusedAndNothingCountsAsFinished) {
  const std::string good = planets(12);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"name,a\nx,1\ny\n", "row 2 has 1 cells and the header has 2"},
      {"name,a\n", "0 rows"},
      {"", "no header line"},
      {"name,a,a\nx,1,2\n", "both called 'a'"},
      {"name,a\nx,\xff\n", "byte 9 (0xff) is not UTF-8"},
      {"name,a\nx,\n", "no training document is left"}};
  for (const auto& [csv, expected] : cases) {
    spec.data.sources.clear();
    add_table("bad.csv", csv);
    EXPECT_THAT(message_of(run(env, spec, out), ErrorKind::refused),
                AllOf(HasSubstr("bad.csv"), HasSubstr(expected)));
    EXPECT_FALSE(env.exists(join_path(out, "prep.json")));
    EXPECT_FALSE(env.exists(join_path(out, "shards")));
  }
}

TEST_F(PrepTest, WrongSpecsAreUsageErrors) {
  const auto error = [&] { return message_of(run(env, spec, out), ErrorKind::usage); };
  EXPECT_THAT(error(), HasSubstr("data.sources is empty"));
  add_table("planets.csv", planets(12));
  spec.cards.heldout_every = 1;
  EXPECT_THAT(error(), HasSubstr("heldout_every is 1"));
  spec.cards.heldout_every = 3;
  spec.data.sources.push_back(spec.data.sources[0]);
  EXPECT_THAT(error(), HasSubstr("two sources are called 'planets'"));
  spec.data.sources[1].name = "again";
  EXPECT_THAT(error(), HasSubstr("both tables are called 'planets'"));
  spec.data.sources[1].name = "../up";
  EXPECT_THAT(error(), HasSubstr("names a folder"));
  spec.data.sources[1].text = "x.txt";
  EXPECT_THAT(error(), HasSubstr("2 of table, text"));
}

TEST_F(PrepTest, ADamagedSummaryIsRefusedAndMendedByARun) {
  add_table("planets.csv", planets(12));
  prepared(out);
  const std::string path = join_path(out, "prep.json");
  const std::string whole = env.read_file(path).value();
  for (const std::string& bad : {std::string("{"), std::string("[]"), std::string("{\"stamp\": 3}"),
                                 whole.substr(0, whole.size() / 2)}) {
    ASSERT_TRUE(env.write_file(path, bad).ok());
    EXPECT_THAT(message_of(read_summary(env, out), ErrorKind::refused), HasSubstr("damaged"));
    prepared(out);
    EXPECT_EQ(env.read_file(path).value(), whole);
  }
}

TEST_F(PrepTest, ProgressNamesStagesAndSources) {
  add_table("planets.csv", planets(12));
  std::set<std::string> stages;
  ASSERT_TRUE(run(env, spec, out, [&](const Progress& p) {
                stages.insert(p.stage);
                EXPECT_LE(p.done, p.total);
              }).ok());
  EXPECT_THAT(stages, testing::ElementsAre("eval", "read", "shards", "tokenizer"));
}

}  // namespace
}  // namespace boreal::prep
