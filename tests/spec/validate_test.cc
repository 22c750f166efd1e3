#include <cmath>
#include <functional>
#include <limits>

#include "tests/spec/spec_fixture.h"

namespace boreal::spec {
namespace {

// The message of validate after one change to a sound spec with one source.
std::string complaint(const std::function<void(RunSpec&)>& change) {
  RunSpec spec;
  spec.data.sources.resize(1);
  spec.data.sources[0].table = "a.csv";
  EXPECT_TRUE(validate(spec).ok());
  change(spec);
  const auto status = validate(spec);
  if (status.ok()) return "sound";
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  return status.error().message;
}

// Turns the source into one of another kind.
void becomes(SourceSpec& source, std::string SourceSpec::*kind, const std::string& path) {
  source = SourceSpec();
  source.*kind = path;
}
void becomes_synthetic(SourceSpec& source) {
  source = SourceSpec();
  source.synthetic = true;
}

TEST(Validate, TheDefaultsAreSound) {
  EXPECT_TRUE(validate(RunSpec()).ok());
}

TEST(Validate, KnownWordsAreListedAndTheNearestNamed) {
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.family = "lama"; }),
            "model.family is \"lama\", but must be one of llama, gpt2, neox, mistral, qwen2, "
            "qwen3, gemma2, olmo2. Did you mean llama?");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.dtype = "fp16"; }),
            "model.dtype is \"fp16\", but must be one of bf16, fp32.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.optim.schedule = "linear"; }),
            "optim.schedule is \"linear\", but must be one of constant, cosine, wsd.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.optim.name = "adam"; }),
            "optim.name is \"adam\", but must be one of adamw. Did you mean adamw?");
  EXPECT_EQ(complaint([](RunSpec& s) { s.train.recompute = "all"; }),
            "train.recompute is \"all\", but must be none, selective, full, or a list of blocks as "
            "full 0-3, selective 4.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.blend = "token"; }),
            "data.blend is \"token\", but must be one of tokens, sources. Did you mean tokens?");
  EXPECT_EQ(complaint([](RunSpec& s) { s.tokenizer.pattern = ""; }),
            "tokenizer.pattern is \"\", but must be one of words, gpt2.");
}

TEST(Validate, TheWorldIsSingleThreadsWithACountOrMpi) {
  for (const char* world : {"single", "mpi", "threads:1", "threads:16"})
    EXPECT_EQ(complaint([&](RunSpec& s) { s.world = world; }), "sound") << world;
  for (const char* world :
       {"threads:", "threads:0", "threads:-1", "threads:04", "threads:4x", "threads:99999"}) {
    EXPECT_EQ(complaint([&](RunSpec& s) { s.world = world; }),
              "world is \"" + std::string(world) +
                  "\", but threads: takes the number of ranks, 1 to 4096, as in threads:4.");
  }
  EXPECT_EQ(complaint([](RunSpec& s) { s.world = "thread:4"; }),
            "world is \"thread:4\", but must be single, threads:N or mpi. Did you mean threads:4?");
  EXPECT_EQ(complaint([](RunSpec& s) { s.world = ""; }),
            "world is \"\", but must be single, threads:N or mpi.");
}

TEST(Validate, HeadsDivideTheWidthAndKeyValueHeadsDivideTheHeads) {
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.heads = 3; }),
            "model.heads is 3, which does not divide model.hidden (256): each head takes an equal "
            "slice.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.kv_heads = 3; }),
            "model.kv_heads is 3, which does not divide model.heads (4): each key-value head "
            "serves as many query heads.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.kv_heads = 2; }), "sound");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.kv_heads = 2, s.model.family = "gpt2"; }),
            "model.kv_heads is 2, but model.family gpt2 has as many as model.heads (4); remove it "
            "or take llama.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.hidden = 12; }),
            "model.hidden / model.heads is 12 / 4 = 3, but rotary positions (llama) turn pairs: it "
            "must be even.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.hidden = 12, s.model.family = "gpt2"; }), "sound");
}

struct Case {
  std::function<void(RunSpec&)> change;
  std::string message;
};
void expect_complaints(const std::vector<Case>& cases) {
  for (const Case& test : cases) EXPECT_EQ(complaint(test.change), test.message);
}

