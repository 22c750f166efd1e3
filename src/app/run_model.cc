// boreal generate, logits, import, eval --model: verbs that start from a model's folder.
#include <charconv>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/eval_tasks.h"
#include "app/figures.h"
#include "app/places.h"
#include "app/ranks.h"
#include "app/stages.h"
#include "device/machine.h"
#include "infer/session.h"
#include "model/family.h"
#include "model/folder.h"
#include "tensor/safetensors.h"
#include "train/checkpointing.h"

namespace boreal::app {

namespace {

constexpr std::int64_t kMaxTokens = 64;

Result<std::string> read_input(Env& env, const std::string& path) {
  if (path != "-") return env.read_file(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// What rank 0 reads, on every rank: stdin is its own. Without `read` the text itself.
Result<std::string> read_once(Seat& seat, bool read, const std::string& path) {
  if (!read) return path;
  return found_by_main(seat.world, [&] { return read_input(Env::real(), path); });
}

infer::EngineLimits limits_of(const model::DecoderConfig& config, std::int64_t sequences) {
  const std::int64_t context = config.context;
  return {.sequences = sequences,
          .capacity = context,
          .rows = std::max(sequences, std::min<std::int64_t>(context, 512))};
}

// Refused before the weights are read where the engine would not fit.
infer::SessionOptions planned(
    std::function<infer::EngineLimits(const model::DecoderConfig&)> limits) {
  return {.limits = std::move(limits)};
}

Status generate_verb(const Arguments& args, Seat& seat) {
  Env& env = Env::real();
  const bool main = seat.world.is_main();
  ASSIGN_OR_RETURN(const std::string folder, find_model(env, seat.world, args.model, args.quiet));
  const auto limits = [&](const model::DecoderConfig& config) {
    return limits_of(config, std::min<std::int64_t>(16, std::ssize(args.prompts)));
  };
  ASSIGN_OR_RETURN(infer::Session session,
                   infer::open_session(env, *seat.pool, folder, seat.world.all(), planned(limits)));
  ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, session.need_tokenizer());
  const std::int64_t context = session.model->config().context;
  if (args.max_tokens.value_or(0) > context)
    return wrong_usage("--max-tokens: {}, but the model's context is {}", *args.max_tokens,
                       context);
  std::vector<infer::Request> requests;
  std::vector<std::string> prompts;
  for (const std::string& given : args.prompts) {
    ASSIGN_OR_RETURN(prompts.emplace_back(), read_once(seat, given == "-", given));
    infer::Request request{.prompt = tokenizer->encode(prompts.back()),
                           .max_tokens = args.max_tokens.value_or(kMaxTokens),
                           .sampling = {args.temperature, args.top_k, args.top_p,
                                        static_cast<std::uint64_t>(args.seed)}};
    if (request.prompt.empty()) return wrong_usage("--prompt: an empty prompt");
    if (static_cast<std::int64_t>(request.prompt.size()) >= context)
      return wrong_usage("--prompt: {} tokens, but the model's context is {}",
                         request.prompt.size(), context);
    if (const auto end = tokenizer->end_of_text()) request.stop = {*end};
    requests.push_back(std::move(request));
  }
  infer::Engine engine(*session.model, *session.weights, session.ctx,
                       limits(session.model->config()));
  const auto completions = engine.generate(requests);
  if (!main) return Done{};
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < completions.size(); ++i) {
    std::vector<text::TokenId> ids = completions[i].tokens;
    if (completions[i].stopped) ids.pop_back();
    const std::string text = tokenizer->decode(ids);
    std::printf("%s%s\n", prompts[i].c_str(), text.c_str());
    json.push_back({{"prompt", prompts[i]},
                    {"completion", text},
                    {"tokens", completions[i].tokens},
                    {"stopped", completions[i].stopped}});
  }
  print_figures(args, {{"completions", json}});
  return Done{};
}

Status logits_verb(const Arguments& args, Seat& seat) {
  Env& env = Env::real();
  const bool main = seat.world.is_main();
  RETURN_IF_ERROR(
      seat.world.all().agree(main ? check_file_to_write(env, "--to", args.to) : Done{}));
  ASSIGN_OR_RETURN(const std::string text, read_once(seat, true, args.in));
  ASSIGN_OR_RETURN(const std::string folder, find_model(env, seat.world, args.model, args.quiet));
  const auto limits = [](const model::DecoderConfig& config) {
    return infer::EngineLimits{.sequences = 1, .capacity = config.context, .rows = config.context};
  };
  ASSIGN_OR_RETURN(infer::Session session,
                   infer::open_session(env, *seat.pool, folder, seat.world.all(), planned(limits)));
  std::vector<std::int32_t> ids;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    std::int32_t id = 0;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (code != std::errc() || end != word.data() + word.size() || id < 0 ||
        id >= session.model->config().vocab)
      return refused("{}: \"{}\" is no id below {}", args.in, word, session.model->config().vocab);
    ids.push_back(id);
  }
  const std::int64_t context = session.model->config().context;
  if (ids.empty() || static_cast<std::int64_t>(ids.size()) > context)
    return refused("{}: {} ids; the model takes 1 to {}", args.in, ids.size(), context);
  infer::Engine engine(*session.model, *session.weights, session.ctx,
                       limits(session.model->config()));
  std::vector<float> logits = engine.all_logits(ids, 0);
  if (!main) return Done{};
  const tensor::NamedTensor named[] = {
      {"logits", tensor::Tensor(logits.data(), DType::f32,
                                tensor::Shape{static_cast<std::int64_t>(ids.size()),
                                              session.model->config().vocab})}};
  RETURN_IF_ERROR(tensor::write_safetensors(env, args.to, named, {}));
  print_figures(args, {{"model", folder},
                       {"to", args.to},
                       {"tokens", ids.size()},
                       {"vocab", session.model->config().vocab}});
  return Done{};
}

Status eval_of_model_verb(const Arguments& args, Seat& seat) {
  Env& env = Env::real();
  const bool main = seat.world.is_main();
  ASSIGN_OR_RETURN(const std::vector<eval::Item> items, read_tasks(env, args.tasks, "", 0));
  ASSIGN_OR_RETURN(const std::string folder, find_model(env, seat.world, args.model, args.quiet));
  const auto limits_for = [](const model::DecoderConfig& config) {
    infer::EngineLimits limits = limits_of(config, 8);
    limits.rows = std::max<std::int64_t>(512, limits.capacity);
    return limits;
  };
  ASSIGN_OR_RETURN(
      infer::Session session,
      infer::open_session(env, *seat.pool, folder, seat.world.all(), planned(limits_for)));
  ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, session.need_tokenizer());
  const infer::EngineLimits limits = limits_for(session.model->config());
  infer::Engine engine(*session.model, *session.weights, session.ctx, limits);
  ASSIGN_OR_RETURN(const eval::Evaluation evaluation,
                   eval::evaluate(engine, limits, *tokenizer, items));
  if (!main) return Done{};
  const double none = std::numeric_limits<double>::quiet_NaN();
  if (!args.out.empty())
    RETURN_IF_ERROR(eval::write_results(env, args.out, evaluation, none, folder));
  std::printf("%s\n", monitor::to_text(score_table(evaluation)).c_str());
  print_figures(args, nlohmann::ordered_json::parse(eval::results_json(evaluation, none, folder)));
  return Done{};
}

}  // namespace

Status run_generate(const Arguments& args) {
  return on_ranks(args, [&](Seat& seat) { return generate_verb(args, seat); });
}

Status run_logits(const Arguments& args) {
  return on_ranks(args, [&](Seat& seat) { return logits_verb(args, seat); });
}

Status run_eval_of_model(const Arguments& args) {
  if (args.model.empty() || args.tasks.empty())
    return wrong_usage("eval: give a SPEC, or --model and --tasks");
  return on_ranks(args, [&](Seat& seat) { return eval_of_model_verb(args, seat); });
}

Status run_import(const Arguments& args) {
  Env& env = Env::real();
  RETURN_IF_ERROR(train::import_checkpoint(env, args.from, args.to));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, args.to));
  print_figures(args, {{"from", args.from},
                       {"to", args.to},
                       {"parameters", model::Decoder(config).parameter_count()},
                       {"tokenizer", env.exists(join_path(args.to, "tokenizer.json"))}});
  return Done{};
}

}  // namespace boreal::app
