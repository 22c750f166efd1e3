#include "spec/node.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "spec/characters.h"
#include "spec/node_tree.h"

namespace boreal::spec {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// -?(0|[1-9][0-9]*)
bool is_decimal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  return std::all_of(text.begin(), text.end(), is_digit);
}

// Decimal or scientific notation without leading zeros: -12, 0.5, .5, 1e-5, 2.5E+3.
bool is_real(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at])) ++at;
  const std::size_t whole = at;
  std::size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    while (at < text.size() && is_digit(text[at])) ++at, ++fraction;
  }
  if (whole + fraction == 0 || (whole > 1 && text[0] == '0')) return false;
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  ++at;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  return at < text.size() &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), is_digit);
}

std::optional<double> to_real(std::string_view text) {
  if (!is_real(text)) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// What the writer most likely meant by a number that is none; "" if there is no guess.
std::string number_hint(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  std::erase(digits, ',');
  const std::size_t sign = digits.starts_with('-') || digits.starts_with('+') ? 1 : 0;
  if (digits.starts_with('+')) digits.erase(0, 1);
  const std::size_t first = sign == 1 && digits.starts_with('-') ? 1 : 0;
  while (digits.size() > first + 1 && digits[first] == '0' && is_digit(digits[first + 1]))
    digits.erase(first, 1);
  if (digits != text && is_decimal(digits)) return "; write " + digits;
  const auto real = to_real(digits);
  if (real && std::floor(*real) == *real && std::abs(*real) < 1e15)
    return fmt::format("; write {:.0f}", *real);
  return "";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// What else of its folder a path that is not there may have meant.
std::string did_you_mean(Env& env, const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const auto names = env.list_dir(folder.empty() ? "." : folder.string());
  if (!names.ok()) return "";
  const auto near = nearest(std::filesystem::path(path).filename().string(), *names);
  return near ? fmt::format("; did you mean {}?", (folder / *near).string()) : "";
}

}  // namespace

Node::Node(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}

Result<Node> Node::parse_file(Env& env, const std::string& path) {
  auto text = env.read_file(path);
  if (!text.ok()) {
    // A spec that is not there is a wrong command line; a disk that fails is not.
    const bool absent = text.error().kind == ErrorKind::refused;
    if (!absent) return text.error();
    return Error{text.error().message + did_you_mean(env, path), ErrorKind::usage};
  }
  return parse(*text, path);
}

Node Node::scalar(std::string text, std::string name) {
  auto tree = std::make_shared<Tree>();
  tree->kind = NodeKind::scalar;
  tree->name = std::make_shared<const std::string>(std::move(name));
  tree->plain = true;
  tree->text = std::move(text);
  return Node(std::move(tree));
}

bool Node::is_map() const {
  return tree_->kind == NodeKind::map;
}
bool Node::is_list() const {
  return tree_->kind == NodeKind::list;
}
bool Node::is_scalar() const {
  return tree_->kind == NodeKind::scalar;
}
bool Node::is_null() const {
  return tree_->kind == NodeKind::null;
}

std::string Node::where() const {
  return tree_->line > 0 ? fmt::format("{}:{}", *tree_->name, tree_->line) : *tree_->name;
}

Error Node::wrong(std::string_view message) const {
  return wrong_usage("{}: {}", where(), message);
}

std::string Node::shown() const {
  switch (tree_->kind) {
    case NodeKind::null: return "nothing";
    case NodeKind::list: return "a list";
    case NodeKind::map: return "a map";
    case NodeKind::scalar: break;
  }
  return tree_->plain ? in_quotes(tree_->text) : "the text " + in_quotes(tree_->text);
}

std::vector<std::string> Node::keys() const {
  std::vector<std::string> keys;
  keys.reserve(tree_->entries.size());
  for (const Tree::Entry& entry : tree_->entries) keys.push_back(entry.key);
  return keys;
}

std::optional<Node> Node::find(std::string_view key) const {
  const auto found = tree_->index.find(key);
  if (found == tree_->index.end()) return std::nullopt;
  return Node(tree_->entries[found->second].value);
}

std::string Node::where_key(std::string_view key) const {
  const auto found = tree_->index.find(key);
  if (found == tree_->index.end()) return where();
  return fmt::format("{}:{}", *tree_->name, tree_->entries[found->second].line);
}

Status Node::allow_only(const std::vector<std::string>& known) const {
  if (!is_map()) return wrong(fmt::format("a map of keys is expected here, found {}", shown()));
  for (const Tree::Entry& entry : tree_->entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const auto near = nearest(entry.key, known);
    const std::string hint = near ? fmt::format("did you mean {}?", *near)
                                  : fmt::format("known here: {}", fmt::join(known, ", "));
    return wrong_usage("{}: unknown key {}; {}", where_key(entry.key), in_quotes(entry.key), hint);
  }
  return Done{};
}

std::size_t Node::size() const {
  return tree_->items.size();
}

Node Node::at(std::size_t index) const {
  CHECK_LT(index, tree_->items.size());
  return Node(tree_->items[index]);
}

Result<std::string> Node::as_string(std::string_view what) const {
  if (is_scalar()) return tree_->text;
  if (is_null())
    return wrong(
        fmt::format("{} has no value; text is expected (write \"\" for an empty one)", what));
  return wrong(fmt::format("{} is {}, but one text is expected (put it in quotes)", what, shown()));
}

Result<std::int64_t> Node::as_int(std::string_view what) const {
  const std::string& text = tree_->text;
  const std::string expected =
      fmt::format("{} is {}, but a whole number is expected", what, shown());
  if (!is_scalar()) return wrong(expected);
  if (!tree_->plain) return wrong(expected + (is_decimal(text) ? "; remove the quotes" : ""));
  if (!is_decimal(text)) return wrong(expected + number_hint(text));
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc())
    return wrong(expected + " between -9223372036854775808 and 9223372036854775807");
  return value;
}

