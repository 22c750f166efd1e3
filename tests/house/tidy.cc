#include "tests/house/tidy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>
#include <sstream>

#include "tests/house/functions.h"

namespace boreal::house {
namespace {

bool below(const Source& source, std::string_view folder) {
  return source.path.starts_with(folder);
}

struct Report {
  const Source& source;
  std::vector<Finding>& findings;

  void add(std::string rule, int line, int weight, std::string message) const {
    findings.push_back({.rule = std::move(rule),
                        .path = source.path,
                        .line = line,
                        .weight = weight,
                        .message = std::move(message)});
  }
};

void check_sizes(const Source& source, const Report& report) {
  const auto lines = lines_of(source.text);
  const int count = static_cast<int>(lines.size());
  if (count > kFileLinesMax) {
    report.add("file_length", count, count - kFileLinesMax,
               fmt::format("{} lines, more than {}", count, kFileLinesMax));
  }
  for (int i = 0; i < count; ++i) {
    // Characters, not bytes: continuation bytes of UTF-8 do not count.
    const auto chars = std::ranges::count_if(lines[static_cast<std::size_t>(i)],
                                             [](char c) { return (c & '\xC0') != '\x80'; });
    if (chars > kLineCharsMax) {
      report.add("line_length", i + 1, 1,
                 fmt::format("{} characters, more than {}", chars, kLineCharsMax));
    }
  }
  const Functions functions = functions_of(source);
  if (!functions.balanced) {
    report.add("braces", 1, 1, "the braces do not match, so functions cannot be measured");
  }
  for (const Function& function : functions.all) {
    if (function.lines <= kFunctionLinesMax) continue;
    report.add("function_length", function.line, function.lines - kFunctionLinesMax,
               fmt::format("{} lines, more than {}: {}", function.lines, kFunctionLinesMax,
                           function.head));
  }
}

// A promise needs an owner: the issue that will keep it.
void check_promises(const Source& source, const Report& report) {
  for (const char* word : {"TODO", "FIXME", "XXX", "HACK"}) {
    for (const std::size_t place : find_word(source.comments, word)) {
      const std::string_view after = std::string_view(source.comments).substr(place);
      const std::size_t length = std::string_view(word).size();
      const bool owned = after.substr(length).starts_with("(#") && after.size() > length + 2 &&
                         std::isdigit(static_cast<unsigned char>(after[length + 2])) != 0;
      if (owned) continue;
      report.add("promise", line_at(source.comments, place), 1,
                 fmt::format("{} without an issue; write {}(#12): why, or do it", word, word));
    }
  }
}

struct Banned {
  const char* word;
  const char* instead;
  const char* where = "";                  // below this folder; everywhere if empty
  std::array<const char*, 2> except = {};  // prefixes of paths where it is right
};

constexpr std::array kApp{"src/app/", "src/base/check.cc"};
// A launcher speaks to its ranks in the environment; a rank's last line before its job ends.
constexpr std::array kLaunch{"src/app/", "src/dist/launch.cc"};
constexpr const char* kPrint = "a Result, or monitor/; only app/ prints";
constexpr const char* kRandom = "base/philox.h: randomness is keyed by seed and purpose";
constexpr const char* kSpec = "a field of the spec; only app/ reads the environment";

constexpr Banned kBanned[] = {
    {.word = "std::regex", .instead = "a hand-written scanner"},
    {.word = "std::format", .instead = "fmt::format"},
    {.word = "std::expected", .instead = "Result (base/result.h)"},
    {.word = "printf", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "fprintf", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "vprintf", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "vfprintf", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "puts", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "fputs", .instead = kPrint, .where = "src/", .except = kLaunch},
    {.word = "putchar", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "std::cout", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "std::cerr", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "std::clog", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "fmt::print", .instead = kPrint, .where = "src/", .except = kApp},
    {.word = "getenv", .instead = kSpec, .where = "src/", .except = kLaunch},
    {.word = "secure_getenv", .instead = kSpec, .where = "src/", .except = kApp},
    {.word = "setenv", .instead = kSpec, .where = "src/", .except = kApp},
    {.word = "rand()", .instead = kRandom},
    {.word = "srand", .instead = kRandom},
    {.word = "std::random_device", .instead = kRandom},
    {.word = "malloc", .instead = "tensor/memory.h or a standard container"},
    {.word = "new", .instead = "std::make_unique or a value"},
    {.word = "delete", .instead = "an owner: std::unique_ptr or a value"},
};

// `= delete`, operator new and operator delete are declarations, not calls.
bool is_declaration(std::string_view code, std::size_t place) {
  const std::size_t last = code.substr(0, place).find_last_not_of(" \t\n");
  if (last == std::string_view::npos) return false;
  if (code[last] == '=') return code.substr(place).starts_with("delete");
  return code.substr(0, last + 1).ends_with("operator");
}

// A member of the same name, a.printf() or Printer::puts(), is another thing.
bool is_member(std::string_view code, std::size_t place) {
  const std::string_view before = code.substr(0, place);
  if (before.ends_with("::"))
    return !before.ends_with("std::") && place > 2 &&
           std::isalnum(static_cast<unsigned char>(code[place - 3])) != 0;
  return before.ends_with(".") || before.ends_with("->");
}

void check_calls(const Source& source, const Report& report) {
  for (const Banned& banned : kBanned) {
    const bool exempt = std::ranges::any_of(
        banned.except, [&](const char* path) { return path != nullptr && below(source, path); });
    if (!below(source, banned.where) || exempt) continue;
    for (const std::size_t place : find_word(source.code, banned.word)) {
      if (is_declaration(source.code, place) || is_member(source.code, place)) continue;
      const int line = line_at(source.code, place);
      const std::string_view text = lines_of(source.code)[static_cast<std::size_t>(line) - 1];
      if (text.find("#include") != std::string_view::npos) continue;
      report.add("banned_call", line, 1, fmt::format("{}: use {}", banned.word, banned.instead));
    }
  }
}

// Each of these costs a translation unit seconds, so it stays behind a .cc file.
constexpr const char* kHeavy[] = {"nlohmann/",        "yaml-cpp/", "CLI/",
                                  "google/protobuf/", "boost/",    "openssl/",
                                  "iostream",         "regex",     "mpi.h"};

void check_includes(const Source& source, const Report& report) {
  for (const Include& include : includes_of(source)) {
    for (const char* name : {"format", "expected", "regex"}) {
      if (!include.quoted && include.name == name) {
        report.add("banned_include", include.line, 1,
                   fmt::format("<{}> is not in GCC 12 or is slow; fmt, Result or a scanner", name));
      }
    }
    if (!source.is_header() || !below(source, "src/")) continue;
    for (const char* heavy : kHeavy) {
      const bool declares = include.name.find("_fwd") != std::string::npos;
      if (include.name.starts_with(heavy) && !declares) {
        report.add("heavy_header", include.line, 1,
                   fmt::format("{} in a header: keep it in the .cc file", include.name));
      }
    }
  }
}

// What it is, thread rule, invariants: most of a line of comment before anything else; a test's
// header may be briefer.
void check_header(const Source& source, const Report& report) {
  if (!source.is_header()) return;
  const std::size_t begin = source.code.find_first_not_of(" \t\n");
  const std::string_view opening = std::string_view(source.comments).substr(0, begin);
  const int chars_min = below(source, "src/") ? 50 : 15;
  if (std::ranges::count_if(opening, [](char c) {
        return std::isspace(static_cast<unsigned char>(c)) == 0 && c != '/';
      }) < chars_min) {
    report.add("contract", 1, 1,
               "a header begins with what it is, its thread rule, its invariants");
  }
  if (source.code.find("#pragma once") == std::string::npos) {
    report.add("contract", 1, 1, "no #pragma once");
  }
  for (const std::size_t place : find_word(source.code, "using namespace")) {
    report.add("using_namespace", line_at(source.code, place), 1,
               "using namespace in a header reaches everyone who includes it");
  }
}

// A helper with two users moves to the lowest folder that can own its noun.
void check_names(const Source& source, const Report& report) {
  std::istringstream parts(source.path);
  for (std::string part; std::getline(parts, part, '/');) {
    const std::string stem = part.substr(0, part.find('.'));
    for (const char* vague : {"util", "utils", "common", "core", "misc", "helper", "helpers"}) {
      if (stem == vague || stem.ends_with(std::string("_") + vague)) {
        report.add("vague_name", 1, 1, fmt::format("{} says nothing; name what it holds", part));
      }
    }
  }
}

}  // namespace

std::vector<Finding> check_source(const Source& source) {
  std::vector<Finding> findings;
  const Report report{.source = source, .findings = findings};
  check_sizes(source, report);
  check_promises(source, report);
  check_calls(source, report);
  check_includes(source, report);
  check_header(source, report);
  check_names(source, report);
  return findings;
}

std::vector<Finding> check_test_folders(const std::vector<Source>& sources) {
  std::set<std::string> tested;
  std::set<std::string> untested;
  const auto folder_in = [](const std::string& path, std::size_t prefix) {
    return path.substr(prefix, path.find('/', prefix) - prefix);
  };
  for (const Source& source : sources) {
    if (below(source, "tests/") && source.path.ends_with("_test.cc")) {
      tested.insert(folder_in(source.path, 6));
    }
  }
  for (const Source& source : sources) {
    if (!below(source, "src/") || source.is_header()) continue;
    const std::string folder = folder_in(source.path, 4);
    if (!tested.contains(folder)) untested.insert(folder);
  }
  std::vector<Finding> findings;
  for (const std::string& folder : untested) {
    findings.push_back({.rule = "untested_folder",
                        .path = "src/" + folder,
                        .message = fmt::format("tests/{} has no *_test.cc", folder)});
  }
  return findings;
}

Weights weights_of(const std::vector<Finding>& findings) {
  Weights weights;
  for (const Finding& finding : findings) weights[{finding.rule, finding.path}] += finding.weight;
  return weights;
}

Result<Weights> parse_ratchet(std::string_view text) {
  Weights weights;
  int number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words{std::string(line)};
    std::string rule;
    std::string path;
    std::string rest;
    int weight = 0;
    if (!(words >> rule >> path >> weight) || weight <= 0 || words >> rest) {
      return refused("ratchet.txt:{}: \"{}\" is not \"rule path weight\"", number, line);
    }
    if (!weights.emplace(std::pair{rule, path}, weight).second) {
      return refused("ratchet.txt:{}: {} {} twice", number, rule, path);
    }
  }
  return weights;
}

