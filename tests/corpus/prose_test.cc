#include "corpus/prose.h"

#include <gmock/gmock.h>

#include "tests/corpus/files.h"

namespace boreal::corpus {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ProseTest : public FileTest {};

TEST_F(ProseTest, PlainTextIsOneStreamWhoseLastShareValidates) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "line " + std::to_string(100 + i) + "\n";
  const auto prose = read_plain_text(env, file("a.txt", text), {.source = "a", .validation = 0.1});
  ASSERT_EQ(prose->documents.size(), 2U);
  EXPECT_EQ(prose->documents[0].text + prose->documents[1].text, text);
  EXPECT_TRUE(prose->documents[0].text.ends_with("line 189\n"));
  EXPECT_TRUE(prose->documents[1].validation);
  EXPECT_EQ(prose->documents[1].from.row, 91);
}

TEST_F(ProseTest, WithoutValidationOrLinesTheTextStaysWhole) {
  EXPECT_EQ(read_plain_text(env, file("a.txt", "a\nb\n"), {.source = "a", .validation = 0})
                ->documents.size(),
            1U);
  EXPECT_EQ(
      read_plain_text(env, file("a.txt", "no line border"), {.source = "a"})->documents.size(), 1U);
  EXPECT_THAT(
      message_of(read_plain_text(env, file("e.txt", ""), {.source = "a"}), ErrorKind::refused),
      HasSubstr("an empty text"));
}

TEST_F(ProseTest, JsonLinesAreDocumentsSplitByHash) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "{\"meta\": {\"n\": [1]}, \"body\": \"text " + std::to_string(i) + "\"}\n";
  text += "{\"body\": \"\"}\n";
  const auto prose = read_json_documents(env, file("a.jsonl", text),
                                         {.source = "a", .field = "body", .validation = 0.25});
  ASSERT_TRUE(prose.ok()) << prose.error().message;
  EXPECT_EQ(prose->read, 41);
  ASSERT_EQ(prose->documents.size(), 40U);
  int validation = 0;
  for (const auto& d : prose->documents) validation += d.validation ? 1 : 0;
  EXPECT_EQ(validation, 10);
  EXPECT_EQ(prose->dropped.count("empty text"), 1);
  const auto fewer = read_json_documents(env, join_path(dir, "a.jsonl"),
                                         {.source = "a", .field = "body", .records_max = 7});
  EXPECT_EQ(fewer->documents.size(), 7U);
  EXPECT_EQ(fewer->dropped.count("record beyond max_records"), 33);
}

TEST_F(ProseTest, ALineWithoutTheFieldIsRefused) {
  const std::string path = file("a.jsonl", "{\"text\": \"x\"}\n{\"body\": \"y\"}\n");
  EXPECT_THAT(message_of(read_json_documents(env, path, {.source = "a"}), ErrorKind::refused),
              AllOf(HasSubstr("a.jsonl:2"), HasSubstr("no key 'text'"), HasSubstr("'body'")));
  EXPECT_THAT(
      message_of(read_json_documents(env, file("b.jsonl", "{\"text\": 3}\n"), {.source = "a"}),
                 ErrorKind::refused),
      HasSubstr("'text' is no text but 3"));
  EXPECT_THAT(message_of(read_json_documents(env, file("c.jsonl", "\n"), {.source = "a"}),
                         ErrorKind::refused),
              HasSubstr("no JSON line"));
}

}  // namespace
}  // namespace boreal::corpus
