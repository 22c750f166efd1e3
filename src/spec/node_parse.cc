// Node::parse: yaml-cpp's events become a tree. yaml-cpp lets duplicate keys, 0x04, invalid UTF-8
// and several documents pass and knows no line for an unclosed bracket; what it does not check is
// checked here.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "spec/characters.h"
#include "spec/node_tree.h"

namespace boreal::spec {

namespace {

constexpr std::size_t kDepthMax = 64;
constexpr std::size_t kTextBytesMax = std::size_t{16} << 20;

// Leaves yaml-cpp's parser from inside an event; never leaves Node::parse.
struct Stop {
  int line;
  std::string message;
};

struct Rewording {
  std::string_view yaml_cpp;
  std::string_view ours;
};

// What yaml-cpp says of the commonest slips, said so that the writer knows what to mend.
const std::array kRewordings = {
    Rewording{
        YAML::ErrorMsg::END_OF_MAP,
        "a key is expected here; is the indentation uneven, a ':' missing, or text not in quotes?"},
    Rewording{YAML::ErrorMsg::END_OF_SEQ,
              "a list item is expected here; is a '- ' missing or the indentation uneven?"},
    Rewording{YAML::ErrorMsg::END_OF_MAP_FLOW,
              "the '{' that stands here has no '}', or a ',' is missing inside"},
    Rewording{YAML::ErrorMsg::END_OF_SEQ_FLOW,
              "the '[' that stands here has no ']', or a ',' is missing inside"},
    Rewording{YAML::ErrorMsg::MAP_VALUE,
              "a ':' stands where no key can be; is one missing on the line before, or does text "
              "that holds ': ' need quotes?"},
    Rewording{YAML::ErrorMsg::EOF_IN_SCALAR,
              "the text in quotes that begins here has no closing quote"},
    Rewording{YAML::ErrorMsg::DOC_IN_SCALAR,
              "the text in quotes that begins here has no closing quote"},
    Rewording{YAML::ErrorMsg::UNKNOWN_TOKEN,
              "no value begins with this character; put it in quotes"},
    Rewording{YAML::ErrorMsg::BLOCK_ENTRY,
              "a list cannot begin here; put it on a line of its own, indented"},
    Rewording{YAML::ErrorMsg::INVALID_ESCAPE,
              "unknown escape in double quotes; write \\\\ for a backslash"},
    Rewording{YAML::ErrorMsg::FLOW_END, "a '}' or ']' that nothing opens"},
};

std::string reworded(const std::string& message) {
  for (const Rewording& entry : kRewordings)
    if (message.starts_with(entry.yaml_cpp)) return std::string(entry.ours);
  return "not YAML: " + message;
}

bool is_quote_error(const std::string& message) {
  return message == YAML::ErrorMsg::EOF_IN_SCALAR || message == YAML::ErrorMsg::DOC_IN_SCALAR;
}

bool is_flow_error(const std::string& message) {
  return message == YAML::ErrorMsg::END_OF_MAP_FLOW || message == YAML::ErrorMsg::END_OF_SEQ_FLOW;
}

// Tabs that indent and directives, which yaml-cpp takes in part; both mean something other than
// what the writer sees.
Status check_line(std::string_view line, bool before_content, std::string_view name, int number) {
  const std::size_t content = line.find_first_not_of(" \t");
  if (content == std::string_view::npos || line[content] == '#') return Done{};
  if (line.substr(0, content).find('\t') != std::string_view::npos)
    return wrong_usage("{}:{}: a tab indents this line; indent with blanks", name, number);
  if (before_content && line[0] == '%')
    return wrong_usage("{}:{}: directives ({}) are not read; remove the line", name, number,
                       in_quotes(line));
  return Done{};
}

Status check_lines(std::string_view text, std::string_view name) {
  bool before_content = true;
  int number = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    RETURN_IF_ERROR(check_line(line, before_content, name, number));
    const std::size_t content = line.find_first_not_of(" \t");
    if (content != std::string_view::npos && line[content] != '#') before_content = false;
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
  }
  return Done{};
}

// Without the byte-order mark, with \n at the end of lines, as the marks of yaml-cpp count them.
// The end of the document is written down: at the bare end of a file yaml-cpp takes an open quote
// for a closed one.
std::string normalised(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out + "...\n";
}

}  // namespace

class TreeBuilder final : public YAML::EventHandler {
 public:
  using Tree = Node::Tree;

