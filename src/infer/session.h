// Session: a model from disk ready to answer: weights, tokenizer, engine. The only place where
// token ids meet text. Thread rule: one thread, the one that owns the pool.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "device/pool.h"
#include "infer/engine.h"
#include "model/decoder.h"
#include "parallel/weight_store.h"
#include "text/tokenizer.h"

namespace boreal::infer {

struct Session {
  std::string path;
  std::unique_ptr<model::Decoder> model;
  std::unique_ptr<parallel::WeightStore> weights;
  std::optional<text::Tokenizer> tokenizer;  // absent where the folder has none
  device::Context ctx;

  Result<const text::Tokenizer*> need_tokenizer() const;
};

// folder: a checkpoint, or a Hugging Face folder. Refused: neither, or damaged, or a tokenizer
// whose ids the model does not have.
// tp: the ranks that share each layer; every one of them opens the folder and makes the same calls.
// usage: they do not divide the model.
Result<Session> open_session(Env& env, device::Pool& pool, const std::string& folder,
                             const dist::Group& tp = {});

}  // namespace boreal::infer
