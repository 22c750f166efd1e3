// The scanner of a split pattern as a type, so that a loop over pieces is compiled for each. Thread
// rule: pure functions.
#pragma once

#include "text/scan_cl100k.h"
#include "text/scan_deepseek.h"
#include "text/scan_gpt2.h"
#include "text/scan_o200k.h"
#include "text/split.h"

namespace boreal::text {

// Calls use(scanner), whose scanner.end(text, begin) is piece_end() of the pattern.
template <class Use>
decltype(auto) with_scanner(SplitPattern pattern, const Use& use) {
  switch (pattern) {
    case SplitPattern::whole: break;
    case SplitPattern::gpt2: return use(scan::Gpt2());
    case SplitPattern::words: return use(scan::Words());
    case SplitPattern::cl100k: return use(scan::Cl100k<3>());
    case SplitPattern::qwen2: return use(scan::Cl100k<1>());
    case SplitPattern::o200k: return use(scan::O200k());
    case SplitPattern::deepseek: return use(scan::DeepSeek());
    case SplitPattern::starcoder: return use(scan::StarCoder());
  }
  return use(scan::Whole());
}

}  // namespace boreal::text
