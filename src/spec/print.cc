// resolved_yaml, spec_hash, describe_keys: the fields of a RunSpec as text.
#include <algorithm>
#include <cctype>
#include <utility>

#include "base/hash.h"
#include "spec/characters.h"
#include "spec/fields.h"
#include "spec/node.h"
#include "spec/reader.h"

namespace boreal::spec {

namespace {

// Without quotes only what every reader of YAML takes for the same text: words and paths that are
// no number, bool or null.
bool plain_is_safe(std::string_view text) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const auto inner = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/' ||
           c == ':';
  };
  if (text.empty() || !(letter(text[0]) || text[0] == '/' || text.starts_with("../"))) return false;
  if (!std::all_of(text.begin(), text.end(), inner) || text.back() == ':') return false;
  std::string word(text);
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static constexpr const char* kTyped[] = {"null", "true", "false", "yes", "no",
                                           "on",   "off",  "y",     "n"};
  return std::none_of(std::begin(kTyped), std::end(kTyped),
                      [&](const char* typed) { return word == typed; });
}

std::string scalar_yaml(const std::string& text) {
  if (plain_is_safe(text)) return text;
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length =
        std::max<std::size_t>(character_length(std::string_view(text).substr(at)), 1);
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto last = static_cast<unsigned char>(text[at + length - 1]);
    const std::string_view character = std::string_view(text).substr(at, length);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[at];
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f || (length == 2 && byte == 0xc2 && last < 0xa0)) {
      out += fmt::format("\\x{:02x}", last);
    } else if (character == "\xef\xbb\xbf") {
      out += "\\ufeff";  // a byte-order mark inside a text would be lost
    } else {
      out += character;
    }
    at += length;
  }
  return out + '"';
}

std::string scalar_yaml(std::int64_t value) {
  return fmt::format("{}", value);
}
std::string scalar_yaml(double value) {
  return fmt::format("{}", value);
}
std::string scalar_yaml(bool value) {
  return value ? "true" : "false";
}

template <class T>
std::string flow_yaml(const std::vector<T>& values) {
  std::string out = "[";
  for (const T& value : values) out += (out.size() > 1 ? ", " : "") + scalar_yaml(value);
  return out + "]";
}

// Block style: sections indent by two, lists of texts and of sections one item a line.
class YamlWriter {
 public:
  YamlWriter(std::string& out, std::size_t indent, std::vector<std::string> leave_out)
      : out_(out), indent_(indent), leave_out_(std::move(leave_out)) {}

  template <class T>
  void operator()(const char* key, T& member, const char* /*help*/) {
    if (std::find(leave_out_.begin(), leave_out_.end(), key) != leave_out_.end()) return;
    out_ += (first_as_item_ ? std::string() : std::string(indent_, ' ')) + key + ":";
    first_as_item_ = false;
    write(member);
  }

  // The first key stands behind the "- " of a list item.
  void begin_item() { first_as_item_ = true; }

 private:
  template <class T>
  void write(T& member) {
    if constexpr (Section<T>) {
      out_ += "\n";
      YamlWriter inner(out_, indent_ + 2, {});
      member.visit(inner);
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
      out_ += " " + flow_yaml(member) + "\n";
    } else if constexpr (kIsVector<T>) {
      out_ += member.empty() ? " []\n" : "\n";
      for (auto& item : member) write_item(item);
    } else {
      out_ += " " + scalar_yaml(member) + "\n";
    }
  }

  template <class T>
  void write_item(T& item) {
    out_ += std::string(indent_ + 2, ' ') + "- ";
    if constexpr (Section<T>) {
      YamlWriter inner(out_, indent_ + 4, {});
      inner.begin_item();
      item.visit(inner);
    } else {
      out_ += scalar_yaml(item) + "\n";
    }
  }

  std::string& out_;
  std::size_t indent_;
  std::vector<std::string> leave_out_;
  bool first_as_item_ = false;
};

std::string yaml_of(RunSpec spec, std::vector<std::string> leave_out) {
  std::string out;
  YamlWriter writer(out, 0, std::move(leave_out));
  spec.visit(writer);
  return out;
}

class FieldLister {
 public:
  FieldLister(std::vector<Field>& fields, std::string prefix)
      : fields_(fields), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(const char* key, T& member, const char* help) {
    const std::string path = prefix_ + key;
    if constexpr (Section<T>) {
      FieldLister inner(fields_, path + ".");
      member.visit(inner);
    } else if constexpr (kIsVector<T>) {
      list(path, member, help);
    } else {
      fields_.push_back({path, type_name<T>(), scalar_yaml(member), help});
    }
  }

 private:
  template <class T>
  void list(const std::string& path, const std::vector<T>& member, const char* help) {
    if constexpr (Section<T>) {
      fields_.push_back({path, type_name<std::vector<T>>(), "[]", help});
      T item;
      FieldLister inner(fields_, path + ".N.");
      item.visit(inner);
    } else {
      fields_.push_back({path, type_name<std::vector<T>>(), flow_yaml(member), help});
    }
  }

  std::vector<Field>& fields_;
  std::string prefix_;
};

}  // namespace

std::vector<Field> all_fields() {
  std::vector<Field> fields;
  FieldLister lister(fields, "");
  RunSpec defaults;
  defaults.visit(lister);
  return fields;
}

std::string key_hint(const std::string& key, const std::vector<std::string>& beside,
                     const std::string& prefix) {
  if (const auto near = nearest(key, beside))
    return fmt::format("did you mean {}{}?", prefix, *near);
  const std::vector<Field> fields = all_fields();
  for (const Field& field : fields)
    if (field.path.ends_with("." + key)) return fmt::format("did you mean {}?", field.path);
  return fmt::format("known here: {}", fmt::join(beside, ", "));
}

std::string resolved_yaml(const RunSpec& spec) {
  return yaml_of(spec, {});
}

std::string spec_hash(const RunSpec& spec) {
  // The mesh is no part of what a run is: another one goes on with it.
  RunSpec on_one_rank = spec;
  on_one_rank.mesh = {};
  on_one_rank.train.optimizer_state = "memory";  // nor is where its state lies
  return xxh3_128_hex(yaml_of(on_one_rank, {"world", "threads", "dist", "checkpoint", "eval"}));
}

std::string describe_keys(const std::vector<std::string>& sections) {
  const std::vector<std::string> known = keys_of(RunSpec());
  for (const std::string& section : sections)
    CHECK(std::find(known.begin(), known.end(), section) != known.end(), "no section {}", section);
  std::vector<Field> shown;
  if (sections.empty())
    shown.push_back(
        {"base", "text", "\"\"", "another spec, read first and overridden by this one"});
  for (Field& field : all_fields()) {
    const std::string section = field.path.substr(0, field.path.find('.'));
    if (sections.empty() || std::find(sections.begin(), sections.end(), section) != sections.end())
      shown.push_back(std::move(field));
  }
  std::size_t path = 0;
  std::size_t type = 0;
  std::size_t standard = 0;
  for (const Field& field : shown) {
    path = std::max(path, field.path.size());
    type = std::max(type, field.type.size());
    standard = std::max(standard, field.standard.size());
  }
  std::string out;
  for (const Field& field : shown) {
    out += fmt::format("{:<{}}  {:<{}}  {:<{}}  {}\n", field.path, path, field.type, type,
                       field.standard, standard, field.help);
  }
  return out;
}

}  // namespace boreal::spec
