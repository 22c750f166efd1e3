#include "eval/item.h"

#include <gmock/gmock.h>

namespace boreal::eval {
namespace {

using testing::HasSubstr;

class Items : public testing::Test {
 protected:
  void TearDown() override { ASSERT_TRUE(env.remove_all(path).ok()); }

  Result<std::vector<Item>> read(const std::string& content, std::int64_t max_items = 0) {
    EXPECT_TRUE(env.write_file(path, content).ok());
    return read_items(env, path, max_items);
  }
  void expect_refused(const std::string& content, const std::string& text) {
    const auto items = read(content);
    ASSERT_FALSE(items.ok()) << content;
    EXPECT_EQ(exit_code(items.error().kind), 3);
    EXPECT_THAT(items.error().message, HasSubstr(path)) << content;
    EXPECT_THAT(items.error().message, HasSubstr(text)) << content;
  }

  Env& env = Env::real();
  std::string path = testing::TempDir() + "boreal_items_" +
                     testing::UnitTest::GetInstance()->current_test_info()->name() + ".jsonl";
};

constexpr const char* kGood =
    R"({"task":"t","bundle":"b","table":"x","record":"Ira","property":"mass","family":"f",)"
    R"("prompt":"Ira mass: ","answer":"7","commonest":0.25})"
    "\n";
constexpr const char* kChoice =
    R"({"task":"c","bundle":"b","prompt":"p","answer":"7","choices":["6","7"],"answer_index":1})"
    "\n";

TEST_F(Items, AreReadWithAllTheirFields) {
  const auto items = read(std::string(kGood) + "\n" + kChoice);
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 2U);
  const Item& first = items->front();
  EXPECT_EQ(first.record, "Ira");
  EXPECT_EQ(first.prompt, "Ira mass: ");
  EXPECT_EQ(first.answer, "7");
  EXPECT_EQ(first.commonest, 0.25);
  EXPECT_TRUE(first.choices.empty());
  EXPECT_EQ(items->back().choices, (std::vector<std::string>{"6", "7"}));
  EXPECT_EQ(items->back().answer_index, 1U);
}

TEST_F(Items, ThatAreDamagedAreRefusedWithFileLineAndReason) {
  const std::string good = kGood;
  expect_refused(good + good.substr(0, 40), ":2: not a JSON object");
  expect_refused("", "no items in 0 bytes");
  expect_refused("\n\n", "no items in 2 bytes");
  expect_refused("[1,2]\n", ":1: not a JSON object");
  expect_refused(R"({"bundle":"b","prompt":"p","answer":"a"})", "task");
  expect_refused(R"({"task":7,"bundle":"b","prompt":"p","answer":"a"})", "string");
  expect_refused(R"({"task":"t","bundle":"b","prompt":"","answer":"a"})", "empty prompt");
  const std::string choices =
      R"({"task":"t","bundle":"b","prompt":"p","answer":"a","choices":["a","b"],"answer_index":)";
  expect_refused(choices + "2}", "answer_index 2 of 2 choices");
  expect_refused(choices + "-1}", "answer_index");
  expect_refused(choices + "\"1\"}", "number");
  const auto missing = read_items(env, path + ".gone", 0);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr(path + ".gone"));
}

TEST_F(Items, AreChosenByTheirOwnHashAndStayInOrder) {
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += fmt::format(R"({{"task":"t","bundle":"b","prompt":"p{:02}","answer":"a"}})", i) + "\n";
  const auto prompts = [&](const std::string& content, std::int64_t max) {
    std::vector<std::string> list;
    const auto items = read(content, max);
    for (const Item& item : *items) list.push_back(item.prompt);
    return list;
  };
  const auto ten = prompts(all, 10);
  EXPECT_EQ(ten.size(), 10U);
  EXPECT_TRUE(std::ranges::is_sorted(ten));
  EXPECT_NE(ten.back(), "p09") << "the first ten are no sample";
  // An item that is not chosen may go without changing the choice.
  for (int i = 0; i < 50; ++i) {
    const std::string prompt = fmt::format("p{:02}", i);
    if (std::ranges::find(ten, prompt) != ten.end()) continue;
    const auto at = all.find(prompt);
    const auto begin = all.rfind('\n', at) + 1;
    EXPECT_EQ(prompts(std::string(all).erase(begin, all.find('\n', at) + 1 - begin), 10), ten);
    break;
  }
  EXPECT_EQ(prompts(all, 50).size(), 50U);
  EXPECT_EQ(prompts(all, 0).size(), 50U);
}

}  // namespace
}  // namespace boreal::eval
