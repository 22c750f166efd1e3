// boreal tokens ls|head|stats|verify|find|batches.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/places.h"
#include "app/stages.h"
#include "device/machine.h"
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
class BatchFile {
 public:
  // Of one token in all five tensors.
  static constexpr std::int64_t kTokenBytes = 4 * sizeof(std::int32_t) + sizeof(float);

  void add(const tokens::Batch& b) {
    ++batches;
    rows = b.rows;
    sequence = b.sequence;
    input_.insert(input_.end(), b.input.begin(), b.input.end());
    target_.insert(target_.end(), b.target.begin(), b.target.end());
    position_.insert(position_.end(), b.position.begin(), b.position.end());
    doc_begin_.insert(doc_begin_.end(), b.doc_begin.begin(), b.doc_begin.end());
    weight_.insert(weight_.end(), b.weight.begin(), b.weight.end());
  }
  Status write(Env& env, const std::string& path) {
    const tensor::Shape shape{batches, rows, sequence};
    const tensor::NamedTensor named[] = {{"input", {input_.data(), DType::i32, shape}},
                                         {"target", {target_.data(), DType::i32, shape}},
                                         {"weight", {weight_.data(), DType::f32, shape}},
                                         {"position", {position_.data(), DType::i32, shape}},
                                         {"doc_begin", {doc_begin_.data(), DType::i32, shape}}};
    return tensor::write_safetensors(env, path, named, {});
  }

  std::int64_t batches = 0;
  std::int64_t rows = 0;
  std::int64_t sequence = 0;

 private:
  std::vector<std::int32_t> input_, target_, position_, doc_begin_;
  std::vector<float> weight_;
};

struct StepRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// "a..b" of this spec's run, small enough to be held.
Result<StepRange> step_range(Env& env, const std::string& text, const spec::RunSpec& spec) {
  StepRange range;
  const char* stop = text.data() + text.size();
  const auto first = std::from_chars(text.data(), stop, range.begin);
  const bool dots = first.ec == std::errc() && std::string_view(first.ptr, stop).starts_with("..");
  const auto second = dots ? std::from_chars(first.ptr + 2, stop, range.end) : first;
  if (!dots || second.ec != std::errc() || second.ptr != stop || range.begin < 0 ||
      range.end <= range.begin)
    return wrong_usage("--steps: \"{}\" is no range a..b with a < b, nor \"validation\"", text);
  const std::int64_t steps = train::steps_of(spec);
  if (range.end > steps)
    return wrong_usage("--steps: {} ends after step {}, but the run has {} steps", text, range.end,
                       steps);
  // In floating point: the product may be beyond 2^63.
  const double bytes = static_cast<double>(range.end - range.begin) *
                       static_cast<double>(spec.train.batch_sequences) *
                       static_cast<double>(spec.data.sequence) * BatchFile::kTokenBytes;
  const auto memory = static_cast<double>(device::read_machine(env).memory_bytes);
  if (bytes > memory / 2)
    return wrong_usage(
        "--steps: {} is {:.1f} GB, held until it is written, and this machine has {:.1f} GB; write "
        "it in pieces of half of that at most",
        text, bytes * 1e-9, memory * 1e-9);
  return range;
}

Status add_validation(Run& run, const train::TrainInput& input,
                      const tokens::StreamOptions& options, BatchFile& file) {
  for (const tokens::StreamSource& source : input.validation) {
    // One row a batch, so that all have one shape.
    ASSIGN_OR_RETURN(const auto batches, tokens::validation_batches(run.env, source, options, 1));
    for (const tokens::Batch& batch : batches) file.add(batch);
  }
  return Done{};
}

Status batches(const Arguments& args) {
  RETURN_IF_ERROR(check_file_to_write(Env::real(), "--to", args.to));
  const bool validation = args.steps == "validation";
  StepRange range;
  if (!validation) {
    // Before open_run(), which makes the output folder.
    ASSIGN_OR_RETURN(const auto spec, spec::read_run_spec(Env::real(), args.spec, args.sets));
    ASSIGN_OR_RETURN(range, step_range(Env::real(), args.steps, spec));
  }
  dist::World alone;
  ASSIGN_OR_RETURN(Run run, open_run(args, alone, {.imagined = true}));
  ASSIGN_OR_RETURN(const prep::PrepSummary prep, prep_stage(run));
  ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, prep));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model_config(run, input));
  const tokens::StreamOptions options = train::stream_options(run.spec, input, config.vocab);
  BatchFile file;
  if (validation) {
    RETURN_IF_ERROR(add_validation(run, input, options, file));
  } else {
    ASSIGN_OR_RETURN(const auto stream, tokens::TokenStream::open(run.env, input.train, options));
    for (std::int64_t step = range.begin; step < range.end; ++step)
      file.add(stream.batch(step, {}));
  }
  if (file.batches == 0) return refused("{}: no such batches", args.steps);
  RETURN_IF_ERROR(file.write(run.env, args.to));
  print_figures(args, {{"to", args.to},
                       {"batches", file.batches},
                       {"rows", file.rows},
                       {"sequence", file.sequence}});
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
