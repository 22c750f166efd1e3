// Runs the verb that a line names, and turns what went wrong into one message and an exit code.
#include <fcntl.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <string_view>

#include "app/parser.h"
#include "device/machine.h"
#include "dist/launch.h"
#include "spec/node.h"

namespace boreal::app {

namespace {

struct Verb {
  const char* name;
  Status (*run)(const Arguments&);
  bool alone = false;  // has no --world: of several processes each would do the whole of it
};
constexpr Verb kVerbs[] = {{"run", run_recipe},
                           {"prep", run_prep},
                           {"train", run_train},
                           {"eval", run_eval},
                           {"generate", run_generate},
                           {"logits", run_logits},
                           {"export", run_export, true},
                           {"import", run_import, true},
                           {"tokenizer", run_tokenizer, true},
                           {"tokens", run_tokens, true},
                           {"mesh", run_mesh, true},
                           {"plan", run_plan, true},
                           {"machine", run_machine, true}};

// A stream that the caller closed would lend its number to the next file that is opened, and what
// is printed would go into that. Nothing can be written to the one that takes stdout's place.
void hold_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF)
      (void)::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

// Output that was lost is a failure, however well the verb went.
Status flush_output() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int code = errno;
  if (flushed && std::ferror(stdout) == 0) return Done{};
  return failed("cannot write to stdout: {}", code != 0 ? std::strerror(code) : "a part was lost");
}

int report(const Error& error) {
  std::fflush(stdout);
  if (error.message.empty()) return exit_code(error.kind);  // another rank tells it
  dist::let_main_rank_speak(dist::read_launch());
  std::fprintf(stderr, "boreal: %s\n", error.message.c_str());
  return exit_code(error.kind);
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto near = spec::nearest(word, known);
  return near ? fmt::format(" (did you mean {}?)", *near) : "";
}

// The first words of the line are verbs while there are verbs to choose from. `at` ends as the one
// that was chosen; the parser would only say that one is required.
Status find_verb(std::span<char*> words, CLI::App*& at) {
  std::string of;
  for (const char* word : words) {
    std::vector<std::string> names;
    for (const CLI::App* verb : at->get_subcommands({})) names.push_back(verb->get_name());
    if (names.empty()) return Done{};
    if (std::string_view(word).starts_with('-')) return Done{};
    if (std::find(names.begin(), names.end(), word) == names.end())
      return wrong_usage("there is no verb \"{}\"{}; the verbs{} are {}", word,
                         did_you_mean(word, names), of, fmt::join(names, ", "));
    at = at->get_subcommand(word);
    of = std::string(" of ") + word;
  }
  return Done{};
}

Error no_verb(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) names.push_back(verb->get_name());
  return wrong_usage("a verb (subcommand) is missing: {}", fmt::join(names, ", "));
}

// What the parser complains about, in one message. It would name a missing option before the wrong
// word that was meant to be it.
Error wrong_line(const CLI::ParseError& error, std::span<char*> words, CLI::App& verb) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  for (const std::string_view word : words) {
    const std::string flag(word.substr(0, word.find('=')));
    if (!flag.starts_with("--") || flag.size() == 2) continue;
    if (std::find(flags.begin(), flags.end(), flag) == flags.end())
      return wrong_usage("there is no option {}{}; --help lists them", flag,
                         did_you_mean(flag, flags));
  }
  return wrong_usage("{}; --help tells more", error.what());
}

Status run_verb(const Arguments& args) {
  if (const char* isa = std::getenv("BOREAL_ISA"); isa != nullptr) {
    const Status limited = device::limit_isa(isa);
    if (!limited.ok()) return wrong_usage("BOREAL_ISA: {}", limited.error().message);
  }
  for (const Verb& known : kVerbs) {
    if (args.verb != known.name) continue;
    const dist::Launch launch = dist::read_launch();
    if ((known.alone || args.dry_run) && launch.ranks > 1)
      return wrong_usage(
          "{}{} does its work in one process, but {} says that this is one of {}; start it without "
          "a launcher",
          args.verb, args.dry_run ? " --dry-run" : "", launch.variable, launch.ranks);
    return known.run(args);
  }
  return wrong_usage("there is no verb \"{}\"", args.verb);
}

int finish(const Status& status) {
  if (!status.ok()) return report(status.error());
  const Status written = flush_output();
  return written.ok() ? 0 : report(written.error());
}

}  // namespace

int run_command_line(int argc, char** argv) {
  hold_standard_streams();
  ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is then an error that names it
  Arguments args;
  CLI::App app{
      "boreal: scientific documents and tables to a trained, evaluated language model\n\n"
      "Start with:  boreal run recipes/quickstart.yaml"};
  build_parser(app, args);
  const std::span<char*> words(argv + 1, argv + std::max(argc, 1));
  CLI::App* verb = &app;
  if (const Status known = find_verb(words, verb); !known.ok()) return report(known.error());
  try {
    app.parse(argc, argv);
    if (!verb->get_subcommands({}).empty()) return report(no_verb(*verb));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return report(wrong_line(error, words, *verb));
    app.exit(error);
    return finish(Done{});
  }
  const bool nested = verb->get_parent() != &app;
  args.verb = nested ? verb->get_parent()->get_name() : verb->get_name();
  if (nested) args.sub = verb->get_name();
  try {
    return finish(run_verb(args));
  } catch (const std::bad_alloc&) {
    return report(failed("out of memory; `boreal plan SPEC` says what a run needs"));
  } catch (const std::exception& error) {
    return report(failed("unexpected: {}", error.what()));
  }
}

}  // namespace boreal::app
