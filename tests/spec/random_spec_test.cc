// Properties over random specs and random damage: what is printed reads back to the same spec, and
// no bytes crash the reader.
#include <bit>
#include <map>

#include "base/philox.h"
#include "tests/spec/spec_fixture.h"

namespace boreal::spec {
namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : rng_(seed, "spec test") {}
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(rng_.bits(next_++) % n); }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::size_t>(high - low + 1)));
  }
  bool coin() { return below(2) == 0; }
  double share() { return rng_.uniform(next_++); }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  Rng rng_;
  std::uint64_t next_ = 0;
};

// At every $; a NUL is the last piece, since a literal cannot hold one in passing.
std::vector<std::string> split(std::string_view pieces) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t end = pieces.find('$');
    out.emplace_back(pieces.substr(0, end));
    if (end == std::string_view::npos) break;
    pieces.remove_prefix(end + 1);
  }
  out.emplace_back(1, '\0');
  return out;
}

// Pieces that YAML reads in ways of its own when they stand without quotes, or that are easily lost
// within them.
std::string random_text(Dice& dice) {
  static const std::vector<std::string> kPieces = split(
      "a$Word$ $  $: $:$#$ #$-$- $---$...$?$[$]${$}$,$&$*$!$|$>$%$@$`$'$''$\"$\\$\\n$\n$\n\n$"
      "\r$\r\n$\t$~$null$true$No$012$1e5$.inf$0x1f$\x01$\x04$\x1b$\x7f$\xc2\x80$\xc2\x85$"
      "\xc2\xa0$\xc3\xa9$\xe2\x80\xa8$\xe2\x80\xa9$\xef\xbb\xbf$\xef\xbf\xbf$\xf0\x9f\x8c\x8c$"
      "<<$/$../x$=$\a");
  std::string text;
  for (std::size_t i = dice.below(12); i > 0; --i) text += dice.one_of(kPieces);
  if (dice.below(50) == 0) text += std::string(3000, 'x') + " " + text;
  return text;
}

double random_positive(Dice& dice) {
  return std::exp2((dice.share() - 0.5) * 60) * (1 + dice.share());
}

SourceSpec random_source(Dice& dice, std::size_t index) {
  SourceSpec source;
  source.name = "n" + std::to_string(index) + random_text(dice);
  const std::string path = "p" + random_text(dice) + "q";
  switch (dice.below(4)) {
    case 0: source.table = path; break;
    case 1: source.text = path; break;
    case 2: source.jsonl = path; break;
    default: source.shards = path; break;
  }
  source.field = "f" + random_text(dice);
  source.bundle = random_text(dice);
  source.licence = random_text(dice);
  source.weight = random_positive(dice);
  source.max_records = dice.between(0, 1 << 30);
  return source;
}

void roll_model_and_mesh(Dice& dice, RunSpec& spec) {
  spec.model.family = dice.coin() ? "llama" : "gpt2";
  spec.mesh.tp = dice.between(1, 4);
  spec.model.heads = spec.mesh.tp * dice.between(1, 8);
  spec.model.hidden = spec.model.heads * 2 * dice.between(1, 64);
  spec.model.kv_heads = dice.coin() ? 0 : spec.model.heads;
  spec.model.layers = dice.between(1, 100);
  spec.model.ffn = spec.mesh.tp * 2 * dice.between(0, 1250);
  spec.model.vocab = dice.coin() ? 0 : dice.between(70000, 100000);
  spec.model.context = dice.between(1000, 100000);
  spec.model.dtype = dice.coin() ? "bf16" : "fp32";
  spec.model.tied_embeddings = dice.coin();
  spec.model.norm_eps = random_positive(dice);
  spec.model.rope_theta = random_positive(dice);
  spec.model.init_std = random_positive(dice);
  spec.model.head_dim = dice.coin() ? 0 : 2 * dice.between(1, 100);
  spec.model.position = dice.coin() ? "" : "alibi";
  if (dice.coin())
    spec.model.rope_scaling = {.type = dice.coin() ? "linear" : "llama3",
                               .factor = random_positive(dice),
                               .original_context = dice.between(1, 10000)};
  spec.model.attention = {.window = dice.between(-1, 5000),
                          .window_begin = dice.between(0, 9),
                          .soft_cap = random_positive(dice),
                          .scalar = random_positive(dice)};
  spec.model.logit_soft_cap = dice.coin() ? -1 : random_positive(dice);
  spec.mesh.dp_replicate = dice.between(1, 3);
  spec.mesh.dp_shard = dice.between(1, 3);
  spec.mesh.zero = dice.between(1, 3);
  spec.mesh.sequence_parallel = dice.coin();
  spec.mesh.pp = dice.between(1, 5);
  spec.mesh.cp = dice.between(1, 5);
  spec.mesh.ep = dice.coin() ? 1 : spec.mesh.tp;
}

