// The tables that ship with boreal, as a spec sees them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/env.h"
#include "spec/run_spec.h"

namespace boreal::prep {

inline std::string shipped(const std::string& path) {
  return std::string(BOREAL_SOURCE_DIR) + "/data/" + path;
}

// "chemistry/elements.csv", ..., sorted.
inline std::vector<std::string> shipped_tables() {
  Env& env = Env::real();
  std::vector<std::string> tables;
  const auto folders = env.list_dir(shipped(""));
  EXPECT_TRUE(folders.ok());
  for (const auto& folder : *folders) {
    if (!env.is_dir(shipped(folder))) continue;
    const auto names = env.list_dir(shipped(folder));
    for (const auto& name : *names) {
      if (name.ends_with(".csv")) tables.push_back(folder + "/" + name);
    }
  }
  return tables;
}

inline spec::RunSpec shipped_spec() {
  spec::RunSpec spec;
  spec.data.root = shipped("");
  spec.cards.families = shipped("families.yaml");
  for (const auto& table : shipped_tables()) {
    spec::SourceSpec source;
    source.table = table;
    spec.data.sources.push_back(source);
  }
  return spec;
}

}  // namespace boreal::prep
