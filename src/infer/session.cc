#include "infer/session.h"

#include "model/folder.h"

namespace boreal::infer {

Result<const text::Tokenizer*> Session::need_tokenizer() const {
  if (!tokenizer.has_value())
    return refused("{}: no tokenizer.json, so it cannot be asked in words", path);
  return &*tokenizer;
}

Result<Session> open_session(Env& env, device::Pool& pool, const std::string& folder) {
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, folder));
  Session session{.path = folder,
                  .model = std::make_unique<model::Decoder>(config),
                  .ctx = device::cpu_context(pool)};
  session.weights = std::make_unique<parallel::WeightStore>(session.model->parameters(),
                                                            config.dtype, false, false);
  {
    // The fp32 values live only while the computing forms are made.
    std::vector<tensor::Block> blocks;
    std::vector<tensor::Tensor> values;
    for (const nn::Parameter* p : session.model->parameters()) {
      blocks.emplace_back(p->shape.elements() * 4);
      values.emplace_back(blocks.back().data(), DType::f32, p->shape);
    }
    RETURN_IF_ERROR(model::read_weights(env, folder, *session.model, [&](const nn::Parameter& p) {
      return values[static_cast<std::size_t>(p.index)];
    }));
    for (const nn::Parameter* p : session.model->parameters())
      session.weights->publish(session.ctx, *p, values[static_cast<std::size_t>(p->index)]);
  }
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
