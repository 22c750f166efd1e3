// boreal tokens ls|head|stats|verify|find|batches.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/stages.h"
#include "tensor/safetensors.h"
#include "tokens/inspect.h"

namespace boreal::app {

namespace {

using monitor::NumberStyle;

Status list(Env& env, const Arguments& args, bool verify) {
  ASSIGN_OR_RETURN(const std::vector<std::string> prefixes, tokens::list_shards(env, args.path));
  monitor::Table table{.columns = {{"shard", "shard"},
                                   {"documents", "documents", NumberStyle::count},
                                   {"tokens", "tokens", NumberStyle::count},
                                   {"loss_tokens", "in the loss", NumberStyle::count},
                                   {"dtype", "type"},
                                   {"bytes", "bytes", NumberStyle::bytes},
                                   {"state", "state"}}};
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  for (const std::string& prefix : prefixes) {
    ASSIGN_OR_RETURN(const auto shard,
                     tokens::ShardReader::open(env, prefix, {.meta_optional = true}));
    if (verify) RETURN_IF_ERROR(shard.verify());
    const tokens::ShardInfo& info = shard.info();
    table.rows.push_back(
        {prefix, info.documents, info.tokens, info.loss_tokens, std::string(name_of(info.dtype)),
         static_cast<std::int64_t>(info.bytes),
         std::string(verify ? (info.has_meta ? "every byte verified" : "possible (no hashes)")
                            : "")});
    documents += info.documents;
    tokens += info.tokens;
  }
  std::printf("%s", monitor::to_text(table).c_str());
  print_figures(args, {{"shards", prefixes.size()}, {"documents", documents}, {"tokens", tokens}});
  return Done{};
}

Status print_document(const tokens::InspectedDocument& d,
                      const std::optional<text::Tokenizer>& tokenizer) {
  std::printf("document %ld, %ld tokens  %s\n", static_cast<long>(d.document),
              static_cast<long>(d.tokens), d.provenance.c_str());
  if (tokenizer.has_value()) {
    std::printf("%s\n\n", tokenizer->decode(d.ids).c_str());
    return Done{};
  }
  for (std::size_t i = 0; i < d.ids.size(); ++i)
    std::printf("%s%d%s", i == 0 ? "" : " ", d.ids[i], d.loss[i] != 0 ? "*" : "");
  std::printf("\n\n");
  return Done{};
}

Status head(Env& env, const Arguments& args) {
  std::optional<text::Tokenizer> tokenizer;
  if (!args.tokenizer.empty()) {
    ASSIGN_OR_RETURN(tokenizer, text::Tokenizer::load(env, args.tokenizer));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> prefixes, tokens::list_shards(env, args.path));
  std::size_t shown = 0;
  for (const std::string& prefix : prefixes) {
    ASSIGN_OR_RETURN(const auto shard,
                     tokens::ShardReader::open(env, prefix, {.meta_optional = true}));
    ASSIGN_OR_RETURN(const auto documents, tokens::head(shard, {.documents = args.count}));
    std::printf("%s (* counts in the loss)\n", prefix.c_str());
    for (const tokens::InspectedDocument& d : documents)
      RETURN_IF_ERROR(print_document(d, tokenizer));
    shown += documents.size();
  }
  print_figures(args, {{"shards", prefixes.size()}, {"documents", shown}});
  return Done{};
}

Status find(Env& env, const Arguments& args) {
  ASSIGN_OR_RETURN(const std::vector<std::string> prefixes, tokens::list_shards(env, args.path));
  std::int64_t found = 0;
  for (const std::string& prefix : prefixes) {
    ASSIGN_OR_RETURN(const auto shard,
                     tokens::ShardReader::open(env, prefix, {.meta_optional = true}));
    ASSIGN_OR_RETURN(const auto documents, tokens::find_documents(shard, args.text, args.count));
    for (const std::int64_t document : documents) {
      ASSIGN_OR_RETURN(const std::string_view line, shard.provenance(document));
      std::printf("%s %ld %s\n", prefix.c_str(), static_cast<long>(document),
                  std::string(line).c_str());
      ++found;
    }
  }
  print_figures(args, {{"found", found}});
  return Done{};
}

Status stats(Env& env, const Arguments& args) {
  ASSIGN_OR_RETURN(const std::vector<std::string> prefixes, tokens::list_shards(env, args.path));
  monitor::Table table{.columns = {{"shard", "shard"},
                                   {"documents", "documents", NumberStyle::count},
                                   {"tokens", "tokens", NumberStyle::count},
                                   {"mean", "mean", NumberStyle::plain, 1},
                                   {"p50", "p50", NumberStyle::count},
                                   {"p90", "p90", NumberStyle::count},
                                   {"max", "longest", NumberStyle::count},
                                   {"ids", "distinct ids", NumberStyle::count}}};
  for (const std::string& prefix : prefixes) {
    ASSIGN_OR_RETURN(const auto shard,
                     tokens::ShardReader::open(env, prefix, {.meta_optional = true}));
    ASSIGN_OR_RETURN(const tokens::ShardStats s, tokens::stats(shard));
    table.rows.push_back({prefix, s.info.documents, s.info.tokens, s.length_mean, s.length_p50,
                          s.length_p90, s.length_max, s.ids_distinct});
  }
  std::printf("%s", monitor::to_text(table).c_str());
  print_figures(args, nlohmann::ordered_json::parse(monitor::to_json(table)));
  return Done{};
}

// The batches of all steps, one behind the other, as tensors [steps, rows, sequence].
Status write_batches(Env& env, const std::string& path, const std::vector<tokens::Batch>& batches) {
  std::vector<std::int32_t> input, target, position, doc_begin;
  std::vector<float> weight;
  for (const tokens::Batch& b : batches) {
    input.insert(input.end(), b.input.begin(), b.input.end());
    target.insert(target.end(), b.target.begin(), b.target.end());
    position.insert(position.end(), b.position.begin(), b.position.end());
    doc_begin.insert(doc_begin.end(), b.doc_begin.begin(), b.doc_begin.end());
    weight.insert(weight.end(), b.weight.begin(), b.weight.end());
  }
  const tensor::Shape shape{static_cast<std::int64_t>(batches.size()), batches[0].rows,
                            batches[0].sequence};
  const tensor::NamedTensor named[] = {{"input", {input.data(), DType::i32, shape}},
                                       {"target", {target.data(), DType::i32, shape}},
                                       {"weight", {weight.data(), DType::f32, shape}},
                                       {"position", {position.data(), DType::i32, shape}},
                                       {"doc_begin", {doc_begin.data(), DType::i32, shape}}};
  return tensor::write_safetensors(env, path, named, {});
}

Status batches(const Arguments& args) {
  ASSIGN_OR_RETURN(Run run, open_run(args));
  ASSIGN_OR_RETURN(const prep::PrepSummary prep, prep_stage(run));
  ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, prep));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model_config(run, input));
  const tokens::StreamOptions options = train::stream_options(run.spec, input, config.vocab);
  std::vector<tokens::Batch> all;
  if (args.steps == "validation") {
    for (const tokens::StreamSource& source : input.validation) {
      // One row a batch, so that all have one shape.
      ASSIGN_OR_RETURN(auto more, tokens::validation_batches(run.env, source, options, 1));
      std::ranges::move(more, std::back_inserter(all));
    }
  } else {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    const char* at = args.steps.data();
    const char* stop = at + args.steps.size();
    const auto first = std::from_chars(at, stop, begin);
    const bool dots =
        first.ec == std::errc() && std::string_view(first.ptr, stop).starts_with("..");
    if (!dots || std::from_chars(first.ptr + 2, stop, end).ptr != stop || begin < 0 || end <= begin)
      return wrong_usage("--steps: \"{}\" is no range a..b with a < b, nor \"validation\"",
                         args.steps);
    ASSIGN_OR_RETURN(const auto stream, tokens::TokenStream::open(run.env, input.train, options));
    for (std::int64_t step = begin; step < end; ++step) all.push_back(stream.batch(step, {}));
  }
  if (all.empty()) return refused("{}: no such batches", args.steps);
  RETURN_IF_ERROR(write_batches(run.env, args.to, all));
  print_figures(args, {{"to", args.to},
                       {"batches", all.size()},
                       {"rows", all[0].rows},
                       {"sequence", all[0].sequence}});
  return Done{};
}

}  // namespace

Status run_tokens(const Arguments& args) {
  Env& env = Env::real();
  if (args.sub == "ls") return list(env, args, false);
  if (args.sub == "verify") return list(env, args, true);
  if (args.sub == "head") return head(env, args);
  if (args.sub == "find") return find(env, args);
  if (args.sub == "stats") return stats(env, args);
  return batches(args);
}

}  // namespace boreal::app
