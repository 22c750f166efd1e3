// RunSpec: the typed description of a run, the only thing parsed from text. Read with read_run_spec
// (reader.h), printed and hashed by the same list of fields, so a field added here is read,
// checked, printed and listed in --help at once.
//
// A field is visited as v(key, member, help): help is "what it is [unit]". Defaults are the member
// initialisers. Thread rule: a value; const after reading.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boreal::spec {

struct AttentionSpec {
  std::int64_t window = -1;
  std::int64_t window_begin = 0;
  double soft_cap = -1;
  double scalar = 0;

  template <class V>
  void visit(V& v) {
    v("window", window,
      "keys a query sees, itself the last [tokens]; 0: all; -1: the family's (4096 of mistral and "
      "gemma2, else all)");
    v("window_begin", window_begin,
      "first layer with the window (qwen2, qwen3); gemma2 has it in every other layer");
    v("soft_cap", soft_cap,
      "a score s becomes cap tanh(s / cap); 0: stays; -1: the family's (50 of gemma2)");
    v("scalar", scalar, "scores are divided by its root (gemma2); 0: the size of a head");
  }
};

struct RopeScalingSpec {
  std::string type = "none";
  double factor = 1;
  double low = 1;
  double high = 4;
  std::int64_t original_context = 8192;

  template <class V>
  void visit(V& v) {
    v("type", type, "none, linear (all frequencies over factor) or llama3 (the low ones)");
    v("factor", factor, "what frequencies are divided by");
    v("low", low, "llama3: fewer turns than this in original_context are divided");
    v("high", high, "llama3: more turns than this stay as they are");
    v("original_context", original_context,
      "llama3: the context the frequencies were made for [tokens]");
  }
};

struct ModelSpec {
  std::string family = "llama";
  std::int64_t hidden = 256;
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn = 0;
  std::int64_t vocab = 0;
  std::int64_t context = 256;
  std::string dtype = "bf16";
  bool tied_embeddings = true;
  double norm_eps = 1e-5;
  std::string position;
  double rope_theta = 10000;
  double rotary_percent = 0;
  RopeScalingSpec rope_scaling;
  AttentionSpec attention;
  double logit_soft_cap = -1;
  double init_std = 0.02;

  template <class V>
  void visit(V& v) {
    v("family", family, "model family: llama, gpt2, neox, mistral, qwen2, qwen3, gemma2, olmo2");
    v("hidden", hidden, "width of the residual stream [elements]");
    v("layers", layers, "number of blocks");
    v("heads", heads, "query heads");
    v("kv_heads", kv_heads, "key and value heads; 0: as many as heads");
    v("head_dim", head_dim, "size of a head [elements]; 0: hidden / heads");
    v("ffn", ffn,
      "width of the MLP [elements]; 0: 4 x hidden (gpt2, neox), else 8/3 x hidden rounded up to "
      "64");
    v("vocab", vocab, "vocabulary [ids]; 0: the tokenizer's");
    v("context", context, "longest sequence the model takes [tokens]");
    v("dtype", dtype, "bf16 (fp32 masters and gradient sums) or fp32");
    v("tied_embeddings", tied_embeddings, "the head shares the embedding's matrix");
    v("norm_eps", norm_eps, "epsilon of RMSNorm or LayerNorm");
    v("position", position,
      "how order is told: rotary, learned or alibi (own models only); default: the family's");
    v("rope_theta", rope_theta, "base of the rotary frequencies");
    v("rotary_percent", rotary_percent,
      "share of a head's features that turn (neox); 0: the family's (0.25 of neox, else all)");
    v("rope_scaling", rope_scaling, "rotary frequencies for longer contexts");
    v("attention", attention, "windows and caps of attention");
    v("logit_soft_cap", logit_soft_cap,
      "soft cap of the logits; 0: none; -1: the family's (30 of gemma2)");
    v("init_std", init_std, "standard deviation of the initial matrices");
  }
};

// Where text comes from. Exactly one of table, text, jsonl, shards, synthetic is set.
struct SourceSpec {
  std::string name;
  std::string table;
  std::string text;
  std::string jsonl;
  std::string shards;
  bool synthetic = false;
  std::string field = "text";
  std::string bundle;
  std::string licence;
  double weight = 1;
  std::int64_t max_records = 0;

