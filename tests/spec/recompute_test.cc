#include "spec/recompute.h"

#include <gtest/gtest.h>

namespace boreal::spec {
namespace {

std::string text_of(const std::string& text, std::size_t layers) {
  const auto parsed = parse_recompute(text, static_cast<std::int64_t>(layers));
  if (!parsed.ok()) return parsed.error().message;
  std::string letters;
  for (std::size_t i = 0; i < layers; ++i)
    letters += "-sf"[static_cast<std::size_t>(parsed->of(i))];
  return letters;
}

TEST(Recompute, OneWordIsForEveryBlock) {
  EXPECT_EQ(text_of("none", 4), "----");
  EXPECT_EQ(text_of("selective", 4), "ssss");
  EXPECT_EQ(text_of("full", 4), "ffff");
}

TEST(Recompute, AListNamesBlocksAndTheOthersKeepAll) {
  EXPECT_EQ(text_of("full 0-3", 6), "ffff--");
  EXPECT_EQ(text_of("full 0-1, selective 2-4", 6), "ffsss-");
  EXPECT_EQ(text_of("selective 5,full 0 , none 1", 6), "f----s");
}

TEST(Recompute, WhatItCannotMeanIsRefusedWithTheReason) {
  constexpr const char* kForm =
      "but must be none, selective, full, or a list of blocks as full 0-3, selective 4.";
  EXPECT_EQ(text_of("selektive", 4),
            std::string("train.recompute is \"selektive\", ") + kForm + " Did you mean selective?");
  EXPECT_EQ(text_of("", 4), std::string("train.recompute is \"\", ") + kForm);
  EXPECT_EQ(text_of("ful 0-1", 4),
            std::string("train.recompute is \"ful 0-1\", ") + kForm + " Did you mean full?");
  EXPECT_EQ(text_of("full 0-4", 4),
            "train.recompute is \"full 0-4\", but block 4 is not there: model.layers is 4, the "
            "last block 3.");
  EXPECT_EQ(text_of("full 0-1, selective 1", 4),
            "train.recompute is \"full 0-1, selective 1\", but names block 1 twice.");
  for (const char* item : {"full 2-1", "full -1", "full x", "full 0-", "full 0-1-2", "full "})
    EXPECT_NE(text_of(item, 4).find("names no blocks"), std::string::npos) << text_of(item, 4);
  EXPECT_NE(text_of("full, selective 1", 4).find("names no blocks"), std::string::npos);
  EXPECT_NE(text_of("full 0,", 4).find(kForm), std::string::npos);
  EXPECT_NE(text_of("full 99999999999999999999", 4).find("names no blocks"), std::string::npos);
}

}  // namespace
}  // namespace boreal::spec