TEST(Validate, EveryNumberOfAModelHasItsRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<Case> cases = {
      {[](RunSpec& s) { s.seed = -1; }, "seed is -1, but must be 0 or greater."},
      {[](RunSpec& s) { s.threads = -1; }, "threads is -1, but must be 0 to 4096."},
      {[](RunSpec& s) { s.model.hidden = 0; }, "model.hidden is 0, but must be 1 to 1048576."},
      {[](RunSpec& s) { s.model.layers = 0; }, "model.layers is 0, but must be 1 to 16384."},
      {[](RunSpec& s) { s.model.heads = 0; }, "model.heads is 0, but must be 1 to 1048576."},
      {[](RunSpec& s) { s.model.ffn = -4; }, "model.ffn is -4, but must be 0 to 16777216."},
      {[](RunSpec& s) { s.model.vocab = INT64_MAX; },
       "model.vocab is 9223372036854775807, but must be 0 to 2147483647."},
      {[](RunSpec& s) { s.model.context = 0; }, "model.context is 0, but must be 1 to 268435456."},
      {[](RunSpec& s) { s.model.norm_eps = 0; },
       "model.norm_eps is 0, but must be greater than 0."},
      {[&](RunSpec& s) { s.model.rope_theta = nan; },
       "model.rope_theta is nan, but must be greater than 0."},
      {[&](RunSpec& s) { s.model.init_std = inf; },
       "model.init_std is inf, but must be greater than 0."},
      {[](RunSpec& s) { s.model.head_dim = 1026; },
       "model.head_dim is 1026, but must be 0 to 1024."},
      {[](RunSpec& s) { s.model.head_dim = 7; },
       "model.head_dim is 7, but must be even: its features go in pairs."},
      {[](RunSpec& s) { s.model.position = "rope"; },
       "model.position is \"rope\", but must be one of rotary, learned, alibi."},
      {[](RunSpec& s) { s.model.rotary_percent = 1.5; },
       "model.rotary_percent is 1.5, but must be a share from 0 to 1."},
      {[](RunSpec& s) { s.model.rope_scaling.type = "yarn"; },
       "model.rope_scaling.type is \"yarn\", but must be one of none, linear, llama3."},
      {[](RunSpec& s) { s.model.rope_scaling.factor = 4; },
       "model.rope_scaling.factor is 4, but model.rope_scaling.type is none; write linear or "
       "llama3."},
      {[](RunSpec& s) { s.model.rope_scaling = {.type = "llama3", .low = 4, .high = 4}; },
       "model.rope_scaling.high is 4, but must be above model.rope_scaling.low (4)."},
      {[](RunSpec& s) { s.model.attention.window = -2; },
       "model.attention.window is -2, but must be -1 to 268435456."},
      {[](RunSpec& s) { s.model.attention.soft_cap = -3; },
       "model.attention.soft_cap is -3, but must be positive, 0 (none) or -1 (the family's)."},
      {[&](RunSpec& s) { s.model.logit_soft_cap = nan; },
       "model.logit_soft_cap is nan, but must be positive, 0 (none) or -1 (the family's)."},
  };
  expect_complaints(cases);
}