void roll_training(Dice& dice, RunSpec& spec) {
  spec.train.steps = dice.coin() ? dice.between(0, 1 << 20) : 0;
  spec.train.tokens = spec.train.steps > 0 ? 0 : dice.between(0, std::int64_t{1} << 45);
  spec.train.micro_batch_sequences = dice.between(1, 9);
  spec.train.batch_sequences = spec.train.micro_batch_sequences * spec.mesh.dp_replicate *
                               spec.mesh.dp_shard * dice.between(1, 9);
  spec.train.recompute = dice.one_of<std::string>({"none", "selective", "full", "full 0"});
  spec.train.optimizer_state = dice.coin() ? "memory" : "moments/" + random_text(dice);
  spec.train.init_from = random_text(dice);
  spec.optim.lr = random_positive(dice);
  spec.optim.schedule = dice.one_of<std::string>({"constant", "cosine", "wsd"});
  spec.optim.warmup_steps = dice.between(0, 5000);
  spec.optim.decay = dice.share();
  spec.optim.lr_min = dice.share();
  spec.optim.weight_decay = dice.share();
  spec.optim.betas = {dice.share(), dice.share()};
  spec.optim.eps = random_positive(dice);
  spec.optim.clip = dice.coin() ? 0 : random_positive(dice);
  spec.optim.z_loss = dice.coin() ? 0 : random_positive(dice);
  spec.checkpoint = {dice.between(0, 99), dice.between(0, 99), dice.coin()};
}

RunSpec random_spec(std::uint64_t seed) {
  Dice dice(seed);
  RunSpec spec;
  spec.name = "x" + random_text(dice);
  spec.seed = dice.between(0, INT64_MAX - 1);
  spec.world = dice.one_of<std::string>({"single", "mpi", "threads:3", "threads:4096"});
  spec.threads = dice.between(0, 64);
  roll_model_and_mesh(dice, spec);
  spec.data.root = random_text(dice);
  spec.data.tokenizer = "t" + random_text(dice);
  for (std::size_t i = dice.below(4); i > 0; --i)
    spec.data.sources.push_back(random_source(dice, i));
  spec.data.sequence = spec.mesh.tp * dice.between(1, 250);
  spec.data.document_mask = dice.coin();
  spec.data.validation = dice.share();
  spec.data.warm_records = dice.share();
  spec.data.warm_steps = dice.between(0, 1000);
  spec.tokenizer = {dice.between(257, 65536), dice.coin() ? "words" : "gpt2"};
  spec.cards = {"c" + random_text(dice), dice.between(2, 9), dice.between(0, 9),
                dice.between(0, 9999), dice.coin()};
  roll_training(dice, spec);
  spec.eval.every_steps = dice.between(0, 99);
  for (std::size_t i = dice.below(4); i > 0; --i)
    spec.eval.tasks.push_back(std::to_string(i) + random_text(dice));
  spec.eval.max_items = dice.between(0, 999);
  for (std::size_t i = dice.below(4); i > 0; --i) spec.eval.prompts.push_back(random_text(dice));
  return spec;
}

// Path -> value, with the bits of doubles; knows nothing of how specs are printed.
struct Flat {
  std::map<std::string, std::string> values;
  std::string prefix = "";

  template <class T>
  void operator()(const char* key, T& member, const char* /*help*/) {
    put(prefix + key, member);
  }
  void put(const std::string& path, std::string& value) { values[path] = value; }
  void put(const std::string& path, std::int64_t value) { values[path] = std::to_string(value); }
  void put(const std::string& path, bool value) { values[path] = value ? "t" : "f"; }
  void put(const std::string& path, double value) {
    values[path] = std::to_string(std::bit_cast<std::uint64_t>(value));
  }
  template <class T>
  void put(const std::string& path, std::vector<T>& list) {
    values[path] = std::to_string(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) put(path + "." + std::to_string(i), list[i]);
  }
  template <class T>
  requires requires(T& section, Flat& flat) { section.visit(flat); }
  void put(const std::string& path, T& section) {
    const std::string outer = std::exchange(prefix, path + ".");
    section.visit(*this);
    prefix = outer;
  }
};

std::map<std::string, std::string> flat(RunSpec spec) {
  Flat values;
  spec.visit(values);
  return std::move(values.values);
}

// Every field outside the lists as a --set.
struct Setter {
  std::vector<std::string>& sets;
  std::string prefix;

