// Session: a model from disk ready to answer: weights, tokenizer, engine. The only place where
// token ids meet text. Thread rule: one thread, the one that owns the pool.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "device/pool.h"
#include "infer/engine.h"
#include "infer/weights.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

namespace boreal::infer {

struct Session {
  std::string path;
  std::unique_ptr<model::Decoder> model;
  std::unique_ptr<Weights> weights;
  std::optional<text::Tokenizer> tokenizer;  // absent where the folder has none
  device::Context ctx;

  Result<const text::Tokenizer*> need_tokenizer() const;
};

struct SessionOptions {
  // Matrices of a folder are rounded to this; a GGUF file has its own formats.
  kernels::WeightFormat format = kernels::WeightFormat::plain;
  // What the engine over it will be: then all of its memory must fit, else the weights alone.
  std::function<EngineLimits(const model::DecoderConfig&)> limits;
  std::int64_t memory_bytes = 0;  // that may be taken; 0: what the machine has
};

// path: a checkpoint, a Hugging Face folder, or a GGUF file. Refused: none of them, or damaged, or
// a tokenizer whose ids the model does not have, or more memory than there is.
// tp: the ranks that share each layer; every one of them opens the folder and makes the same calls.
// usage: they do not divide the model, or share a GGUF file.
Result<Session> open_session(Env& env, device::Pool& pool, const std::string& path,
                             const dist::Group& tp = {}, const SessionOptions& options = {});

}  // namespace boreal::infer
