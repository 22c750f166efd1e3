#include "prep/shards.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tokens/shard.h"

namespace boreal::prep {

namespace {

std::string provenance_json(const corpus::Provenance& from) {
  nlohmann::ordered_json object;
  object["source"] = from.source;
  object["file"] = from.file;
  object["row"] = from.row;
  object["licence"] = from.licence;
  object["bundle"] = from.bundle;
  if (!from.record.empty()) object["record"] = from.record;
  if (!from.card.empty()) object["card"] = from.card;
  if (!from.properties.empty()) object["properties"] = from.properties;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Marks the tokens that hold a byte of [range.begin, range.end).
void mark(const std::vector<text::TokenSpan>& spans, corpus::ByteRange range,
          std::vector<std::uint8_t>& in_loss) {
  auto token = std::partition_point(spans.begin(), spans.end(),
                                    [&](const auto& s) { return s.end <= range.begin; });
  for (; token != spans.end() && token->begin < range.end; ++token) {
    in_loss[static_cast<std::size_t>(token - spans.begin())] = 1;
  }
}

}  // namespace

EncodedDocument encode_document(const text::Tokenizer& tokenizer, const corpus::Document& document,
                                text::TokenId end_of_text) {
  const auto spans = tokenizer.encode_spans(document.text);
  EncodedDocument encoded;
  encoded.ids.reserve(spans.size() + 1);
  for (const text::TokenSpan& span : spans) encoded.ids.push_back(span.id);
  encoded.ids.push_back(end_of_text);
  encoded.in_loss.assign(encoded.ids.size(), document.loss.empty() ? 1 : 0);
  encoded.in_loss.back() = 1;
  // A tokenizer that normalises gives spans of another text than the ranges mean; then the ranges
  // are found by encoding what stands before their ends.
  const bool same_text = spans.empty() || spans.back().end == document.text.size();
  for (const corpus::ByteRange range : document.loss) {
    if (same_text) {
      mark(spans, range, encoded.in_loss);
      continue;
    }
    const std::string_view text = document.text;
    const std::size_t begin = tokenizer.encode(text.substr(0, range.begin)).size();
    const std::size_t end =
        std::min(tokenizer.encode(text.substr(0, range.end)).size(), spans.size());
    for (std::size_t i = begin; i < end; ++i) encoded.in_loss[i] = 1;
  }
  return encoded;
}

std::optional<ShardCounts> finished_shard(Env& env, const std::string& prefix,
                                          const text::Tokenizer& tokenizer) {
  const auto reader = tokens::ShardReader::open(env, prefix);
  if (!reader.ok() || reader->info().tokenizer_fingerprint != tokenizer.fingerprint())
    return std::nullopt;
  const tokens::ShardInfo& info = reader->info();
  return ShardCounts{info.documents, info.tokens, info.loss_tokens};
}

Result<ShardCounts> write_shard(Env& env, const std::vector<const corpus::Document*>& documents,
                                const text::Tokenizer& tokenizer, const std::string& prefix) {
  const auto end_of_text = tokenizer.end_of_text();
  CHECK(end_of_text.has_value());
  tokens::ShardWriterOptions options;
  options.tokenizer_fingerprint = tokenizer.fingerprint();
  options.vocab = tokenizer.vocab_size();
  ASSIGN_OR_RETURN(auto writer, tokens::ShardWriter::create(env, prefix, options));
  for (const corpus::Document* document : documents) {
    const EncodedDocument encoded = encode_document(tokenizer, *document, *end_of_text);
    RETURN_IF_ERROR(writer.add(encoded.ids, encoded.in_loss, provenance_json(document->from)));
  }
  ASSIGN_OR_RETURN(const tokens::ShardInfo info, writer.commit());
  CHECK_EQ(info.documents, static_cast<std::int64_t>(documents.size()));
  return ShardCounts{info.documents, info.tokens, info.loss_tokens};
}

}  // namespace boreal::prep
