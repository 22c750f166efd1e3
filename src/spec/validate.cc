#include "spec/validate.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "spec/characters.h"
#include "spec/checker.h"
#include "spec/fields.h"
#include "spec/reader.h"
#include "spec/recompute.h"

namespace boreal::spec {

namespace {

// Bounds that no real run meets, low enough that products of a few of them stay below 2^63.
constexpr std::int64_t kWidthMax = std::int64_t{1} << 20;
constexpr std::int64_t kLengthMax = std::int64_t{1} << 28;
constexpr std::int64_t kIdsMax = (std::int64_t{1} << 31) - 1;  // ids are 32-bit with a sign
constexpr std::int64_t kCountMax = std::int64_t{1} << 48;
constexpr std::int64_t kTokensMax = std::int64_t{1} << 60;

void check_world(Checker& check, const std::string& world) {
  if (world == "single" || world == "mpi") return;
  if (world.starts_with("threads:")) {
    const std::string count = world.substr(8);
    const auto threads = Node::scalar(count, "world").as_int("world");
    const bool holds = threads.ok() && *threads >= 1 && *threads <= 4096;
    check.require(
        holds, {"world"},
        "world is {}, but threads: takes the number of ranks, 1 to 4096, as in threads:4.",
        in_quotes(world));
    return;
  }
  const auto near = nearest(world.substr(0, world.find(':')), {"single", "threads:4", "mpi"});
  check.require(false, {"world"}, "world is {}, but must be single, threads:N or mpi.{}",
                in_quotes(world), near ? fmt::format(" Did you mean {}?", *near) : "");
}

void check_positions(Checker& check, const ModelSpec& model) {
  const RopeScalingSpec& scaling = model.rope_scaling;
  if (!model.position.empty())
    check.word("model.position", model.position, {"rotary", "learned", "alibi"});
  check.share("model.rotary_percent", model.rotary_percent);
  check.word("model.rope_scaling.type", scaling.type, {"none", "linear", "llama3"});
  check.positive("model.rope_scaling.factor", scaling.factor);
  check.require(
      scaling.type != "none" || scaling.factor == 1,
      {"model.rope_scaling.factor", "model.rope_scaling.type"},
      "model.rope_scaling.factor is {}, but model.rope_scaling.type is none; write linear "
      "or llama3.",
      scaling.factor);
  check.positive("model.rope_scaling.low", scaling.low);
  check.require(scaling.high > scaling.low, {"model.rope_scaling.high", "model.rope_scaling.low"},
                "model.rope_scaling.high is {}, but must be above model.rope_scaling.low ({}).",
                scaling.high, scaling.low);
  check.range("model.rope_scaling.original_context", scaling.original_context, 1, kLengthMax);
}

void check_attention(Checker& check, const ModelSpec& model) {
  check.range("model.attention.window", model.attention.window, -1, kLengthMax);
  check.range("model.attention.window_begin", model.attention.window_begin, 0, 1 << 14);
  check.not_negative("model.attention.scalar", model.attention.scalar);
  for (const auto& [key, cap] : {std::pair{"model.attention.soft_cap", model.attention.soft_cap},
                                 std::pair{"model.logit_soft_cap", model.logit_soft_cap}})
    check.require(cap == -1 || (cap >= 0 && cap <= 1e30), {key},
                  "{} is {}, but must be positive, 0 (none) or -1 (the family's).", key, cap);
}

void check_model(Checker& check, const ModelSpec& model) {
  check.word("model.family", model.family,
             {"llama", "gpt2", "neox", "mistral", "qwen2", "qwen3", "gemma2", "olmo2"});
  check.range("model.hidden", model.hidden, 1, kWidthMax);
  check.range("model.layers", model.layers, 1, 1 << 14);
  check.range("model.heads", model.heads, 1, kWidthMax);
  check.range("model.kv_heads", model.kv_heads, 0, kWidthMax);
  check.range("model.head_dim", model.head_dim, 0, 1024);
  check.range("model.ffn", model.ffn, 0, std::int64_t{1} << 24);
  check.range("model.vocab", model.vocab, 0, kIdsMax);
  check.range("model.context", model.context, 1, kLengthMax);
  check.word("model.dtype", model.dtype, {"bf16", "fp32"});
  check.positive("model.norm_eps", model.norm_eps);
  check.positive("model.rope_theta", model.rope_theta);
  check.positive("model.init_std", model.init_std);
  check_positions(check, model);
  check_attention(check, model);
  if (!check.fine()) return;
  if (model.head_dim == 0)
    check.divides("model.heads", model.heads, "model.hidden", model.hidden,
                  "each head takes an equal slice");
  if (!check.fine()) return;
  if (model.kv_heads > 0) {
    check.divides("model.kv_heads", model.kv_heads, "model.heads", model.heads,
                  "each key-value head serves as many query heads");
  }
  const bool grouped = model.family != "gpt2" && model.family != "neox";
  check.require(grouped || model.kv_heads == 0 || model.kv_heads == model.heads,
                {"model.kv_heads", "model.family"},
                "model.kv_heads is {}, but model.family {} has as many as model.heads ({}); "
                "remove it or take llama.",
                model.kv_heads, model.family, model.heads);
  if (model.head_dim > 0) {
    check.require(model.head_dim % 2 == 0, {"model.head_dim"},
                  "model.head_dim is {}, but must be even: its features go in pairs.",
                  model.head_dim);
    return;
  }
  const std::int64_t head = model.hidden / model.heads;
  check.require(model.family == "gpt2" || head % 2 == 0, {"model.heads", "model.hidden"},
                "model.hidden / model.heads is {} / {} = {}, but rotary positions ({}) turn "
                "pairs: it must be even.",
                model.hidden, model.heads, head, model.family);
  check.require(head <= 1024, {"model.heads", "model.hidden"},
                "model.hidden / model.heads is {} / {} = {}, but a head is at most 1024 wide.",
                model.hidden, model.heads, head);
}

void check_source(Checker& check, const SourceSpec& source, std::size_t index) {
  const std::string key = fmt::format("data.sources.{}", index);
  std::vector<std::string> kinds;
  if (!source.table.empty()) kinds.emplace_back("table");
  if (!source.text.empty()) kinds.emplace_back("text");
  if (!source.jsonl.empty()) kinds.emplace_back("jsonl");
  if (!source.shards.empty()) kinds.emplace_back("shards");
  if (source.synthetic) kinds.emplace_back("synthetic");
  check.require(!kinds.empty(), {key},
                "{} names no data: give it one of table, text, jsonl, shards, synthetic.", key);
  std::vector<std::string> keys = {key};
  for (const std::string& kind : kinds) keys.push_back(key + "." + kind);
  check.require(kinds.size() <= 1, keys,
                "{} has {}, but a source is of one kind; make each a source of its own.", key,
                fmt::join(kinds, " and "));
  check.require(source.jsonl.empty() || !source.field.empty(), {key + ".field", key},
                "{}.field is empty, but a jsonl source needs the key that holds its text.", key);
  check.require(!source.shards.ends_with(".bin") && !source.shards.ends_with(".idx"),
                {key + ".shards"}, "{0}.shards is {1}, but names the path without .bin and .idx.",
                key, in_quotes(source.shards));
  check.not_negative(key + ".weight", source.weight);
  check.range(key + ".max_records", source.max_records, 0, kCountMax);
}

void check_sources(Checker& check, const std::vector<SourceSpec>& sources) {
  double weight = 0;
  std::set<std::string> names;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    check_source(check, sources[i], i);
    weight += sources[i].weight;
    const std::string& name = sources[i].name;
    const std::string key = fmt::format("data.sources.{}", i);
    check.require(name.empty() || names.insert(name).second, {key + ".name", key},
                  "{}.name is {}, which another source has already; give each a name of its own.",
                  key, in_quotes(name));
  }
  check.require(sources.empty() || weight > 0, {"data.sources.0.weight", "data.sources"},
                "data.sources all have weight 0; give at least one a positive weight.");
}

void check_data(Checker& check, const RunSpec& spec) {
  const DataSpec& data = spec.data;
  check.require(!data.tokenizer.empty(), {"data.tokenizer"},
                "data.tokenizer is empty; write train or the path of a tokenizer.json.");
  check_sources(check, data.sources);
  check.range("data.sequence", data.sequence, 1, kLengthMax);
  check.require(data.validation >= 0 && data.validation < 1, {"data.validation"},
                "data.validation is {}, but must be a share from 0 to below 1.", data.validation);
  check.share("data.warm_records", data.warm_records);
  check.range("data.warm_steps", data.warm_steps, 0, kCountMax);
  // With init_from the checkpoint brings its own context.
  check.require(
      data.sequence <= spec.model.context || !spec.train.init_from.empty(),
      {"data.sequence", "model.context"},
      "data.sequence is {}, longer than model.context ({}); set model.context to at least {}.",
      data.sequence, spec.model.context, data.sequence);
  check.word("data.blend", data.blend, {"tokens", "sources"});
}

void check_tokenizer(Checker& check, const RunSpec& spec) {
  check.range("tokenizer.vocab", spec.tokenizer.vocab, 257, 1 << 24);
  check.word("tokenizer.pattern", spec.tokenizer.pattern, {"words", "gpt2"});
  const auto encoded = [](const SourceSpec& source) {
    return !source.synthetic && source.shards.empty();
  };
  const auto& sources = spec.data.sources;
  const bool trains =
      spec.data.tokenizer == "train" && std::any_of(sources.begin(), sources.end(), encoded);
  check.require(!trains || spec.model.vocab == 0 || spec.model.vocab >= spec.tokenizer.vocab,
                {"model.vocab", "tokenizer.vocab"},
                "model.vocab is {}, less than tokenizer.vocab ({}), so some ids would have no "
                "embedding; write 0 to take "
                "the tokenizer's.",
                spec.model.vocab, spec.tokenizer.vocab);
  const auto synthetic = [](const SourceSpec& source) { return source.synthetic; };
  const bool all_synthetic =
      !sources.empty() && std::all_of(sources.begin(), sources.end(), synthetic);
  check.require(
      !all_synthetic || spec.model.vocab > 0 || spec.data.tokenizer != "train" ||
          !spec.train.init_from.empty(),
      {"model.vocab", "data.sources.0.synthetic"},
      "model.vocab is 0 (the tokenizer's), but synthetic data has no tokenizer; set model.vocab.");
}

void check_cards(Checker& check, const CardsSpec& cards) {
  check.require(!cards.families.empty(), {"cards.families"},
                "cards.families is empty; name a file of phrasing families.");
  check.range("cards.heldout_every", cards.heldout_every, 2, kCountMax);
  check.range("cards.facts_per_document", cards.facts_per_document, 0, kCountMax);
  check.range("cards.max_facts", cards.max_facts, 0, kCountMax);
}

void check_train(Checker& check, const RunSpec& spec) {
  const TrainSpec& train = spec.train;
  check.range("train.steps", train.steps, 0, kCountMax);
  check.range("train.tokens", train.tokens, 0, kTokensMax);
  check.range("train.batch_sequences", train.batch_sequences, 1, kLengthMax);
  check.range("train.micro_batch_sequences", train.micro_batch_sequences, 0, kLengthMax);
  if (const auto policy = parse_recompute(train.recompute, spec.model.layers); !policy.ok())
    check.require(false, {"train.recompute", "model.layers"}, "{}", policy.error().message);
  check.require(!train.optimizer_state.empty(), {"train.optimizer_state"},
                "train.optimizer_state is empty; write memory or the path of a folder.");
  check.require(train.steps == 0 || train.tokens == 0, {"train.tokens", "train.steps"},
                "train.steps is {} and train.tokens is {}, but each decides the length of the run; "
                "set one of them to 0.",
                train.steps, train.tokens);
  if (!check.fine()) return;
  const std::int64_t row_tokens = train.batch_sequences * spec.data.sequence;  // below 2^57
  check.require(
      train.steps <= kTokensMax / row_tokens, {"train.steps", "train.batch_sequences"},
      "train.steps x train.batch_sequences x data.sequence is {} x {} x {}, more than 2^60 tokens.",
      train.steps, train.batch_sequences, spec.data.sequence);
  // Every size in bytes of a step, its activations above all, has to fit 63 bits with room to
  // spare.
  const ModelSpec& model = spec.model;
  const std::int64_t micro =
      train.micro_batch_sequences > 0 ? train.micro_batch_sequences : train.batch_sequences;
  const std::int64_t width = std::max({model.hidden, model.ffn, model.vocab, spec.tokenizer.vocab});
  const double numbers = static_cast<double>(micro) * static_cast<double>(spec.data.sequence) *
                         static_cast<double>(width) * static_cast<double>(model.layers);
  check.require(numbers < 0x1p52, {"model.hidden", "train.batch_sequences", "data.sequence"},
                "a step of {} rows of {} tokens through {} layers of up to {} numbers a token "
                "would be {:.1g} numbers: more than any memory.",
                micro, spec.data.sequence, model.layers, width, numbers);
  const std::int64_t replicas = spec.mesh.dp_replicate * spec.mesh.dp_shard;
  const std::int64_t rows = train.batch_sequences / replicas;
  check.require(
      train.micro_batch_sequences == 0 || rows % train.micro_batch_sequences == 0,
      {"train.micro_batch_sequences", "train.batch_sequences"},
      "train.micro_batch_sequences is {}, which does not divide the {} rows that a rank takes of "
      "train.batch_sequences ({}).",
      train.micro_batch_sequences, rows, train.batch_sequences);
}

void check_optim(Checker& check, const OptimSpec& optim) {
  check.word("optim.name", optim.name, {"adamw"});
  check.positive("optim.lr", optim.lr);
  check.word("optim.schedule", optim.schedule, {"constant", "cosine", "wsd"});
  check.range("optim.warmup_steps", optim.warmup_steps, 0, kCountMax);
  check.share("optim.decay", optim.decay);
  check.share("optim.lr_min", optim.lr_min);
  check.not_negative("optim.weight_decay", optim.weight_decay);
  check.require(optim.betas.size() == 2, {"optim.betas"},
                "optim.betas has {} numbers, but Adam takes two, as in [0.9, 0.95].",
                optim.betas.size());
  for (std::size_t i = 0; i < optim.betas.size(); ++i) {
    const double beta = optim.betas[i];
    check.require(beta >= 0 && beta < 1, {fmt::format("optim.betas.{}", i), "optim.betas"},
                  "optim.betas.{} is {}, but must be from 0 to below 1.", i, beta);
  }
  check.positive("optim.eps", optim.eps);
  check.not_negative("optim.clip", optim.clip);
  check.not_negative("optim.z_loss", optim.z_loss);
}

void check_rest(Checker& check, const RunSpec& spec) {
  check.range("checkpoint.every_steps", spec.checkpoint.every_steps, 0, kCountMax);
  check.range("checkpoint.keep", spec.checkpoint.keep, 0, kCountMax);
  check.range("eval.every_steps", spec.eval.every_steps, 0, kCountMax);
  check.range("eval.max_items", spec.eval.max_items, 0, kCountMax);
  std::set<std::string> tasks;
  for (std::size_t i = 0; i < spec.eval.tasks.size(); ++i) {
    const std::string& task = spec.eval.tasks[i];
    const std::string key = fmt::format("eval.tasks.{}", i);
    check.require(!task.empty(), {key, "eval.tasks"}, "{} is empty, but must name a task.", key);
    check.require(tasks.insert(task).second, {key, "eval.tasks"},
                  "{} is {}, which stands in the list already.", key, in_quotes(task));
  }
}

// resolved_yaml could not write other bytes down.
class TextChecker {
 public:
  TextChecker(Checker& check, std::string prefix) : check_(check), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(const char* key, T& member, const char* /*help*/) {
    test(prefix_ + key, member);
  }

