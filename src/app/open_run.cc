// Opening a run: its spec, its place in the mesh, its folder, its threads.
#include <cstdio>

#include "app/stages.h"
#include "device/machine.h"
#include "dist/layout_check.h"
#include "dist/place_rank.h"
#include "model/family.h"

namespace boreal::app {

namespace {

std::map<std::string, std::string> facts() {
  return {{"version", BOREAL_VERSION}, {"isa", std::string(device::name_of(device::best_isa()))}};
}

Status take_ledger(Run& run) {
  ASSIGN_OR_RETURN(auto opened,
                   monitor::RunLedger::open(
                       run.env, run.clock, run.out,
                       {.spec_hash = run.hash, .resolved_yaml = run.resolved, .facts = facts()}));
  run.ledger = std::make_unique<monitor::RunLedger>(std::move(opened));
  for (const std::string& change : run.ledger->changed_facts())
    std::fprintf(stderr, "warning: %s; results may differ in their last bits\n", change.c_str());
  return Done{};
}

Result<dist::DeviceMesh> mesh_of(dist::World& world, const spec::RunSpec& spec,
                                 const Opening& how) {
  if (!how.meshed) return dist::DeviceMesh();
  const dist::Layout layout(spec.mesh);
  ASSIGN_OR_RETURN(const spec::MeshWork work, mesh_work_of(spec));
  RETURN_IF_ERROR(
      dist::check_layout(spec.mesh, work, how.imagined ? layout.ranks() : world.size()));
  if (how.imagined) return dist::DeviceMesh::imagined(layout, 0);
  return dist::DeviceMesh::make(world, spec.mesh);
}

}  // namespace

Result<spec::MeshWork> mesh_work_of(const spec::RunSpec& spec) {
  spec::MeshWork work = spec::mesh_work(spec);
  if (spec.mesh.tp == 1) return work;
  const std::int64_t vocab = spec.model.vocab > 0 ? spec.model.vocab : spec.tokenizer.vocab;
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::config_of(spec.model, vocab));
  work.ffn = config.ffn;
  return work;
}

Result<spec::RunSpec> read_spec(const Arguments& args) {
  std::vector<std::string> sets = args.sets;
  if (!args.world.empty()) sets.push_back("world=" + args.world);
  ASSIGN_OR_RETURN(spec::RunSpec spec, spec::read_run_spec(Env::real(), args.spec, sets));
  if (args.out.empty() && (spec.name.find('/') != std::string::npos || spec.name.starts_with('.')))
    return wrong_usage(
        "name is \"{}\", but is the folder in out/: without / and no dot at its start; --out takes "
        "any folder",
        spec.name);
  return spec;
}

Result<Run> open_run(const Arguments& args, dist::World& world, const Opening& how) {
  Env& env = Env::real();
  const double started_s = Clock::real().now_s();
  ASSIGN_OR_RETURN(spec::RunSpec spec, read_spec(args));
  ASSIGN_OR_RETURN(const dist::DeviceMesh mesh, mesh_of(world, spec, how));
  const device::Machine machine = device::read_machine(env);
  Run run{.env = env,
          .clock = Clock::real(),
          .world = world,
          .mesh = mesh,
          .spec = spec,
          .resolved = spec::resolved_yaml(spec),
          .hash = spec::spec_hash(spec),
          .out = args.out.empty() ? "out/" + spec.name : args.out,
          .quiet = args.quiet || !world.is_main(),
          .started_s = started_s,
          .ranks_here = how.imagined && spec.world.starts_with("threads:")
                            ? dist::Layout(spec.mesh).ranks()
                            : world.local_size()};
  if (how.ledger) RETURN_IF_ERROR(world.all().agree(world.is_main() ? take_ledger(run) : Done{}));
  const device::Placement placement = dist::place_rank(world, machine, spec.threads);
  const std::int64_t threads = spec.threads * world.local_size();
  // A rank that was bound sees its own cores only; pinned threads have one each.
  if (world.is_main() && placement.pins.empty() && threads > machine.cores)
    std::fprintf(
        stderr, "warning: threads is %ld%s, but this machine has %ld cores: it is slower\n",
        static_cast<long>(spec.threads),
        world.local_size() > 1 ? fmt::format(" for each of {} ranks", world.local_size()).c_str()
                               : "",
        static_cast<long>(machine.cores));
  ASSIGN_OR_RETURN(run.pool, device::Pool::start(placement));
  return run;
}

Status begin_stage(Run& run, std::string_view stage, std::string_view input_hash) {
  return run.world.all().agree(run.ledger != nullptr ? run.ledger->begin(stage, input_hash)
                                                     : Done{});
}

Status finish_stage(Run& run, std::string_view stage) {
  return run.world.all().agree(run.ledger != nullptr ? run.ledger->finish(stage) : Done{});
}

Status finish_done_stage(Run& run, std::string_view stage) {
  RETURN_IF_ERROR(finish_stage(run, stage));
  return run.world.all().agree(run.ledger != nullptr ? run.ledger->found_done(stage) : Done{});
}

bool decided(Run& run, bool yes) {
  return run.world.all().gather_texts(yes ? "yes" : "no").front() == "yes";
}

}  // namespace boreal::app
