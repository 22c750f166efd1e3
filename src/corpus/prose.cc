#include "corpus/prose.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/hash.h"
#include "base/philox.h"
#include "corpus/json_line.h"
#include "corpus/text_file.h"

namespace boreal::corpus {

namespace {

Document document_of(std::string text, const std::string& path, std::int64_t row,
                     const ProseOptions& options) {
  Document document;
  document.text = std::move(text);
  document.from.source = options.source;
  document.from.file = path;
  document.from.row = row;
  document.from.licence = options.licence.empty() ? "unknown" : options.licence;
  document.from.bundle = options.bundle.empty() ? options.source : options.bundle;
  return document;
}

// Indices in the order of the hash of the text: equal texts stand together, whatever the file's
// order.
std::vector<std::size_t> hash_order(const std::vector<Document>& documents, std::uint64_t seed,
                                    const char* purpose) {
  std::vector<std::uint64_t> hash(documents.size());
  for (std::size_t i = 0; i < hash.size(); ++i)
    hash[i] = mix(mix(seed, purpose), documents[i].text);
  std::vector<std::size_t> order(documents.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return hash[a] < hash[b]; });
  return order;
}

void keep_by_hash(Prose& prose, const ProseOptions& options) {
  const auto most = static_cast<std::size_t>(options.records_max);
  if (most == 0 || prose.documents.size() <= most) return;
  const auto order = hash_order(prose.documents, options.seed, "records");
  std::vector<std::size_t> kept(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most));
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = most; i < order.size(); ++i) {
    prose.dropped.add("record beyond max_records",
                      fmt::format("line {}", prose.documents[order[i]].from.row));
  }
  std::vector<Document> documents;
  for (const std::size_t i : kept) documents.push_back(std::move(prose.documents[i]));
  prose.documents = std::move(documents);
}

}  // namespace

Result<Prose> read_json_documents(Env& env, const std::string& path, const ProseOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(env, path));
  ASSIGN_OR_RETURN(auto objects, parse_json_lines(text, path));
  if (objects.empty()) return refused("{}: no JSON line in it", path);
  Prose prose;
  prose.read = static_cast<std::int64_t>(objects.size());
  for (JsonObject& object : objects) {
    const auto field = std::find_if(object.fields.begin(), object.fields.end(),
                                    [&](const JsonField& f) { return f.key == options.field; });
    if (field == object.fields.end()) {
      return refused("{}:{}: no key '{}'; the first key is '{}' (set the source's field)", path,
                     object.line, options.field,
                     object.fields.empty() ? "" : object.fields.front().key);
    }
    if (field->kind != JsonField::Kind::text) {
      return refused("{}:{}: '{}' is no text but {}", path, object.line, options.field,
                     field->kind == JsonField::Kind::null ? "null" : field->text);
    }
    if (field->text.empty()) {
      prose.dropped.add("empty text", fmt::format("line {}", object.line));
    } else {
      prose.documents.push_back(document_of(std::move(field->text), path, object.line, options));
    }
  }
  keep_by_hash(prose, options);
  const auto order = hash_order(prose.documents, options.seed, "split");
  const auto validation = static_cast<std::size_t>(
      std::llround(options.validation * static_cast<double>(order.size())));
  for (std::size_t i = 0; i < std::min(validation, order.size()); ++i)
    prose.documents[order[i]].validation = true;
  return prose;
}

Result<Prose> read_plain_text(Env& env, const std::string& path, const ProseOptions& options) {
  ASSIGN_OR_RETURN(std::string text, read_text_file(env, path));
  if (text.empty()) return refused("{}: an empty text", path);
  Prose prose;
  prose.read = 1;
  const auto wanted = static_cast<std::size_t>(
      std::llround((1 - options.validation) * static_cast<double>(text.size())));
  std::size_t cut = text.size();
  if (wanted < text.size()) {
    // The line border at or before the wanted byte; a text of one line is not split.
    const std::size_t line_end = wanted == 0 ? std::string::npos : text.rfind('\n', wanted - 1);
    if (line_end != std::string::npos) cut = line_end + 1;
  }
  const auto lines_before =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(cut), '\n');
  if (cut < text.size()) {
    prose.documents.push_back(document_of(text.substr(cut), path, lines_before + 1, options));
    prose.documents.back().validation = true;
    text.resize(cut);
  }
  prose.documents.insert(prose.documents.begin(), document_of(std::move(text), path, 1, options));
  return prose;
}

}  // namespace boreal::corpus