  template <class V>
  void visit(V& v) {
    v("name", name, "name in reports; default: the file's");
    v("table", table,
      "a table (.csv, .tsv, .jsonl, also .gz, .zst) with its card templates (.yaml) beside it");
    v("text", text, "plain text (.txt, also .gz, .zst)");
    v("jsonl", jsonl, "JSON lines, one document a line");
    v("shards", shards, "finished token shards: path without .bin/.idx");
    v("synthetic", synthetic, "uniformly random token ids, for benchmarks");
    v("field", field, "the key that holds the text of a JSON line");
    v("bundle", bundle,
      "name under which scores and counts are grouped; default: the table's tranche or the name");
    v("licence", licence, "licence of the documents; default: the table's");
    v("weight", weight, "weight in the blend of training samples (see data.blend)");
    v("max_records", max_records, "use only so many records, picked by hash; 0: all");
  }
};

struct DataSpec {
  std::string root = "../shared/data";
  std::string tokenizer = "train";
  std::vector<SourceSpec> sources;
  std::string blend = "tokens";
  std::int64_t sequence = 256;
  bool document_mask = true;
  double validation = 0.05;
  double warm_records = 0;
  std::int64_t warm_steps = 0;

  template <class V>
  void visit(V& v) {
    v("root", root, "folder that relative paths of sources start from");
    v("tokenizer", tokenizer,
      "train: make one from the documents; or the path of a tokenizer.json");
    v("sources", sources, "list of sources");
    v("blend", blend,
      "what a source's weight multiplies: tokens (its size: equal weights give equal epochs) or "
      "sources (each source alike)");
    v("sequence", sequence, "length of a training row [tokens]");
    v("document_mask", document_mask,
      "documents in one row do not see each other and count positions from zero");
    v("validation", validation,
      "share of the records (of the text, for plain text) kept for validation");
    v("warm_records", warm_records,
      "share of the documents that the first warm_steps draw from; 0: all");
    v("warm_steps", warm_steps, "steps that see only warm_records of the documents");
  }
};

struct TokenizerSpec {
  std::int64_t vocab = 4096;
  std::string pattern = "words";

  template <class V>
  void visit(V& v) {
    v("vocab", vocab, "size of a trained vocabulary [ids]");
    v("pattern", pattern,
      "how text is cut before merging: words (a name has the same ids everywhere) or gpt2");
  }
};

struct CardsSpec {
  std::string families = "data/families.yaml";
  std::int64_t heldout_every = 4;
  std::int64_t facts_per_document = 1;
  std::int64_t max_facts = 0;
  bool loss_on_values = true;

  template <class V>
  void visit(V& v) {
    v("families", families, "file of phrasing families");
    v("heldout_every", heldout_every, "of so many families one is held out for each property");
    v("facts_per_document", facts_per_document,
      "facts a document holds; 0: as many as fit the sequence");
    v("max_facts", max_facts, "train on a named set of so many facts (record, property); 0: all");
    v("loss_on_values", loss_on_values, "only the tokens of values count in the loss");
  }
};

struct MeshSpec {
  std::int64_t dp_replicate = 1;
  std::int64_t dp_shard = 1;
  std::int64_t zero = 1;
  std::int64_t tp = 1;
  bool sequence_parallel = true;
  std::int64_t pp = 1;
  std::int64_t cp = 1;
  std::int64_t ep = 1;

  template <class V>
  void visit(V& v) {
    v("dp_replicate", dp_replicate, "data-parallel replicas");
    v("dp_shard", dp_shard, "data-parallel ranks that share the optimizer state");
    v("zero", zero, "what dp_shard shards: 1 optimizer state, 2 and gradients, 3 and weights");
    v("tp", tp, "tensor-parallel ranks");
    v("sequence_parallel", sequence_parallel,
      "split activations between the tensor-parallel pairs");
    v("pp", pp, "pipeline stages");
    v("cp", cp, "context-parallel ranks");
    v("ep", ep, "expert-parallel ranks");
  }
};

struct DistSpec {
  double time_limit_s = 1800;
  bool debug = false;

  template <class V>
  void visit(V& v) {
    v("time_limit_s", time_limit_s,
      "a collective that takes longer ends the run and names the ranks that are missing; above "
      "what one rank may do alone, as a save");
    v("debug", debug,
      "ranks compare what they are about to do before each collective and name who disagrees");
  }
};

