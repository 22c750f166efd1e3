// boreal tokenizer train|encode|decode.
#include <charconv>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/places.h"
#include "base/env.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer.h"

namespace boreal::app {

namespace {

Result<std::string> read_input(Env& env, const std::string& path) {
  if (path != "-") return env.read_file(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

bool to_stdout(const std::string& path) {
  return path.empty() || path == "-";
}

Status write_output(Env& env, const std::string& path, const std::string& content) {
  if (!to_stdout(path)) return env.write_file(path, content);
  (void)std::fwrite(content.data(), 1, content.size(), stdout);  // checked when the verb is done
  return Done{};
}

Status train(Env& env, const Arguments& args) {
  ASSIGN_OR_RETURN(const std::string text, read_input(env, args.in));
  if (text.empty()) return refused("{}: no text to train on", args.in);
  text::BpeTrainer trainer({.vocab_size = args.vocab, .pattern = args.pattern});
  trainer.add(text);
  ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, trainer.train());
  RETURN_IF_ERROR(env.write_file(args.out, tokenizer.to_json()));
  if (!args.quiet) std::fprintf(stderr, "%ld ids\n", static_cast<long>(tokenizer.vocab_size()));
  print_figures(args,
                {{"out", args.out}, {"vocab", tokenizer.vocab_size()}, {"bytes", text.size()}});
  return Done{};
}

Status encode(Env& env, const Arguments& args, const text::Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const std::string text, read_input(env, args.in));
  std::string line;
  const auto ids = tokenizer.encode(text, {.parse_special = args.special});
  for (const text::TokenId id : ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  RETURN_IF_ERROR(write_output(env, args.out, line + "\n"));
  print_figures(args, {{"out", args.out}, {"tokens", ids.size()}, {"bytes", text.size()}});
  return Done{};
}

Status decode(Env& env, const Arguments& args, const text::Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const std::string text, read_input(env, args.in));
  std::vector<text::TokenId> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    if (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') {
      ++at;
      continue;
    }
    text::TokenId id = 0;
    const auto [next, code] = std::from_chars(at, end, id);
    const bool ends =
        next == end || *next == ' ' || *next == '\n' || *next == '\t' || *next == '\r';
    if (code != std::errc() || !ends || id < 0 || id >= tokenizer.vocab_size())
      return refused("{}: byte {}: no id below {}", args.in, at - text.data(),
                     tokenizer.vocab_size());
    ids.push_back(id);
    at = next;
  }
  const std::string decoded = tokenizer.decode(ids);
  RETURN_IF_ERROR(write_output(env, args.out, decoded));
  print_figures(args, {{"out", args.out}, {"tokens", ids.size()}, {"bytes", decoded.size()}});
  return Done{};
}

}  // namespace

Status run_tokenizer(const Arguments& args) {
  Env& env = Env::real();
  if (!to_stdout(args.out)) RETURN_IF_ERROR(check_file_to_write(env, "--out", args.out));
  if (args.sub == "train") return train(env, args);
  if (args.json && to_stdout(args.out))
    return wrong_usage(
        "tokenizer {} --json: the {} go to stdout, where the figures would follow "
        "them; name a file with --out",
        args.sub, args.sub == "encode" ? "ids" : "bytes");
  ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::load(env, args.tokenizer));
  return args.sub == "encode" ? encode(env, args, tokenizer) : decode(env, args, tokenizer);
}

}  // namespace boreal::app