  TreeBuilder(std::string_view text, const std::string& name)
      : text_(text), name_(std::make_shared<const std::string>(name)) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_) {
      throw Stop{mark.line + 1,
                 "a second value begins here, but the file is one map; is the indentation uneven, "
                 "or is there a '---'?"};
    }
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Stop{mark.line + 1,
               "aliases (*name) are not read; write the value out, or put text that begins with * "
               "in quotes"};
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_properties(mark, anchor);
    if (!open_.empty() && open_.back().key && open_.back().key_pos == mark.pos && !in_brackets()) {
      throw Stop{mark.line + 1,
                 fmt::format("a ':' is missing after {}", in_quotes(*open_.back().key))};
    }
    auto tree = make(NodeKind::null, mark);
    // yaml-cpp marks an absent value where the next one begins; the key's line is what the reader
    // looks for.
    if (!open_.empty() && open_.back().key) tree->line = open_.back().key_line;
    attach(std::move(tree));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_properties(mark, anchor);
    if (!open_.empty() && open_.back().tree->kind == NodeKind::map && !open_.back().key) {
      begin_entry(mark, value);
      return;
    }
    auto tree = make(NodeKind::scalar, mark);
    tree->text = value;
    tree->plain = tag == "?";
    attach(std::move(tree));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(NodeKind::list, mark, anchor, style);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(NodeKind::map, mark, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  // The line of the innermost bracket that is still open; `otherwise` if none is.
  int open_bracket_line(int otherwise) const {
    for (auto frame = open_.rbegin(); frame != open_.rend(); ++frame)
      if (frame->flow) return frame->tree->line;
    return otherwise;
  }
  // The line of the last key or value that was read whole.
  int last_line() const { return last_line_; }

  Result<Node> finish() && {
    if (!root_ || root_->kind == NodeKind::null) {
      return wrong_usage("{}:1: no value stands here; is it empty, or was it not saved?", *name_);
    }
    return Node(std::move(root_));
  }

 private:
  struct Frame {
    std::shared_ptr<Tree> tree;
    bool flow = false;
    std::optional<std::string> key;  // of a map: waits for its value
    int key_line = 0;
    int key_pos = 0;
  };

  bool in_brackets() const {
    return std::any_of(open_.begin(), open_.end(), [](const Frame& frame) { return frame.flow; });
  }

  std::shared_ptr<Tree> make(NodeKind kind, const YAML::Mark& mark) const {
    auto tree = std::make_shared<Tree>();
    tree->kind = kind;
    tree->name = name_;
    tree->line = mark.line + 1;
    return tree;
  }

  // The events do not tell `! x` from a quoted x, nor an anchor on nothing, so the source is looked
  // at as well.
  void refuse_properties(const YAML::Mark& mark, YAML::anchor_t anchor) {
    last_line_ = mark.line + 1;
    const auto at = static_cast<std::size_t>(mark.pos);
    const char first = mark.pos >= 0 && at < text_.size() ? text_[at] : ' ';
    if (first == '!')
      throw Stop{mark.line + 1, "tags (!name) are not read; put text that begins with ! in quotes"};
    if (first == '&' || anchor != YAML::NullAnchor)
      throw Stop{mark.line + 1,
                 "anchors (&name) are not read; put text that begins with & in quotes"};
  }

  void open(NodeKind kind, const YAML::Mark& mark, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    refuse_properties(mark, anchor);
    if (open_.size() == kDepthMax)
      throw Stop{
          mark.line + 1,
          fmt::format("values are nested deeper than {}; is a bracket not closed?", kDepthMax)};
    if (!open_.empty() && open_.back().tree->kind == NodeKind::map && !open_.back().key)
      throw Stop{mark.line + 1,
                 "a key must be a word, but a bracket stands here; is it closed, or does text that "
                 "begins with it need quotes?"};
    open_.push_back({.tree = make(kind, mark),
                     .flow = style == YAML::EmitterStyle::Flow,
                     .key = {},
                     .key_line = 0});
  }

  void close() {
    auto tree = std::move(open_.back().tree);
    open_.pop_back();
    attach(std::move(tree));
  }

  void begin_entry(const YAML::Mark& mark, const std::string& key) {
    Frame& frame = open_.back();
    const auto twin = frame.tree->index.find(key);
    if (twin != frame.tree->index.end()) {
      throw Stop{mark.line + 1,
                 fmt::format("the key {} stands twice, first on line {}; remove one",
                             in_quotes(key), frame.tree->entries[twin->second].line)};
    }
    frame.key = key;
    frame.key_line = mark.line + 1;
    frame.key_pos = mark.pos;
  }

  void attach(std::shared_ptr<Tree> value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = open_.back();
    if (frame.tree->kind == NodeKind::list) {
      frame.tree->items.push_back(std::move(value));
      return;
    }
    if (!frame.key)
      throw Stop{value->line,
                 "a key is missing before this ':' (null and ~ are no keys without quotes)"};
    frame.tree->index.emplace(*frame.key, frame.tree->entries.size());
    frame.tree->entries.push_back({std::move(*frame.key), frame.key_line, std::move(value)});
    frame.key.reset();
  }

  std::string_view text_;
  std::shared_ptr<const std::string> name_;
  std::vector<Frame> open_;
  int last_line_ = 1;
  std::shared_ptr<Tree> root_;
};

Result<Node> Node::parse(const std::string& text, const std::string& name) {
  if (text.size() > kTextBytesMax) {
    return wrong_usage(
        "{}:1: the file has {} bytes, more than the {} that are read as YAML; is it the right "
        "file?",
        name, text.size(), kTextBytesMax);
  }
  RETURN_IF_ERROR(check_characters(text, name));
  const std::string lines = normalised(text);
  RETURN_IF_ERROR(check_lines(lines, name));
  const auto last = std::max(static_cast<int>(std::count(lines.begin(), lines.end(), '\n')) - 1, 1);
  std::istringstream stream(lines);
  TreeBuilder builder(lines, name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop& stop) {
    return wrong_usage("{}:{}: {}", name, stop.line, stop.message);
  } catch (const YAML::Exception& error) {
    int line = std::clamp(error.mark.line + 1, 1, last);
    if (is_flow_error(error.msg)) line = builder.open_bracket_line(line);
    if (is_quote_error(error.msg)) line = builder.last_line();
    return wrong_usage("{}:{}: {}", name, line, reworded(error.msg));
  }
  return std::move(builder).finish();
}

}  // namespace boreal::spec