std::vector<std::string> compare_with_ratchet(const std::vector<Finding>& findings,
                                              const Weights& ratchet) {
  std::vector<std::string> problems;
  const Weights found = weights_of(findings);
  const auto allowed = [&](const std::pair<std::string, std::string>& key) {
    const auto entry = ratchet.find(key);
    return entry == ratchet.end() ? 0 : entry->second;
  };
  for (const Finding& finding : findings) {
    const std::pair key{finding.rule, finding.path};
    if (found.at(key) <= allowed(key)) continue;
    problems.push_back(
        fmt::format("{}:{}: {} ({})", finding.path, finding.line, finding.message, finding.rule));
  }
  for (const auto& [key, weight] : ratchet) {
    const auto entry = found.find(key);
    const int now = entry == found.end() ? 0 : entry->second;
    if (now >= weight) continue;
    problems.push_back(fmt::format("tests/house/ratchet.txt: {} {} has fallen from {} to {}: {}",
                                   key.first, key.second, weight, now,
                                   now == 0 ? "delete the line" : "write the new number"));
  }
  return problems;
}

std::string lowered_ratchet(const std::vector<Finding>& findings, const Weights& ratchet) {
  const Weights found = weights_of(findings);
  std::string out;
  for (const auto& [key, weight] : ratchet) {
    const auto entry = found.find(key);
    if (entry == found.end()) continue;
    out += fmt::format("{} {} {}\n", key.first, key.second, std::min(weight, entry->second));
  }
  return out;
}

}  // namespace boreal::house