TEST(Validate, EveryOtherNumberHasItsRange) {
  const std::vector<Case> cases = {
      {[](RunSpec& s) { s.data.sequence = 0; }, "data.sequence is 0, but must be 1 to 268435456."},
      {[](RunSpec& s) { s.data.validation = 1; },
       "data.validation is 1, but must be a share from 0 to below 1."},
      {[](RunSpec& s) { s.data.warm_records = 1.5; },
       "data.warm_records is 1.5, but must be a share from 0 to 1."},
      {[](RunSpec& s) { s.tokenizer.vocab = 256; },
       "tokenizer.vocab is 256, but must be 257 to 16777216."},
      {[](RunSpec& s) { s.cards.heldout_every = 1; },
       "cards.heldout_every is 1, but must be 2 to 281474976710656."},
      {[](RunSpec& s) { s.mesh.zero = 4; }, "mesh.zero is 4, but must be 1 to 3."},
      {[](RunSpec& s) { s.mesh.pp = 0; }, "mesh.pp is 0, but must be 1 to 1048576."},
      {[](RunSpec& s) { s.train.batch_sequences = 0; },
       "train.batch_sequences is 0, but must be 1 to 268435456."},
      {[](RunSpec& s) { s.train.steps = -1; },
       "train.steps is -1, but must be 0 to 281474976710656."},
      {[](RunSpec& s) { s.optim.lr = 0; }, "optim.lr is 0, but must be greater than 0."},
      {[](RunSpec& s) { s.optim.decay = -0.5; },
       "optim.decay is -0.5, but must be a share from 0 to 1."},
      {[](RunSpec& s) { s.optim.lr_min = 2; },
       "optim.lr_min is 2, but must be a share from 0 to 1."},
      {[](RunSpec& s) { s.optim.weight_decay = -1; },
       "optim.weight_decay is -1, but must be 0 or greater."},
      {[](RunSpec& s) { s.optim.clip = -1; }, "optim.clip is -1, but must be 0 or greater."},
      {[](RunSpec& s) { s.optim.z_loss = -1; }, "optim.z_loss is -1, but must be 0 or greater."},
      {[](RunSpec& s) { s.checkpoint.keep = -1; },
       "checkpoint.keep is -1, but must be 0 to 281474976710656."},
      {[](RunSpec& s) { s.eval.max_items = -1; },
       "eval.max_items is -1, but must be 0 to 281474976710656."},
  };
  expect_complaints(cases);
}

TEST(Validate, BetasAreTwoNumbersBelowOne) {
  EXPECT_EQ(complaint([](RunSpec& s) { s.optim.betas = {0.9}; }),
            "optim.betas has 1 numbers, but Adam takes two, as in [0.9, 0.95].");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.optim.betas = {0.9, 1};
            }),
            "optim.betas.1 is 1, but must be from 0 to below 1.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.optim.betas = {-0.1, 0.9};
            }),
            "optim.betas.0 is -0.1, but must be from 0 to below 1.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.optim.betas = {0, 0}; }), "sound");
}

TEST(Validate, ASourceIsOfExactlyOneKindAndHasANameOfItsOwn) {
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.sources[0].table = ""; }),
            "data.sources.0 names no data: give it one of table, text, jsonl, shards, synthetic.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.data.sources[0].jsonl = "b", s.data.sources[0].synthetic = true;
            }),
            "data.sources.0 has table and jsonl and synthetic, but a source is of one kind; make "
            "each a source of its own.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              becomes(s.data.sources[0], &SourceSpec::jsonl, "b"), s.data.sources[0].field = "";
            }),
            "data.sources.0.field is empty, but a jsonl source needs the key that holds its text.");
  EXPECT_EQ(complaint([](RunSpec& s) { becomes(s.data.sources[0], &SourceSpec::shards, "x.bin"); }),
            "data.sources.0.shards is \"x.bin\", but names the path without .bin and .idx.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.sources[0].weight = -1; }),
            "data.sources.0.weight is -1, but must be 0 or greater.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.sources[0].weight = 0; }),
            "data.sources all have weight 0; give at least one a positive weight.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.data.sources[0].name = "x";
              s.data.sources.push_back(s.data.sources[0]);
            }),
            "data.sources.1.name is \"x\", which another source has already; give each a name of "
            "its own.");
}

TEST(Validate, LengthsVocabulariesAndBatchesAgree) {
  EXPECT_EQ(
      complaint([](RunSpec& s) { s.data.sequence = 512; }),
      "data.sequence is 512, longer than model.context (256); set model.context to at least 512.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.sequence = 512, s.train.init_from = "hf"; }),
            "sound");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.vocab = 300; }),
            "model.vocab is 300, less than tokenizer.vocab (4096), so some ids would have no "
            "embedding; write 0 to take the "
            "tokenizer's.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.model.vocab = 300, s.data.tokenizer = "t.json"; }),
            "sound");
  EXPECT_EQ(
      complaint([](RunSpec& s) { becomes_synthetic(s.data.sources[0]); }),
      "model.vocab is 0 (the tokenizer's), but synthetic data has no tokenizer; set model.vocab.");
  EXPECT_EQ(
      complaint([](RunSpec& s) { becomes_synthetic(s.data.sources[0]), s.model.vocab = 300; }),
      "sound");
  EXPECT_EQ(
      complaint([](RunSpec& s) { s.train.micro_batch_sequences = 3; }),
      "train.micro_batch_sequences is 3, which does not divide the 8 rows that a rank takes of "
      "train.batch_sequences (8).");
  EXPECT_EQ(complaint([](RunSpec& s) { s.mesh.dp_shard = 3; }),
            "train.batch_sequences is 8, which mesh.dp_replicate x mesh.dp_shard (1 x 3) does not "
            "divide: each rank takes "
            "as many rows.");
  EXPECT_EQ(
      complaint([](RunSpec& s) { s.mesh.dp_shard = 2, s.train.micro_batch_sequences = 8; }),
      "train.micro_batch_sequences is 8, which does not divide the 4 rows that a rank takes of "
      "train.batch_sequences (8).");
  EXPECT_EQ(complaint([](RunSpec& s) { s.train.steps = 1, s.train.tokens = 1; }),
            "train.steps is 1 and train.tokens is 1, but each decides the length of the run; set "
            "one of them to 0.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.train.steps = std::int64_t{1} << 48;
              s.train.batch_sequences = 1 << 20;
            }),
            "train.steps x train.batch_sequences x data.sequence is 281474976710656 x 1048576 x "
            "256, more than 2^60 tokens.");
}

