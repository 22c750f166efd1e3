#include "spec/recompute.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "spec/characters.h"
#include "spec/node.h"

namespace boreal::spec {

namespace {

constexpr const char* kForm = "none, selective, full, or a list of blocks as full 0-3, selective 4";

std::optional<Recompute> policy_of(std::string_view word) {
  if (word == "none") return Recompute::none;
  if (word == "selective") return Recompute::selective;
  if (word == "full") return Recompute::full;
  return std::nullopt;
}

Error unknown(const std::string& text, std::string_view word) {
  const auto near = nearest(std::string(word), {"none", "selective", "full"});
  return wrong_usage("train.recompute is {}, but must be {}.{}", in_quotes(text), kForm,
                     near ? fmt::format(" Did you mean {}?", *near) : "");
}

// "3" or "0-3".
std::optional<std::pair<std::int64_t, std::int64_t>> range_of(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<std::int64_t> {
    std::int64_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [next, code] = std::from_chars(digits.data(), end, value);
    if (code != std::errc() || next != end || digits.front() == '-') return std::nullopt;
    return value;
  };
  const std::size_t dash = text.find('-');
  const auto first = number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return std::pair{*first, *last};
}

Status add(const std::string& text, std::string_view item, std::int64_t layers,
           std::vector<bool>& named, RecomputeByBlock& out) {
  const std::size_t blank = item.find(' ');
  const auto policy = policy_of(item.substr(0, blank));
  if (!policy) return unknown(text, item.substr(0, blank));
  const auto range =
      blank == std::string_view::npos ? std::nullopt : range_of(item.substr(blank + 1));
  if (!range)
    return wrong_usage(
        "train.recompute is {}, but {} names no blocks: write a block or the first and the last "
        "of some, as full 0-3.",
        in_quotes(text), in_quotes(item));
  if (range->second >= layers)
    return wrong_usage(
        "train.recompute is {}, but block {} is not there: model.layers is {}, the last block {}.",
        in_quotes(text), range->second, layers, layers - 1);
  for (std::int64_t block = range->first; block <= range->second; ++block) {
    const auto at = static_cast<std::size_t>(block);
    if (named[at])
      return wrong_usage("train.recompute is {}, but names block {} twice.", in_quotes(text),
                         block);
    named[at] = true;
    out.blocks[at] = *policy;
  }
  return Done{};
}

}  // namespace

Result<RecomputeByBlock> parse_recompute(const std::string& text, std::int64_t layers) {
  if (const auto all = policy_of(text)) return RecomputeByBlock(*all);
  RecomputeByBlock out;
  out.blocks.resize(static_cast<std::size_t>(layers));
  std::vector<bool> named(out.blocks.size());
  if (text.find_first_of(" ,0123456789") == std::string::npos) return unknown(text, text);
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    RETURN_IF_ERROR(add(text, item, layers, named, out));
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace boreal::spec
