#include "infer/session.h"

#include "ckpt/box.h"
#include "ckpt/checkpoint.h"
#include "device/machine.h"
#include "infer/engine_plan.h"
#include "infer/gguf_model.h"
#include "model/folder.h"
#include "model/gguf.h"
#include "parallel/regions.h"
#include "spec/validate.h"

namespace boreal::infer {

namespace {

// Before the first weight is read.
Status check_memory(Env& env, const Session& session, const Weights::FormatOf& format_of,
                    const SessionOptions& options, bool whole_in_fp32) {
  const model::DecoderConfig& config = session.model->config();
  EnginePlan plan =
      plan_engine(*session.model, format_of,
                  options.limits ? options.limits(config)
                                 : EngineLimits{.sequences = 1, .capacity = 1, .rows = 1},
                  session.ctx.threads);
  // The reader of such a folder keeps all of it until each parameter is joined.
  if (whole_in_fp32) plan.loading_bytes = session.model->parameter_count() * 4;
  const std::int64_t have =
      options.memory_bytes > 0 ? options.memory_bytes : device::read_machine(env).memory_bytes;
  return check_engine_fits(plan, session.path, have);
}

Status add_tokenizer(Session& session, const std::string& json, const std::string& name) {
  ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::parse(json, name));
  if (tokenizer.vocab_size() > session.model->config().vocab)
    return refused("{}: {} ids, but the model beside it has {}", name, tokenizer.vocab_size(),
                   session.model->config().vocab);
  session.tokenizer = std::move(tokenizer);
  return Done{};
}

Result<Session> open_gguf(Env& env, device::Pool& pool, const std::string& path,
                          const dist::Group& tp, const SessionOptions& options) {
  if (tp.size() > 1)
    return wrong_usage("{}: {} ranks, but a GGUF file is read by one", path, tp.size());
  ASSIGN_OR_RETURN(const tensor::GgufFile file, tensor::GgufFile::open(env, path));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::config_of_gguf(file));
  Session session{.path = path,
                  .model = std::make_unique<model::Decoder>(config, tp),
                  .ctx = device::cpu_context(pool)};
  const Weights::FormatOf formats = formats_in(file, *session.model);
  RETURN_IF_ERROR(check_memory(env, session, formats, options, false));
  session.weights = std::make_unique<Weights>(session.model->parameters(), config.dtype, formats);
  RETURN_IF_ERROR(read_gguf_weights(session.ctx, file, *session.model, *session.weights));
  session.model->prepare(session.ctx);
  ASSIGN_OR_RETURN(const std::string tokenizer, gguf_tokenizer_json(file));
  if (!tokenizer.empty()) RETURN_IF_ERROR(add_tokenizer(session, tokenizer, path));
  return session;
}

}  // namespace

Result<const text::Tokenizer*> Session::need_tokenizer() const {
  if (!tokenizer.has_value())
    return refused("{}: no tokenizer that boreal reads, so it cannot be asked in words", path);
  return &*tokenizer;
}

Result<Session> open_session(Env& env, device::Pool& pool, const std::string& folder,
                             const dist::Group& tp, const SessionOptions& options) {
  if (is_gguf(env, folder)) return open_gguf(env, pool, folder, tp, options);
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, folder));
  if (const auto complaint = spec::mesh_complaint(
          {.tp = tp.size(), .sequence_parallel = false},
          {.heads = config.heads, .kv_heads = config.kv_heads, .ffn = config.ffn}))
    return wrong_usage("{}: {}", folder, complaint->message);
  Session session{.path = folder,
                  .model = std::make_unique<model::Decoder>(config, tp),
                  .ctx = device::cpu_context(pool)};
  const auto format_of = [&](const nn::Parameter&) { return options.format; };
  RETURN_IF_ERROR(check_memory(env, session, format_of, options,
                               !env.exists(join_path(folder, std::string(ckpt::kManifestName)))));
  session.weights = std::make_unique<Weights>(session.model->parameters(), config.dtype, format_of);
  // The fp32 values live only while the computing forms are made.
  RETURN_IF_ERROR(model::read_weights(
      env, folder, *session.model, [&](const nn::Parameter& p, const tensor::Tensor& whole) {
        const tensor::Shape shape = p.local_shape();
        const tensor::Block memory(shape.elements() * 4);
        const tensor::Tensor local(memory.data(), DType::f32, shape);
        const ckpt::Box all{std::vector<std::int64_t>(static_cast<std::size_t>(p.shape.rank()), 0),
                            p.shape};
        for (const parallel::Region& region : parallel::regions_of(p))
          ckpt::copy_shared(
              all, static_cast<const std::byte*>(whole.data), {region.offset, region.shape},
              {static_cast<float*>(local.data) + region.begin, DType::f32, region.shape});
        session.weights->publish(session.ctx, p, local);
      }));
  session.model->prepare(session.ctx);
  if (const std::string path = join_path(folder, "tokenizer.json"); env.exists(path)) {
    ASSIGN_OR_RETURN(const std::string json, env.read_file(path));
    RETURN_IF_ERROR(add_tokenizer(session, json, path));
  }
  return session;
}

}  // namespace boreal::infer