Result<double> Node::as_double(std::string_view what) const {
  const std::string& text = tree_->text;
  const std::string expected = fmt::format("{} is {}, but a number is expected", what, shown());
  if (!is_scalar()) return wrong(expected);
  if (!tree_->plain) return wrong(expected + (is_real(text) ? "; remove the quotes" : ""));
  if (!is_real(text)) return wrong(expected + number_hint(text));
  const auto value = to_real(text);
  if (!value) return wrong(expected + " that a double can hold");
  return *value;
}

Result<bool> Node::as_bool(std::string_view what) const {
  const std::string& text = tree_->text;
  if (is_scalar() && tree_->plain && text == "true") return true;
  if (is_scalar() && tree_->plain && text == "false") return false;
  std::string hint;
  const std::string word = is_scalar() ? lower(text) : "";
  if (word == "yes" || word == "on" || word == "true" || word == "1" || word == "y")
    hint = "; write true";
  if (word == "no" || word == "off" || word == "false" || word == "0" || word == "n")
    hint = "; write false";
  return wrong(fmt::format("{} is {}, but true or false is expected{}", what, shown(), hint));
}

Result<std::vector<std::string>> Node::as_strings(std::string_view what) const {
  if (!is_list()) {
    const std::string hint = is_scalar() ? fmt::format("; write [{}]", in_quotes(tree_->text)) : "";
    return wrong(fmt::format("{} is {}, but a list is expected{}", what, shown(), hint));
  }
  std::vector<std::string> out;
  out.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) {
    ASSIGN_OR_RETURN(std::string text, at(i).as_string(fmt::format("{}.{}", what, i)));
    out.push_back(std::move(text));
  }
  return out;
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  const std::string a = lower(word.substr(0, 64));
  std::optional<std::string> best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : known) {
    const std::string b = lower(std::string_view(candidate).substr(0, 64));
    // Optimal string alignment: insert, delete, replace, or swap two neighbours. d[i % 3] is the
    // row of a's first i letters.
    std::vector<std::vector<std::size_t>> d(3, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
      auto& row = d[i % 3];
      const auto& above = d[(i - 1) % 3];
      row[0] = i;
      for (std::size_t j = 1; j <= b.size(); ++j) {
        row[j] = std::min(
            {above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
          row[j] = std::min(row[j], d[(i - 2) % 3][j - 2] + 1);
      }
    }
    std::size_t distance = d[a.size() % 3][b.size()];
    const std::size_t shorter = std::min(a.size(), b.size());
    // A word cut short or grown ("batch" for batch_sequences) is near however many letters are
    // missing.
    const bool part =
        shorter >= 3 && (b.find(a) != std::string::npos || a.find(b) != std::string::npos);
    if (distance > std::max<std::size_t>(1, std::max(a.size(), b.size()) / 3) && !part) continue;
    if (shorter == 0) continue;
    if (!best || distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

}  // namespace boreal::spec