  template <class T>
  void operator()(const char* key, T& member, const char* /*help*/) {
    if constexpr (std::is_same_v<T, std::string>) {
      sets.push_back(prefix + key + "=" + member);
    } else if constexpr (std::is_same_v<T, bool>) {
      sets.push_back(prefix + key + (member ? "=true" : "=false"));
    } else if constexpr (std::is_arithmetic_v<T>) {
      sets.push_back(fmt::format("{}{}={}", prefix, key, member));
    } else if constexpr (requires { member.visit(*this); }) {
      const std::string outer = std::exchange(prefix, prefix + key + ".");
      member.visit(*this);
      prefix = outer;
    }
  }
};

class RandomSpec : public SpecFolder {};

TEST_F(RandomSpec, PrintedInFullItReadsBackToTheSameValuesAndHash) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const RunSpec spec = random_spec(seed);
    ASSERT_TRUE(validate(spec).ok()) << seed << ": " << validate(spec).error().message;
    const std::string yaml = resolved_yaml(spec);
    const auto again = read(yaml);
    ASSERT_TRUE(again.ok()) << seed << ": " << again.error().message << "\n" << yaml;
    ASSERT_EQ(flat(*again), flat(spec)) << seed << "\n" << yaml;
    EXPECT_EQ(resolved_yaml(*again), yaml);
    EXPECT_EQ(spec_hash(*again), spec_hash(spec));
  }
}

TEST_F(RandomSpec, EveryFieldSetOnTheCommandLineEqualsTheFieldInTheFile) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    RunSpec spec = random_spec(seed);
    std::vector<std::string> sets;
    Setter setter{sets, ""};
    spec.visit(setter);
    RunSpec lists;  // what the loop above leaves to the file
    lists.data.sources = spec.data.sources;
    lists.optim.betas = spec.optim.betas;
    lists.eval = spec.eval;
    lists.data.tokenizer = "t.json";
    const auto again = read(resolved_yaml(lists), sets);
    ASSERT_TRUE(again.ok()) << seed << ": " << again.error().message;
    EXPECT_EQ(flat(*again), flat(spec)) << seed;
  }
}

std::string damaged(std::string text, Dice& dice) {
  static const std::vector<std::string> kPieces = split(
      "\n$\n  $\n    $: $:$- $? $[$]${$}$,$&a $*a$!$!!str $|$>-\n$\"$'$#$ #$%$---\n$...\n$\t$"
      "\r$~$null$\\$<<: $@$\xef\xbb\xbf$\xc3\xa9$\x04$\x80$1e5$012$-1$99999999999999999999$"
      ".nan$[[[[[[[[${{{{$base: run.yaml\n$seed: 3\n");
  for (std::size_t i = 1 + dice.below(4); i > 0; --i) {
    const std::size_t at = dice.below(text.size() + 1);
    switch (dice.below(6)) {
      case 0: text.insert(at, dice.one_of(kPieces)); break;
      case 1: text.erase(at, 1 + dice.below(6)); break;
      case 2: text.resize(at); break;
      case 3: text.insert(at, text.substr(dice.below(text.size() + 1), dice.below(60))); break;
      case 4: text.insert(at, std::to_string(dice.between(-5, 300))); break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(dice.below(256));
        break;
    }
  }
  return text;
}

TEST_F(RandomSpec, TwoThousandDamagedFilesGiveASpecOrAnErrorWithALineAndNeverACrash) {
  int read_whole = 0;
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Dice dice(1000000 + seed);
    const std::string text = damaged(resolved_yaml(random_spec(seed % 50)), dice);
    const auto spec = read(text);
    if (spec.ok()) {
      ++read_whole;
      EXPECT_TRUE(validate(*spec).ok());
      const auto again = read(resolved_yaml(*spec));
      ASSERT_TRUE(again.ok()) << seed << ": " << again.error().message;
      EXPECT_EQ(flat(*again), flat(*spec)) << seed;
    } else {
      ++refused;
      const std::string& message = spec.error().message;
      const std::string place = path("run.yaml") + ":";
      ASSERT_TRUE(message.starts_with(place)) << seed << ": " << message;
      const bool line = message.size() > place.size() && message[place.size()] >= '1' &&
                        message[place.size()] <= '9';
      // Only a value that no layer set has no line.
      EXPECT_TRUE(line || message[place.size()] == ' ') << seed << ": " << message;
      EXPECT_EQ(spec.error().kind, ErrorKind::usage) << message;
    }
  }
  EXPECT_GT(read_whole, 100);
  EXPECT_GT(refused, 1000);
}

TEST_F(RandomSpec, ACutAtEveryByteGivesASpecOrAnError) {
  const std::string yaml = resolved_yaml(random_spec(3));
  for (std::size_t size = 0; size < yaml.size(); ++size) {
    const auto node = Node::parse(yaml.substr(0, size), "cut.yaml");
    if (!node.ok()) {
      EXPECT_TRUE(node.error().message.starts_with("cut.yaml:")) << node.error().message;
    }
  }
}

}  // namespace
}  // namespace boreal::spec
