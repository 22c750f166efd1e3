#include "tests/house/functions.h"

#include <cctype>

namespace boreal::house {
namespace {

constexpr auto kNowhere = std::string_view::npos;

enum class Scope { outer, function, value };  // outer: namespace or class, where functions stand

// The code with its preprocessor lines, and their continuations, blank.
std::string without_directives(const std::string& code) {
  std::string out = code;
  bool directive = false;
  std::size_t begin = 0;
  while (begin < out.size()) {
    const std::size_t end = std::min(out.find('\n', begin), out.size());
    const std::size_t first = out.find_first_not_of(" \t", begin);
    directive = directive || (first < end && out[first] == '#');
    if (directive) {
      const std::size_t last = out.find_last_not_of(" \t", end - 1);
      const bool goes_on = last != kNowhere && last >= begin && out[last] == '\\';
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(begin),
                out.begin() + static_cast<std::ptrdiff_t>(end), ' ');
      directive = goes_on;
    }
    begin = end + 1;
  }
  return out;
}

bool has_word(std::string_view head, std::string_view word) {
  return !find_word(head, word).empty();
}

Scope scope_after(std::string_view head) {
  const bool call = head.find('(') != kNowhere;
  if (has_word(head, "namespace")) return Scope::outer;
  if (call) return Scope::function;
  for (const char* word : {"class", "struct", "union", "extern"}) {
    if (has_word(head, word)) return Scope::outer;
  }
  return Scope::value;
}

std::string one_line(std::string_view head) {
  std::string out;
  for (const char c : head) {
    const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  constexpr std::size_t kCharsMax = 70;
  return out.size() <= kCharsMax ? out : out.substr(0, kCharsMax) + "...";
}

// A line of the text that is neither blank nor code nor comment stands inside a raw string.
bool is_data(const Source& source, std::string_view line) {
  const auto begin = static_cast<std::size_t>(line.data() - source.text.data());
  const auto blank = [&](std::string_view text) {
    return text.substr(begin, line.size()).find_first_not_of(" \t") == kNowhere;
  };
  return !blank(source.text) && blank(source.code) && blank(source.comments);
}

class Scanner {
 public:
  explicit Scanner(std::string_view code) : code_(code) {}

  Functions run() {
    for (at_ = 0; at_ < code_.size(); ++at_) {
      if (depth_ > 0) {
        inside_body();
      } else {
        between_functions();
      }
    }
    found_.balanced = found_.balanced && depth_ == 0 && outer_ == 0;
    return std::move(found_);
  }

 private:
  void inside_body() {
    if (code_[at_] == '{') ++depth_;
    if (code_[at_] != '}' || --depth_ > 0) return;
    if (scope_ == Scope::function) {
      const int line = line_at(code_, head_);
      found_.all.push_back({.head = one_line(code_.substr(head_, body_ - head_)),
                            .line = line,
                            .lines = line_at(code_, at_) - line + 1});
    }
    head_ = kNowhere;
  }

  void between_functions() {
    const char c = code_[at_];
    if (head_ == kNowhere && std::isspace(static_cast<unsigned char>(c)) == 0) head_ = at_;
    if (c == '(') ++parentheses_;
    if (c == ')') --parentheses_;
    if (parentheses_ > 0) return;  // a default argument {} opens nothing
    if (c == '{') {
      open();
    } else if (c == '}') {
      --outer_;
      found_.balanced = found_.balanced && outer_ >= 0;
      head_ = kNowhere;
    } else if (c == ';' || (c == ':' && is_access_specifier())) {
      head_ = kNowhere;
    }
  }

  void open() {
    scope_ = scope_after(code_.substr(head_, at_ - head_));
    if (scope_ == Scope::outer) {
      ++outer_;
      head_ = kNowhere;
    } else {
      depth_ = 1;
      body_ = at_;
    }
  }

  bool is_access_specifier() const {
    const std::string head = one_line(code_.substr(head_, at_ - head_));
    return head == "public" || head == "private" || head == "protected";
  }

  std::string_view code_;
  std::size_t at_ = 0;
  std::size_t head_ = kNowhere;  // where the current declaration begins
  std::size_t body_ = 0;         // the brace of the current function or value
  Scope scope_ = Scope::outer;   // of the braces that depth_ counts
  int depth_ = 0;                // braces open in a function or a value
  int outer_ = 0;                // braces open around them
  int parentheses_ = 0;
  Functions found_;
};

}  // namespace

Functions functions_of(const Source& source) {
  const std::string code = without_directives(source.code);
  Functions functions = Scanner(code).run();
  const auto text = lines_of(source.text);
  for (Function& function : functions.all) {
    const int end = function.line - 1 + function.lines;
    for (int i = function.line - 1; i < end; ++i) {
      if (is_data(source, text[static_cast<std::size_t>(i)])) --function.lines;
    }
  }
  return functions;
}

}  // namespace boreal::house
