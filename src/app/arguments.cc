#include "app/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>

#include "app/parser.h"
#include "spec/reader.h"

namespace boreal::app {

namespace {

using Sections = std::vector<std::string>;

constexpr const char* kModelHelp =
    "a run's output folder (its newest checkpoint), a checkpoint or a Hugging Face folder";

// A verb with its spec argument, the options that all such verbs share, and the keys that it reads.
CLI::App* add_spec_verb(CLI::App& app, Arguments& args, const std::string& name,
                        const std::string& what, const std::string& examples,
                        const Sections& sections) {
  CLI::App* verb = app.add_subcommand(name, what);
  verb->add_option("spec", args.spec, "the description of the run (YAML)")->type_name("SPEC.yaml");
  verb->add_option("--set", args.sets, "override a key of the spec: a.b=value")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--out", args.out, "output folder; default: out/NAME")->type_name("DIR");
  verb->add_option("--world", args.world,
                   "single, threads:N (ranks in this process) or mpi (started by mpirun or srun); "
                   "mesh says how they share the work");
  verb->footer([examples, sections] {
    return "Examples:\n" + examples + "\nKeys of the spec (type, default, meaning):\n" +
           spec::describe_keys(sections);
  });
  return verb;
}

// A number of the line. The parser's own tests print bounds of 300 digits, and let nan pass.
template <class T>
std::function<std::string(const std::string&)> number(T low, T high, const char* expected) {
  return [=](const std::string& text) -> std::string {
    T value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = code == std::errc() && end == text.data() + text.size();
    if (whole && value >= low && value <= high) return "";
    return fmt::format("\"{}\" is not {}", text, expected);
  };
}

auto whole_number(std::int64_t low, const char* expected) {
  return number<std::int64_t>(low, std::numeric_limits<std::int64_t>::max(), expected);
}

void add_model_world(CLI::App* verb, Arguments& args) {
  verb->add_option("--world", args.world,
                   "single, threads:N or mpi: the ranks share each layer (tensor parallel)");
}

void add_generate(CLI::App& app, Arguments& args) {
  CLI::App* verb = app.add_subcommand("generate", "complete prompts with a model");
  verb->add_option("--model", args.model, kModelHelp)->required()->type_name("DIR");
  verb->add_option("--prompt", args.prompts, "one or several prompts; - reads one from stdin")
      ->required()
      ->type_name("TEXT");
  verb->add_option("--max-tokens", args.max_tokens,
                   "tokens to add, at most what the model's context holds; default: 64")
      ->check(whole_number(1, "a whole number from 1 up"));
  verb->add_option("--temperature", args.temperature, "0: the likeliest token each time")
      ->capture_default_str()
      ->check(number(0.0, std::numeric_limits<double>::max(), "a finite number from 0 up"));
  verb->add_option("--top-k", args.top_k, "only the k likeliest; 0: all")
      ->capture_default_str()
      ->check(whole_number(0, "a whole number from 0 up"));
  verb->add_option("--top-p", args.top_p, "only the likeliest that hold this share")
      ->capture_default_str()
      ->check(number(0.0, 1.0, "a share from 0 to 1"));
  verb->add_option("--seed", args.seed, "of the draws")->capture_default_str();
  add_model_world(verb, args);
  verb->footer(
      "Examples:\n"
      "  boreal generate --model out/quickstart --prompt \"The symbol of iron is\"\n"
      "  boreal generate --model HF_DIR --prompt A B --temperature 0.8 --top-p 0.95 --seed 7\n");
}

void add_export(CLI::App& app, Arguments& args) {
  CLI::App* verb =
      app.add_subcommand("export", "write a model as a Hugging Face folder or a GGUF file");
  verb->add_option("--checkpoint,--model", args.checkpoint,
                   "a checkpoint, a run's output folder (its newest checkpoint), or a Hugging Face "
                   "folder")
      ->required()
      ->type_name("DIR");
  verb->add_option("--to", args.to, "new folder, or the file")->required()->type_name("PATH");
  verb->add_option("--format", args.format, "hf: for transformers; gguf: for llama.cpp")
      ->check(CLI::IsMember({"hf", "gguf"}))
      ->capture_default_str();
  verb->add_option("--dtype", args.dtype, "hf: fp32 or bf16; default: the model's")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  verb->add_option(
          "--quantize", args.quantize,
          "gguf: type of the matrices, q8_0 and q4_0 with a scale for 32 weights; default: "
          "the model's")
      ->check(CLI::IsMember({"f32", "bf16", "q8_0", "q4_0"}));
  verb->footer(
      "Examples:\n  boreal export --checkpoint out/quickstart --to out/quickstart/hf\n"
      "  boreal export --model out/quickstart --format gguf --quantize q8_0 --to facts.gguf\n");
}

void add_model_verbs(CLI::App& app, Arguments& args) {
  add_generate(app, args);
  CLI::App* logits =
      app.add_subcommand("logits", "write the logits of a token sequence, to compare models");
  logits->add_option("--model", args.model, kModelHelp)->required()->type_name("DIR");
  logits->add_option("--ids", args.in, "decimal ids separated by blanks; -: stdin")
      ->required()
      ->type_name("FILE");
  logits->add_option("--to", args.to, "fp32 tensor \"logits\" [tokens, vocab]")
      ->required()
      ->type_name("FILE.safetensors");
  add_model_world(logits, args);
  logits->footer(
      "Example:\n  boreal logits --model out/quickstart --ids ids.txt --to "
      "logits.safetensors\n");

  add_export(app, args);
  CLI::App* imported =
      app.add_subcommand("import", "read a Hugging Face folder and write it as a checkpoint");
  imported->add_option("--from", args.from, "folder with config.json and model.safetensors")
      ->required()
      ->type_name("HF_DIR");
  imported->add_option("--to", args.to, "new folder")->required()->type_name("DIR");
  imported->footer("Example:\n  boreal import --from gpt2 --to out/gpt2\n");
}

constexpr const char* kTrainExample =
    "Example:\n  boreal tokenizer train --in corpus.txt --out tokenizer.json --vocab 8192\n";
constexpr const char* kEncodeExamples =
    "Examples:\n"
    "  boreal tokenizer encode --tokenizer tokenizer.json --in a.txt --out ids.txt\n"
    "  echo hello | boreal tokenizer encode --tokenizer tokenizer.json --in - --out -\n";
constexpr const char* kDecodeExample =
    "Example:\n"
    "  boreal tokenizer decode --tokenizer tokenizer.json --in ids.txt --out a.txt\n";

void add_tokenizer(CLI::App& app, Arguments& args) {
  CLI::App* verb = app.add_subcommand("tokenizer", "train a tokenizer, encode and decode");
  CLI::App* train = verb->add_subcommand("train", "train a byte-level BPE on a text file");
  train->add_option("--in", args.in, "text; -: stdin")->type_name("TEXT");
  train->add_option("--out", args.out, "tokenizer.json to write")->required()->type_name("FILE");
  train->add_option("--vocab", args.vocab, "ids in all")->capture_default_str();
  train->add_option("--pattern", args.pattern, "words or gpt2")
      ->capture_default_str()
      ->check(CLI::IsMember({"words", "gpt2"}));
  for (const bool encode : {true, false}) {
    CLI::App* sub =
        verb->add_subcommand(encode ? "encode" : "decode",
                             encode ? "bytes to decimal ids separated by blanks" : "ids to bytes");
    sub->add_option("--tokenizer", args.tokenizer, "tokenizer.json")->required()->type_name("FILE");
    sub->add_option("--in", args.in, "-: stdin")->type_name("FILE");
    sub->add_option("--out", args.out, "-: stdout")->type_name("FILE");
    if (encode)
      sub->add_flag("--special", args.special,
                    "special tokens written in the text become their ids");
    sub->footer(encode ? kEncodeExamples : kDecodeExample);
  }
  train->footer(kTrainExample);
  verb->footer(std::string(kTrainExample) + kEncodeExamples + kDecodeExample);
}

void add_tokens(CLI::App& app, Arguments& args) {
  CLI::App* verb = app.add_subcommand("tokens", "look into token shards");
  const auto add = [&](const std::string& name, const char* what, const std::string& line) {
    CLI::App* sub = verb->add_subcommand(name, what);
    sub->footer("Example:\n  boreal tokens " + name + " " + line + "\n");
    sub->add_option("path", args.path, "a shard (path without .bin) or a folder of shards")
        ->required()
        ->type_name("PATH");
    return sub;
  };
  const std::string folder = "out/quickstart/shards";
  add("ls", "shards with documents, tokens and sizes", folder);
  CLI::App* head = add("head", "the first documents",
                       folder + " --count 3 --tokenizer out/quickstart/tokenizer/tokenizer.json");
  head->add_option("--count", args.count, "documents of each shard")
      ->capture_default_str()
      ->check(whole_number(1, "a whole number from 1 up"));
  head->add_option("--tokenizer", args.tokenizer, "show text instead of ids")->type_name("FILE");
  add("stats", "lengths and commonest ids", folder);
  add("verify", "read everything and check every hash", folder);
  CLI::App* find = add("find", "documents whose provenance holds a text", folder + " --text iron");
  find->add_option("--text", args.text, "what to look for")->required();
  find->add_option("--count", args.count, "documents of each shard; 0: all")
      ->capture_default_str()
      ->check(whole_number(0, "a whole number from 0 up"));
  CLI::App* batches = verb->add_subcommand(
      "batches", "write the batches of steps [a, b) of a spec, to compare with other programs");
  batches->add_option("spec", args.spec, "the spec of the run")->required()->type_name("SPEC.yaml");
  batches->add_option("--set", args.sets, "override a key of the spec")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  batches
      ->add_option("--out", args.out,
                   "folder of the run, default: out/NAME; prep runs first where it has not")
      ->type_name("DIR");
  batches
      ->add_option("--steps", args.steps,
                   "a..b within the run, counted from 0; \"validation\" for the validation set")
      ->capture_default_str();
  batches
      ->add_option("--to", args.to,
                   "tensors input, target, weight, position, doc_begin [steps, rows, sequence]")
      ->required()
      ->type_name("FILE.safetensors");
  batches->footer(
      "Example:\n"
      "  boreal tokens batches recipes/quickstart.yaml --steps 0..10 --to batches.safetensors\n");
  verb->footer(
      "Examples:\n"
      "  boreal tokens ls out/quickstart/shards\n"
      "  boreal tokens find out/quickstart/shards --text iron\n");
}

// What a run needs and where it would run, before it does.
void add_planning_verbs(CLI::App& app, Arguments& args) {
  CLI::App* mesh = add_spec_verb(
      app, args, "mesh",
      "how a spec cuts its ranks: who holds, reads and runs what; starts nothing",
      "  boreal mesh recipes/quickstart.yaml --set mesh.dp_shard=2 --set mesh.tp=2\n"
      "  boreal mesh recipes/quickstart.yaml --set mesh.dp_shard=4 --world threads:4 --json\n",
      {"mesh", "world", "threads"});
  mesh->get_option("spec")->required();
  mesh->get_option("--world")->description(
      "threads:N: the mesh must have N ranks; else it says how many there are");
  add_spec_verb(app, args, "plan", "the memory and work of a training run, before it runs",
                "  boreal plan recipes/quickstart.yaml\n", {"model", "train", "data"})
      ->get_option("spec")
      ->required();
  app.add_subcommand("machine",
                     "measure this machine: cores, instruction set, peak FLOP/s, memory bandwidth")
      ->footer("Example:\n  boreal machine --json\n");
}

}  // namespace

void build_parser(CLI::App& app, Arguments& args) {
  app.set_version_flag("--version", std::string("boreal ") + BOREAL_VERSION);
  app.fallthrough(false);
  app.footer(
      "Environment: BOREAL_ISA=x86-64-v2|avx2|avx512|avx512_bf16|amx_bf16 uses no higher "
      "instruction set.");
  const auto common = [&](CLI::App* verb) {
    verb->add_flag("--json", args.json, "the figures as one JSON object: the last line of stdout");
    verb->add_flag("--quiet", args.quiet, "no progress");
    return verb;
  };
  common(add_spec_verb(
             app, args, "run",
             "all stages of a recipe in order, finished ones skipped; ends with OUT/report.html",
             "  boreal run recipes/quickstart.yaml\n  boreal run recipes/facts.yaml --set "
             "train.steps=2000 --out out/short\n",
             {}))
      ->get_option("spec")
      ->required();
  common(add_spec_verb(app, args, "prep",
                       "documents and tables -> cards, tokenizer, token shards, evaluation items",
                       "  boreal prep recipes/quickstart.yaml --out out/q\n"
                       "  boreal prep recipes/quickstart.yaml --set 'data.sources=[{table: "
                       "my.csv}]' --set data.root=. --out out/mine\n",
                       {"data", "tokenizer", "cards", "seed"}))
      ->get_option("spec")
      ->required();
  CLI::App* train = common(add_spec_verb(app, args, "train",
                                         "shards -> checkpoints (prep runs first where it has not)",
                                         "  boreal train recipes/shakespeare.yaml\n"
                                         "  boreal train recipes/quickstart.yaml --dry-run\n"
                                         "  boreal train recipes/bench_gpt2_124m.yaml --profile\n",
                                         {}));
  train->get_option("spec")->required();
  train
      ->add_option("--resume", args.resume,
                   "auto: from the newest whole checkpoint; never; or a checkpoint's folder")
      ->capture_default_str();
  train->add_flag("--dry-run", args.dry_run, "print what the run needs and stop");
  train
      ->add_flag("--profile{3}", args.profile_steps,
                 "record so many steps (3, behind the first two) of rank 0: OUT/profile.json (a "
                 "trace for Perfetto), OUT/profile.svg and a table")
      ->type_name("[=STEPS]")
      ->check(whole_number(1, "a whole number from 1 up"));
  CLI::App* eval = common(add_spec_verb(app, args, "eval", "score a model",
                                        "  boreal eval recipes/quickstart.yaml\n"
                                        "  boreal eval --model out/quickstart --tasks "
                                        "out/quickstart/eval/choice.jsonl\n",
                                        {"eval", "data"}));
  eval->add_option("--model", args.model,
                   std::string(kModelHelp) + "; default: the run's newest checkpoint")
      ->type_name("DIR");
  eval->add_option("--tasks", args.tasks, "names of OUT/eval/NAME.jsonl or paths of item files")
      ->delimiter(',')
      ->type_name("NAME,..");
  add_planning_verbs(app, args);
  add_model_verbs(app, args);
  for (const char* name : {"mesh", "plan", "machine", "generate", "logits", "export", "import"})
    common(app.get_subcommand(name));
  add_tokenizer(app, args);
  add_tokens(app, args);
  for (const char* name : {"tokenizer", "tokens"})
    for (CLI::App* sub : app.get_subcommand(name)->get_subcommands({})) common(sub);
}

}  // namespace boreal::app
