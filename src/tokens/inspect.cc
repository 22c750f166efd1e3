#include "tokens/inspect.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "tokens/shard_format.h"

namespace boreal::tokens {

namespace {

// "a/b.idx" -> "a/b"; "" if the name is not that of a file that only a shard has. A lone .jsonl or
// .bin may be anything.
std::string prefix_of(const std::string& path) {
  for (const std::string_view suffix :
       {std::string_view(".idx"), std::string_view(".loss"), kMetaSuffix})
    if (path.size() > suffix.size() && path.ends_with(suffix))
      return path.substr(0, path.size() - suffix.size());
  return {};
}

Status collect(Env& env, const std::string& folder, int depth, std::set<std::string>& found) {
  ASSIGN_OR_RETURN(const auto names, env.list_dir(folder));
  for (const std::string& name : names) {
    const std::string path = join_path(folder, name);
    if (env.is_dir(path)) {
      if (depth > 0) RETURN_IF_ERROR(collect(env, path, depth - 1, found));
      continue;
    }
    if (std::string prefix = prefix_of(path); !prefix.empty()) found.insert(std::move(prefix));
  }
  return Done{};
}

bool is_prefix(Env& env, const std::string& path) {
  return env.exists(path + std::string(kMetaSuffix)) || env.exists(shard_path(path, kIdx)) ||
         env.exists(shard_path(path, kLoss));
}

std::int64_t percentile(const std::vector<std::int64_t>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

void add_lengths(const ShardReader& shard, ShardStats& stats) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(stats.info.documents));
  for (std::size_t d = 0; d < lengths.size(); ++d)
    lengths[d] = shard.document_tokens(static_cast<std::int64_t>(d));
  if (lengths.empty()) return;
  std::ranges::sort(lengths);
  stats.documents_empty = std::ranges::count(lengths, 0);
  stats.length_min = lengths.front();
  stats.length_p50 = percentile(lengths, 0.50);
  stats.length_p90 = percentile(lengths, 0.90);
  stats.length_p99 = percentile(lengths, 0.99);
  stats.length_max = lengths.back();
  stats.length_mean = static_cast<double>(stats.info.tokens) / static_cast<double>(lengths.size());
}

}  // namespace

Result<std::vector<std::string>> list_shards(Env& env, const std::string& path) {
  std::set<std::string> found;
  if (env.is_dir(path)) {
    RETURN_IF_ERROR(collect(env, path, 1, found));
  } else if (is_prefix(env, path)) {
    found.insert(path);
  } else {
    for (const std::string_view suffix :
         {std::string_view(".bin"), std::string_view(".idx"), std::string_view(".loss"),
          std::string_view(".jsonl"), kMetaSuffix}) {
      if (!path.ends_with(suffix)) continue;
      if (std::string prefix = path.substr(0, path.size() - suffix.size()); is_prefix(env, prefix))
        found.insert(std::move(prefix));
    }
  }
  if (found.empty()) return refused("no token shard at {}", path);
  return std::vector<std::string>(found.begin(), found.end());
}

Result<ShardInfo> summarise(Env& env, const std::string& prefix) {
  ASSIGN_OR_RETURN(const ShardReader shard,
                   ShardReader::open(env, prefix, {.meta_optional = true}));
  return shard.info();
}

Result<std::vector<InspectedDocument>> head(const ShardReader& shard, HeadOptions options) {
  const std::int64_t documents = shard.info().documents;
  const std::int64_t first = std::clamp<std::int64_t>(options.first, 0, documents);
  const std::int64_t count = std::clamp<std::int64_t>(options.documents, 0, documents - first);
  std::vector<InspectedDocument> result;
  for (std::int64_t d = first; d < first + count; ++d) {
    InspectedDocument& document = result.emplace_back();
    document.document = d;
    document.tokens = shard.document_tokens(d);
    const std::int64_t shown =
        options.tokens_max > 0 ? std::min(options.tokens_max, document.tokens) : document.tokens;
    document.ids.resize(static_cast<std::size_t>(shown));
    document.loss.resize(static_cast<std::size_t>(shown));
    shard.read_ids(shard.document_begin(d), document.ids);
    shard.read_loss(shard.document_begin(d), document.loss);
    ASSIGN_OR_RETURN(document.provenance, shard.provenance(d));
  }
  return result;
}

Result<std::vector<std::int64_t>> find_documents(const ShardReader& shard, std::string_view text,
                                                 std::int64_t documents_max) {
  std::vector<std::int64_t> found;
  for (std::int64_t d = 0; d < shard.info().documents; ++d) {
    if (documents_max > 0 && static_cast<std::int64_t>(found.size()) == documents_max) break;
    ASSIGN_OR_RETURN(const std::string_view line, shard.provenance(d));
    if (line.find(text) != std::string_view::npos) found.push_back(d);
  }
  return found;
}

Result<ShardStats> stats(const ShardReader& shard, std::size_t ids_frequent_max) {
  ShardStats stats;
  stats.info = shard.info();
  add_lengths(shard, stats);
  std::unordered_map<std::int32_t, std::int64_t> counts;
  std::vector<std::int32_t> ids(std::size_t{1} << 16);
  for (std::int64_t at = 0; at < stats.info.tokens;) {
    const std::int64_t n = std::min<std::int64_t>(stats.info.tokens - at, std::int64_t{1} << 16);
    const auto part = std::span(ids).first(static_cast<std::size_t>(n));
    shard.read_ids(at, part);
    for (const std::int32_t id : part) {
      if (id < 0) return refused("{}.bin: an id is {}, below 0", stats.info.prefix, id);
      ++counts[id];
    }
    at += n;
  }
  stats.ids_distinct = static_cast<std::int64_t>(counts.size());
  for (const auto& [id, count] : counts) stats.ids_frequent.push_back({id, count});
  std::ranges::sort(stats.ids_frequent, [](const IdCount& a, const IdCount& b) {
    return a.count != b.count ? a.count > b.count : a.id < b.id;
  });
  if (stats.ids_frequent.size() > ids_frequent_max) stats.ids_frequent.resize(ids_frequent_max);
  return stats;
}

}  // namespace boreal::tokens
