#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace boreal::text {

namespace {

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before = begin > 0 && is_word(class_of(code_point_before(text, begin).value));
  const bool word_behind = end < text.size() && is_word(char_at(text, end).cls);
  return !word_before && !word_behind;
}

// Moves back over blanks, not below `least`.
std::size_t blanks_before(std::string_view text, std::size_t end, std::size_t least) {
  while (end > least) {
    const CodePoint c = code_point_before(text, end);
    if (class_of(c.value) != CharClass::space) break;
    end -= c.size_bytes;
  }
  return std::max(end, least);
}

std::size_t blanks_behind(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (c.cls != CharClass::space) break;
    at += c.size_bytes;
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens(std::span<const AddedToken> tokens, bool normalized, bool use_nfc) {
  // Special ones first: of two tokens with one pattern the first is taken.
  for (const bool special : {true, false}) {
    for (const AddedToken& token : tokens) {
      if (token.normalized != normalized || token.special != special) continue;
      only_special_ = only_special_ && special;
      tokens_.push_back(token);
      insert(normalized && use_nfc ? nfc(token.content) : token.content,
             static_cast<std::int32_t>(tokens_.size() - 1));
    }
  }
}

void AddedTokens::insert(const std::string& pattern, std::int32_t token) {
  if (pattern.empty()) return;
  begins_[static_cast<std::uint8_t>(pattern[0])] = true;
  std::uint32_t node = 0;
  for (const char byte : pattern) {
    const auto& next = nodes_[node].next;
    const auto edge =
        std::find_if(next.begin(), next.end(), [&](const auto& e) { return e.first == byte; });
    if (edge != next.end()) {
      node = edge->second;
      continue;
    }
    const auto fresh = static_cast<std::uint32_t>(nodes_.size());
    nodes_[node].next.emplace_back(byte, fresh);
    nodes_.emplace_back();
    node = fresh;
  }
  if (nodes_[node].token < 0) nodes_[node].token = token;
}

AddedTokens::Found AddedTokens::longest_at(std::string_view text, std::size_t begin) const {
  Found found;
  std::uint32_t node = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    const auto& next = nodes_[node].next;
    const auto edge =
        std::find_if(next.begin(), next.end(), [&](const auto& e) { return e.first == text[at]; });
    if (edge == next.end()) break;
    node = edge->second;
    if (nodes_[node].token >= 0) found = {at + 1, nodes_[node].token};
  }
  return found;
}

std::vector<AddedTokens::Segment> AddedTokens::split(std::string_view text,
                                                     bool parse_special) const {
  std::vector<Segment> segments;
  std::size_t done = 0;
  // Where all are text, nothing needs to be looked for.
  std::size_t at = only_special_ && (tokens_.empty() || !parse_special) ? text.size() : 0;
  while (at < text.size()) {
    if (!begins_[static_cast<std::uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const Found found = longest_at(text, at);
    if (found.token < 0) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = found.end;
    at = end;
    const AddedToken& token = tokens_[static_cast<std::size_t>(found.token)];
    if (token.special && !parse_special) continue;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (begin < done) continue;
    if (token.lstrip) begin = blanks_before(text, begin, done);
    if (token.rstrip) end = blanks_behind(text, end);
    if (done < begin) segments.push_back({done, begin, kText});
    segments.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) segments.push_back({done, text.size(), kText});
  return segments;
}

}  // namespace boreal::text
