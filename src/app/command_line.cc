// Runs the verb that a line names, and turns what went wrong into one message and an exit code.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <string_view>

#include "app/parser.h"

namespace boreal::app {

namespace {

struct Verb {
  const char* name;
  Status (*run)(const Arguments&);
};
constexpr Verb kVerbs[] = {
    {"run", run_recipe},    {"prep", run_prep},         {"train", run_train},
    {"eval", run_eval},     {"generate", run_generate}, {"logits", run_logits},
    {"export", run_export}, {"import", run_import},     {"tokenizer", run_tokenizer},
    {"tokens", run_tokens}, {"plan", run_plan},         {"machine", run_machine}};

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
  std::fprintf(stderr, "boreal: %s\n", error.message.c_str());
  return exit_code(error.kind);
}

// The parser would only say that a verb is required.
Status known_verb(const char* word) {
  std::string names;
  for (const Verb& verb : kVerbs) {
    if (word == std::string_view(verb.name)) return Done{};
    names += std::string(names.empty() ? "" : ", ") + verb.name;
  }
  return wrong_usage("there is no verb \"{}\"; the verbs are {}", word, names);
}

Status run_verb(const Arguments& args) {
  for (const Verb& known : kVerbs)
    if (args.verb == known.name) return known.run(args);
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
  if (argc > 1 && argv[1][0] != '-')
    if (const Status status = known_verb(argv[1]); !status.ok()) return report(status.error());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? finish(Done{}) : 2;
  }
  const CLI::App* verb = app.get_subcommands().front();
  args.verb = verb->get_name();
  if (!verb->get_subcommands().empty()) args.sub = verb->get_subcommands().front()->get_name();
  try {
    return finish(run_verb(args));
  } catch (const std::bad_alloc&) {
    return report(failed("out of memory; `boreal plan SPEC` says what a run needs"));
  } catch (const std::exception& error) {
    return report(failed("unexpected: {}", error.what()));
  }
}

}  // namespace boreal::app
