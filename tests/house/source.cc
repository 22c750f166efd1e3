#include "tests/house/source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/check.h"

namespace boreal::house {
namespace {

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Walks over the text once and copies each character to the code, to the comments, or to neither.
class Splitter {
 public:
  explicit Splitter(Source& source) : source_(source), text_(source.text) {
    source_.code.assign(text_.size(), ' ');
    source_.comments.assign(text_.size(), ' ');
  }

  void run() {
    while (at_ < text_.size()) {
      if (text_.substr(at_, 2) == "//") {
        comment(text_.find('\n', at_));
      } else if (text_.substr(at_, 2) == "/*") {
        const std::size_t end = text_.find("*/", at_ + 2);
        comment(end == std::string_view::npos ? end : end + 2);
      } else if (text_[at_] == '"') {
        literal(at_ > 0 && text_[at_ - 1] == 'R' ? raw_end() : quoted_end('"'));
      } else if (text_[at_] == '\'' && !separates_digits()) {
        literal(quoted_end('\''));
      } else {
        source_.code[at_] = text_[at_];
        ++at_;
      }
    }
  }

 private:
  void newline_at(std::size_t place) {
    if (text_[place] == '\n') {
      source_.code[place] = '\n';
      source_.comments[place] = '\n';
    }
  }

  void comment(std::size_t end) {
    end = std::min(end, text_.size());
    for (; at_ < end; ++at_) {
      source_.comments[at_] = text_[at_];
      newline_at(at_);
    }
  }

  // Keeps the quotes: a blank where a string was would join what stands around it.
  void literal(std::size_t end) {
    end = std::min(end, text_.size());
    source_.code[at_] = text_[at_];
    if (end > at_) source_.code[end - 1] = text_[end - 1];
    for (; at_ < end; ++at_) newline_at(at_);
  }

  std::size_t quoted_end(char quote) const {
    std::size_t i = at_ + 1;
    while (i < text_.size() && text_[i] != quote && text_[i] != '\n') i += text_[i] == '\\' ? 2 : 1;
    return i + 1;
  }

  std::size_t raw_end() const {
    const std::size_t open = text_.find('(', at_);
    if (open == std::string_view::npos) return text_.size();
    const std::string close = ")" + std::string(text_.substr(at_ + 1, open - at_ - 1)) + "\"";
    const std::size_t end = text_.find(close, open);
    return end == std::string_view::npos ? end : end + close.size();
  }

  // 1'000'000: a quote inside a word that begins with a digit.
  bool separates_digits() const {
    std::size_t begin = at_;
    while (begin > 0 && (is_name(text_[begin - 1]) || text_[begin - 1] == '\'')) --begin;
    return begin < at_ && std::isdigit(static_cast<unsigned char>(text_[begin])) != 0;
  }

  Source& source_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Source make_source(std::string path, std::string text) {
  Source source{.path = std::move(path), .text = std::move(text), .code = {}, .comments = {}};
  Splitter(source).run();
  return source;
}

std::vector<Source> load_sources(const std::string& root, const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  std::vector<Source> sources;
  for (const std::string& folder : folders) {
    const fs::path top = fs::path(root) / folder;
    if (!fs::exists(top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc")) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      CHECK(file.good(), "{}", entry.path().string());
      std::string text{std::istreambuf_iterator<char>(file), {}};
      sources.push_back(make_source(fs::relative(entry.path(), root).string(), std::move(text)));
    }
  }
  std::ranges::sort(sources, {}, &Source::path);
  return sources;
}

std::vector<Include> includes_of(const Source& source) {
  std::vector<Include> includes;
  const auto code = lines_of(source.code);
  const auto text = lines_of(source.text);
  for (std::size_t i = 0; i < code.size(); ++i) {
    const std::size_t hash = code[i].find_first_not_of(" \t");
    if (hash == std::string_view::npos || code[i][hash] != '#') continue;
    const std::size_t word = code[i].find_first_not_of(" \t", hash + 1);
    if (word == std::string_view::npos || !code[i].substr(word).starts_with("include")) continue;
    const std::size_t open = text[i].find_first_of("\"<", word);
    if (open == std::string_view::npos) continue;
    const bool quoted = text[i][open] == '"';
    const std::size_t close = text[i].find(quoted ? '"' : '>', open + 1);
    if (close == std::string_view::npos) continue;
    includes.push_back({.line = static_cast<int>(i) + 1,
                        .quoted = quoted,
                        .name = std::string(text[i].substr(open + 1, close - open - 1))});
  }
  return includes;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

int line_at(std::string_view text, std::size_t place) {
  return 1 + static_cast<int>(std::ranges::count(text.substr(0, place), '\n'));
}

std::vector<std::size_t> find_word(std::string_view code, std::string_view word) {
  std::vector<std::size_t> places;
  for (std::size_t at = code.find(word); at != std::string_view::npos;
       at = code.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool begins = at == 0 || !is_name(code[at - 1]) || !is_name(word.front());
    const bool ends = end >= code.size() || !is_name(code[end]) || !is_name(word.back());
    if (begins && ends) places.push_back(at);
  }
  return places;
}

}  // namespace boreal::house
