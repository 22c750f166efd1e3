// The command line as a plain struct. arguments.cc and command_line.cc alone know the parser; a
// verb is a function of Arguments.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace boreal::app {

struct Arguments {
  std::string verb;
  std::string sub;  // of tokenizer and tokens
  std::string spec;
  std::vector<std::string> sets;
  std::string out;
  std::string world;
  bool json = false;
  bool quiet = false;

  std::string resume = "auto";
  bool dry_run = false;
  std::int64_t profile_steps = 0;
  std::string model;
  std::vector<std::string> tasks;
  std::vector<std::string> prompts;
  std::optional<std::int64_t> max_tokens;
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
  std::int64_t seed = 1;
  std::string checkpoint;
  std::string from;
  std::string to;
  std::string dtype;
  std::string format = "hf";
  std::string quantize;
  std::string tokenizer;
  std::string in = "-";
  std::string path;
  std::string text;
  std::int64_t count = 10;
  std::int64_t vocab = 4096;
  std::string pattern = "gpt2";
  std::string steps = "0..1";
  bool special = false;
};

// Runs the verb that the line names. Returns the exit code of the program (design 10).
using Runner = std::function<Status(const Arguments&)>;
int run_command_line(int argc, char** argv);

// One a verb, each in a file of its own.
Status run_recipe(const Arguments& args);
Status run_prep(const Arguments& args);
Status run_train(const Arguments& args);
Status run_eval(const Arguments& args);
Status run_generate(const Arguments& args);
Status run_logits(const Arguments& args);
Status run_export(const Arguments& args);
Status run_import(const Arguments& args);
Status run_tokenizer(const Arguments& args);
Status run_tokens(const Arguments& args);
Status run_plan(const Arguments& args);
Status run_eval_of_model(const Arguments& args);
Status run_mesh(const Arguments& args);
Status run_machine(const Arguments& args);

}  // namespace boreal::app
