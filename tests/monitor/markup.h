// A strict reader of the markup that reports and charts are made of: every element closed in order,
// every attribute quoted and named once, no stray < or &. Stricter than HTML asks, and right for
// XML as it is.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace boreal::monitor {

class MarkupReader {
 public:
  explicit MarkupReader(std::string_view text) : text_(text) {}

  // Empty, or what is wrong and where.
  std::string complaint() {
    while (problem_.empty() && at_ < text_.size()) {
      if (text_[at_] == '<') {
        tag();
      } else if (text_[at_] == '&') {
        entity();
      } else {
        if (text_[at_] == '>') wrong("stray >");
        ++at_;
      }
    }
    if (problem_.empty() && !open_.empty()) wrong("never closed: " + open_.back());
    return problem_;
  }

 private:
  void wrong(const std::string& what) {
    if (problem_.empty()) problem_ = fmt::format("{} at {}: {}", what, at_, text_.substr(at_, 60));
  }

  void entity() {
    for (const std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
      if (text_.substr(at_).starts_with(known)) {
        at_ += known.size();
        return;
      }
    }
    wrong("stray &");
  }

  std::string name() {
    std::size_t end = at_;
    while (end < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[end])) != 0 || text_[end] == '-'))
      ++end;
    const std::string found(text_.substr(at_, end - at_));
    at_ = end;
    return found;
  }

  void attributes() {
    std::vector<std::string> seen;
    while (at_ < text_.size() && text_[at_] == ' ') {
      ++at_;
      const std::string attribute = name();
      if (attribute.empty() || std::ranges::count(seen, attribute) > 0)
        return wrong("bad attribute");
      seen.push_back(attribute);
      if (!text_.substr(at_).starts_with("=\"")) return wrong("attribute without quoted value");
      at_ += 2;
      while (at_ < text_.size() && text_[at_] != '"') {
        if (text_[at_] == '<') return wrong("< in an attribute");
        if (text_[at_] == '&') {
          entity();
          if (!problem_.empty()) return;
        } else {
          ++at_;
        }
      }
      ++at_;
    }
  }

  void tag() {
    for (const std::string_view prologue :
         {"<!DOCTYPE html>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"}) {
      if (at_ == 0 && text_.starts_with(prologue)) {
        at_ = prologue.size();
        return;
      }
    }
    ++at_;
    if (at_ < text_.size() && text_[at_] == '/') {
      ++at_;
      const std::string closed = name();
      if (open_.empty() || open_.back() != closed) return wrong("closes " + closed);
      open_.pop_back();
      if (text_.substr(at_, 1) != ">") return wrong("bad end tag");
      ++at_;
      return;
    }
    const std::string opened = name();
    if (opened.empty()) return wrong("stray <");
    attributes();
    if (!problem_.empty()) return;
    constexpr std::array<std::string_view, 2> kVoid = {"meta", "link"};
    if (text_.substr(at_).starts_with("/>")) {
      at_ += 2;
    } else if (text_.substr(at_, 1) == ">") {
      ++at_;
      if (std::ranges::find(kVoid, opened) == kVoid.end()) open_.push_back(opened);
      if (opened == "style") at_ = text_.find("</style>", at_);
    } else {
      wrong("bad tag");
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  std::string problem_;
};

}  // namespace boreal::monitor