struct TrainSpec {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  std::int64_t batch_sequences = 8;
  std::int64_t micro_batch_sequences = 0;
  std::string recompute = "none";
  std::string optimizer_state = "memory";
  std::string init_from;

  template <class V>
  void visit(V& v) {
    v("steps", steps, "optimizer steps; or give tokens");
    v("tokens", tokens, "training tokens, rounded up to whole steps [tokens]");
    v("batch_sequences", batch_sequences, "rows in one optimizer step, over all ranks");
    v("micro_batch_sequences", micro_batch_sequences,
      "rows in one forward and backward of a rank; 0: all of its rows");
    v("recompute", recompute,
      "activations dropped and made again: none, selective, full, or by block: full 0-3, "
      "selective 4-9");
    v("optimizer_state", optimizer_state,
      "where the optimizer's moments live: memory, or a folder in which each rank maps a file");
    v("init_from", init_from, "Hugging Face folder or checkpoint with the initial weights");
  }
};

struct OptimSpec {
  std::string name = "adamw";
  double lr = 1e-3;
  std::string schedule = "cosine";
  std::int64_t warmup_steps = 0;
  double decay = 0.2;
  double lr_min = 0;
  double weight_decay = 0.1;
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
  double clip = 1.0;
  double z_loss = 0;

  template <class V>
  void visit(V& v) {
    v("name", name, "update rule: adamw");
    v("lr", lr, "peak learning rate");
    v("schedule", schedule, "constant, cosine or wsd (warm-up, stable, decay), after the warm-up");
    v("warmup_steps", warmup_steps, "linear rise to lr [steps]");
    v("decay", decay, "share of the steps in the final linear decay (wsd)");
    v("lr_min", lr_min, "learning rate at the end, as a share of lr");
    v("weight_decay", weight_decay, "decoupled decay of matrices (vectors are not decayed)");
    v("betas", betas, "decay of the first and the second moment");
    v("eps", eps, "added to the root of the second moment");
    v("clip", clip, "largest global gradient norm; 0: no clipping");
    v("z_loss", z_loss,
      "times lse^2 (lse: log of the sum of e^logit) is minimised too, not reported; 0: none");
  }
};

struct CheckpointSpec {
  std::int64_t every_steps = 0;
  std::int64_t keep = 2;
  bool keep_best = true;

  template <class V>
  void visit(V& v) {
    v("every_steps", every_steps, "steps between checkpoints; 0: only at the end");
    v("keep", keep, "checkpoints kept; 0: all");
    v("keep_best", keep_best, "also keep the one with the lowest validation loss");
  }
};

struct EvalSpec {
  std::int64_t every_steps = 0;
  std::vector<std::string> tasks;
  std::int64_t max_items = 0;
  std::vector<std::string> prompts;

  template <class V>
  void visit(V& v) {
    v("every_steps", every_steps,
      "steps between validation losses while training; 0: only at the end");
    v("tasks", tasks, "tasks to score; default: all that prep wrote, and perplexity");
    v("max_items", max_items, "items a task is scored on, picked by hash; 0: all");
    v("prompts", prompts, "prompts whose completions are shown in the report");
  }
};

struct RunSpec {
  std::string name;
  std::int64_t seed = 1;
  std::string world = "single";
  std::int64_t threads = 0;
  ModelSpec model;
  DataSpec data;
  TokenizerSpec tokenizer;
  CardsSpec cards;
  MeshSpec mesh;
  DistSpec dist;
  TrainSpec train;
  OptimSpec optim;
  CheckpointSpec checkpoint;
  EvalSpec eval;

  template <class V>
  void visit(V& v) {
    v("name", name, "name of the run; default: the file's");
    v("seed", seed, "seed of weights and data order");
    v("world", world, "single, threads:N or mpi");
    v("threads", threads, "threads of a rank; 0: as many as the cgroup gives cores");
    v("model", model, "the model");
    v("data", data, "the data");
    v("tokenizer", tokenizer, "a tokenizer trained by prep");
    v("cards", cards, "how records become text");
    v("mesh", mesh, "how ranks share the work");
    v("dist", dist, "how ranks talk");
    v("train", train, "the training loop");
    v("optim", optim, "the optimizer");
    v("checkpoint", checkpoint, "checkpoints");
    v("eval", eval, "evaluation");
  }
};

}  // namespace boreal::spec