 private:
  template <class T>
  void test(const std::string& path, T& member) {
    if constexpr (std::is_same_v<T, std::string>) {
      check_.require(is_utf8(member), {path}, "{} is {}, which is no valid UTF-8.", path,
                     in_quotes(member));
    } else if constexpr (Section<T>) {
      TextChecker inner(check_, path + ".");
      member.visit(inner);
    } else if constexpr (kIsVector<T>) {
      for (std::size_t i = 0; i < member.size(); ++i)
        test(fmt::format("{}.{}", path, i), member[i]);
    }
  }

  Checker& check_;
  std::string prefix_;
};

}  // namespace

std::optional<Complaint> first_complaint(const RunSpec& spec) {
  Checker check;
  RunSpec copy = spec;
  TextChecker texts(check, "");
  copy.visit(texts);
  check.require(spec.seed >= 0, {"seed"}, "seed is {}, but must be 0 or greater.", spec.seed);
  check_world(check, spec.world);
  check.range("threads", spec.threads, 0, 4096);
  check.positive("dist.time_limit_s", spec.dist.time_limit_s);
  check_model(check, spec.model);
  check_data(check, spec);
  check_tokenizer(check, spec);
  check_cards(check, spec.cards);
  check.add(mesh_complaint(spec.mesh, mesh_work(spec)));
  if (check.fine()) check_train(check, spec);
  check_optim(check, spec.optim);
  check_rest(check, spec);
  return std::move(check).take();
}

Status validate(const RunSpec& spec) {
  if (const auto complaint = first_complaint(spec)) return wrong_usage("{}", complaint->message);
  return Done{};
}

}  // namespace boreal::spec
