// What the text tests share: golden files and small builders.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "text/tokenizer.h"

namespace boreal::text {

inline std::string golden_path(std::string_view name) {
  return join_path(std::string(BOREAL_SOURCE_DIR) + "/tests/golden", name);
}

inline std::string read_text(const std::string& path) {
  return Env::real().read_file(path).value();
}

inline nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(read_text(path));
}

inline Tokenizer load_golden(std::string_view name) {
  return Tokenizer::load(Env::real(), golden_path(name)).value();
}

}  // namespace boreal::text
