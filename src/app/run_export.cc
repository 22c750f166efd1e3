// boreal export: a model as a Hugging Face folder or a GGUF file.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/places.h"
#include "app/stages.h"
#include "device/machine.h"
#include "infer/gguf_model.h"
#include "model/folder.h"
#include "model/hf_folder.h"
#include "text/tokenizer.h"

namespace boreal::app {

namespace {

// "" if the folder has none.
Result<std::string> tokenizer_of(Env& env, const std::string& folder) {
  const std::string path = join_path(folder, "tokenizer.json");
  if (!env.exists(path)) return std::string();
  return env.read_file(path);
}

tensor::GgufType type_of(const std::string& quantize, DType dtype) {
  if (quantize == "q8_0") return tensor::GgufType::q8_0;
  if (quantize == "q4_0") return tensor::GgufType::q4_0;
  if (quantize == "f32" || (quantize.empty() && dtype == DType::f32)) return tensor::GgufType::f32;
  return tensor::GgufType::bf16;
}

Status export_gguf(const Arguments& args, const std::string& folder, const model::Decoder& model,
                   const model::ParameterMemory& memory) {
  Env& env = Env::real();
  if (!args.dtype.empty())
    return wrong_usage("--dtype: a GGUF file takes --quantize f32, bf16, q8_0 or q4_0");
  RETURN_IF_ERROR(check_file_to_write(env, "--to", args.to));
  if (!args.to.ends_with(".gguf"))
    return wrong_usage("--to: {} does not end in .gguf, by which such files are known", args.to);
  infer::GgufExport options{.type = type_of(args.quantize, model.config().dtype),
                            .name = file_name(args.to.substr(0, args.to.size() - 5))};
  ASSIGN_OR_RETURN(options.tokenizer_json, tokenizer_of(env, folder));
  ASSIGN_OR_RETURN(const auto pool, device::Pool::start(device::read_machine(env).cores));
  ASSIGN_OR_RETURN(
      const infer::GgufTokenizer tokenizer,
      infer::write_gguf_model(env, device::cpu_context(*pool), args.to, model, memory, options));
  if (tokenizer == infer::GgufTokenizer::ids_only && !args.quiet)
    std::fprintf(stderr,
                 "llama.cpp cannot split text as this tokenizer does: it takes ids of this file; "
                 "boreal takes text\n");
  ASSIGN_OR_RETURN(const auto size, env.file_size(args.to));
  print_figures(args, {{"checkpoint", folder},
                       {"to", args.to},
                       {"type", tensor::name_of(options.type)},
                       {"bytes", size},
                       {"parameters", model.parameter_count()},
                       {"tokenizer", infer::name_of(tokenizer)}});
  return Done{};
}

}  // namespace

Status run_export(const Arguments& args) {
  Env& env = Env::real();
  ASSIGN_OR_RETURN(const std::string folder, find_model(env, args.checkpoint, args.quiet));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::read_config(env, folder));
  const model::Decoder model(config);
  parallel::ShardedState state(model.parameters(), false);
  const auto memory = [&](const nn::Parameter& p) { return state.master(p); };
  RETURN_IF_ERROR(model::read_weights(env, folder, model, memory));
  if (args.format == "gguf") return export_gguf(args, folder, model, memory);
  if (!args.quantize.empty())
    return wrong_usage(
        "--quantize: a Hugging Face folder has fp32 or bf16 (--dtype); add --format "
        "gguf");
  model::HfExport options{.dtype = config.dtype};
  if (args.dtype == "fp32") options.dtype = DType::f32;
  if (args.dtype == "bf16") options.dtype = DType::bf16;
  ASSIGN_OR_RETURN(options.tokenizer_json, tokenizer_of(env, folder));
  if (!options.tokenizer_json.empty()) {
    ASSIGN_OR_RETURN(const auto parsed, text::Tokenizer::parse(options.tokenizer_json, folder));
    if (const auto end = parsed.end_of_text()) options.end_of_text = *end;
  }
  RETURN_IF_ERROR(model::write_hf_folder(env, args.to, model, memory, options));
  print_figures(args, {{"checkpoint", folder},
                       {"to", args.to},
                       {"dtype", name_of(options.dtype)},
                       {"parameters", model.parameter_count()},
                       {"tokenizer", !options.tokenizer_json.empty()}});
  return Done{};
}

}  // namespace boreal::app