TEST(Validate, TheMeshFitsTheModelAndItself) {
  EXPECT_EQ(complaint([](RunSpec& s) { s.mesh.tp = 3; }),
            "mesh.tp is 3, which does not divide model.heads (4): each rank takes an equal share "
            "of the heads.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.mesh.tp = 2, s.model.ffn = 1001; }),
            "mesh.tp is 2, which does not divide model.ffn (1001): each rank takes an equal share "
            "of the MLP.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.mesh.ep = 3, s.mesh.dp_shard = 2; }),
            "mesh.ep is 3, which does not divide mesh.dp_shard x cp x tp (2): experts are spread "
            "over these ranks.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.mesh.dp_replicate = 1 << 19, s.mesh.cp = 4; }),
            "mesh.cp is 4, which makes more than 1048576 ranks in all.");
}

TEST(Validate, RanksTakeAsManyKeyValueHeadsOrAsManyShareOne) {
  const auto share = [](std::int64_t kv_heads, std::int64_t tp) {
    return complaint([&](RunSpec& s) {
      s.model.hidden = 192;
      s.model.heads = 12;
      s.model.kv_heads = kv_heads;
      s.data.sequence = 240;
      s.mesh.tp = tp;
    });
  };
  for (const std::int64_t tp : {1, 2, 3, 6, 12}) EXPECT_EQ(share(6, tp), "sound") << tp;
  EXPECT_EQ(share(2, 12), "sound") << "six ranks share a head";
  EXPECT_EQ(share(6, 4),
            "mesh.tp is 4, which neither divides model.kv_heads (6) nor is a multiple of it: each "
            "rank takes as many key-value heads, or as many ranks share one.");
}

TEST(Validate, SequenceParallelRanksTakeAsManyTokens) {
  const auto sequence = [](bool parallel) {
    return complaint([&](RunSpec& s) {
      s.mesh.tp = 4;
      s.mesh.sequence_parallel = parallel;
      s.data.sequence = 254;
    });
  };
  EXPECT_EQ(sequence(false), "sound");
  EXPECT_EQ(sequence(true),
            "mesh.tp is 4, which does not divide data.sequence (254): with mesh.sequence_parallel "
            "each rank takes as many tokens; set it to false or change one of them.");
}

TEST(Validate, TextsAreWholeAndNamesAreThere) {
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.eval.prompts = {"fine", "\xff"};
            }),
            "eval.prompts.1 is \"\\xff\", which is no valid UTF-8.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.sources[0].licence = "\xc3"; }),
            "data.sources.0.licence is \"\\xc3\", which is no valid UTF-8.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.data.tokenizer = ""; }),
            "data.tokenizer is empty; write train or the path of a tokenizer.json.");
  EXPECT_EQ(complaint([](RunSpec& s) { s.cards.families = ""; }),
            "cards.families is empty; name a file of phrasing families.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.eval.tasks = {"a", ""};
            }),
            "eval.tasks.1 is empty, but must name a task.");
  EXPECT_EQ(complaint([](RunSpec& s) {
              s.eval.tasks = {"a", "a"};
            }),
            "eval.tasks.1 is \"a\", which stands in the list already.");
}

}  // namespace
}  // namespace boreal::spec
