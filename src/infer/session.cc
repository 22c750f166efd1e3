#include "infer/session.h"

#include "ckpt/box.h"
#include "model/folder.h"
#include "parallel/regions.h"
#include "spec/validate.h"

namespace boreal::infer {

Result<const text::Tokenizer*> Session::need_tokenizer() const {
  if (!tokenizer.has_value())
    return refused("{}: no tokenizer.json, so it cannot be asked in words", path);
  return &*tokenizer;
}

Result<Session> open_session(Env& env, device::Pool& pool, const std::string& folder,
                             const dist::Group& tp) {
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, folder));
  if (const auto complaint = spec::mesh_complaint(
          {.tp = tp.size(), .sequence_parallel = false},
          {.heads = config.heads, .kv_heads = config.kv_heads, .ffn = config.ffn}))
    return wrong_usage("{}: {}", folder, complaint->message);
  Session session{.path = folder,
                  .model = std::make_unique<model::Decoder>(config, tp),
                  .ctx = device::cpu_context(pool)};
  session.weights = std::make_unique<parallel::WeightStore>(session.model->parameters(),
                                                            config.dtype, false, false);
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
    ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::load(env, path));
    if (tokenizer.vocab_size() > config.vocab)
      return refused("{}: {} ids, but the model beside it has {}", path, tokenizer.vocab_size(),
                     config.vocab);
    session.tokenizer = std::move(tokenizer);
  }
  return session;
}

}  // namespace boreal::infer
