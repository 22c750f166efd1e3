// Decoding and prefill of a Llama of 0.85 B parameters with drawn weights, each format out of a
// GGUF file that is written here and that llama.cpp reads too, in a process of its own.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "base/env.h"
#include "base/philox.h"
#include "bench/peer.h"
#include "bench/session.h"
#include "infer/gguf_model.h"
#include "infer/session.h"
#include "model/family.h"

namespace boreal::bench {

namespace {

constexpr std::int64_t kNewTokens = 24;
constexpr std::int64_t kPrompt = 256;
constexpr std::int64_t kSequences = 8;

model::DecoderConfig shape() {
  spec::ModelSpec spec;
  spec.family = "llama";
  spec.hidden = 2048;
  spec.layers = 16;
  spec.heads = 32;
  spec.kv_heads = 8;
  spec.ffn = 5632;
  spec.vocab = 32000;
  spec.context = 512;
  spec.tied_embeddings = false;
  return model::config_of(spec, 0).value();
}

// Drawn anew for each tensor, so that no copy of all weights lies in memory: evenly between the
// bounds of a normal weight's spread, which costs a tenth of normal draws.
class Draws {
 public:
  tensor::Tensor of(const nn::Parameter& p, const device::Context& ctx) {
    const std::int64_t count = p.shape.elements();
    if (last_ != &p) {
      memory_ = tensor::Block(count * 4);
      last_ = &p;
      auto* to = reinterpret_cast<float*>(memory_.data());
      const auto seed = static_cast<std::uint64_t>(p.index) << 40;
      ctx.pool->split(count, 4096, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          std::uint64_t x =
              seed + static_cast<std::uint64_t>(i);  // splitmix64 (Steele et al. 2014)
          x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
          x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
          const auto even = static_cast<float>(static_cast<std::int64_t>(x >> 40)) * 0x1p-23F - 1;
          to[i] = p.is_matrix() ? even * 0.035F : 1.0F;
        }
      });
    }
    return {memory_.data(), DType::f32, p.shape};
  }

 private:
  tensor::Block memory_;
  const nn::Parameter* last_ = nullptr;
};

// A folder of this process, gone with the object.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / fmt::format("bench_{}", getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / (name + ".gguf"); }

 private:
  std::filesystem::path path_;
};

std::vector<std::int32_t> prompt(std::int64_t sequence, std::int64_t count) {
  const Rng rng(9, "prompt", {}, static_cast<std::uint64_t>(sequence));
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(rng.bits(static_cast<std::uint64_t>(i)) % 32000));
  return ids;
}

void measure_format(Session& session, Peer* peer, const Folder& folder, const std::string& name,
                    tensor::GgufType type) {
  if (!session.wants("decode." + name + ".1") && !session.wants("decode." + name + ".8") &&
      !session.wants("prefill." + name + ".256"))
    return;
  Env& env = Env::real();
  const std::string path = folder.file(name);
  const auto measure = [&](const Case& c) {
    if (!session.wants(c.name)) return;
    if (peer != nullptr && peer->set_up(c.peer))
      session.compare(
          c, [&] { peer->seconds_of_a_run(0); }, "llama.cpp");
    else
      session.measure(c);
  };
  {
    const model::Decoder model(shape());
    Draws draws;
    const auto written = infer::write_gguf_model(
        env, session.ctx(), path, model,
        [&](const nn::Parameter& p) { return draws.of(p, session.ctx()); }, {type, "bench", ""});
    CHECK(written.ok(), "{}", written.error().message);
  }
  auto opened = infer::open_session(env, session.pool(), path);
  CHECK(opened.ok(), "{}", opened.error().message);
  const double weights_gb =
      static_cast<double>(opened->weights->bytes() - 2 * shape().vocab * shape().hidden) * 1e-9;
  infer::Engine engine(*opened->model, *opened->weights, session.ctx(),
                       {.sequences = kSequences, .capacity = 512, .rows = 512});
  for (const std::int64_t sequences : {std::int64_t{1}, kSequences}) {
    std::vector<infer::Request> requests;
    for (std::int64_t i = 0; i < sequences; ++i)
      requests.push_back({.prompt = prompt(i, 8), .max_tokens = kNewTokens});
    measure(
        {.name = fmt::format("decode.{}.{}", name, sequences),
         .unit = "tokens/s",
         .units = static_cast<double>(sequences * kNewTokens),
         .peak_per_s = session.peak_read_gb_per_s() / weights_gb * static_cast<double>(sequences),
         .peak_name = "memory",
         .peer = fmt::format("decode {} {} {} {}", path, sequences, 8, kNewTokens),
         .run = [&] { engine.generate(requests); }});
  }
  std::vector<infer::Request> fill = {{.prompt = {}, .max_tokens = 1}};
  std::int64_t fills = 0;
  const double matrices = 16 * (2048.0 * (2048 + 1024 + 2048) + 3 * 2048.0 * 5632);
  measure({.name = fmt::format("prefill.{}.256", name),
           .unit = "tokens/s",
           .units = kPrompt,
           .peak_per_s = session.peak_gflops(DType::bf16) * 1e9 / (2 * matrices),
           .peak_name = "bf16",
           .peer = fmt::format("prefill {} {}", path, kPrompt),
           .run = [&] {
             // A new one each time: of a prompt that was here before only the rest is computed.
             fill[0].prompt = prompt(kSequences + ++fills, kPrompt);
             engine.generate(fill);
           }});
  std::filesystem::remove(path);
}

}  // namespace

void run_cases(Session& session) {
  const Folder folder;
  std::optional<Peer> peer;
  if (const char* python = std::getenv("BOREAL_BENCH_LLAMA_CPP"); python != nullptr)
    peer.emplace(std::vector<std::string>{python, BOREAL_SOURCE_DIR "/bench/peer_llama.py",
                                          std::to_string(session.pool().threads())});
  Peer* const other = peer ? &*peer : nullptr;
  measure_format(session, other, folder, "bf16", tensor::GgufType::bf16);
  measure_format(session, other, folder, "int8", tensor::GgufType::q8_0);
  measure_format(session, other, folder, "int4", tensor::GgufType::q4_0);
}

}  // namespace boreal::bench
