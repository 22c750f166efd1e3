// Families: from a spec or a Hugging Face config.json to a DecoderConfig and back, and which
// Hugging Face tensor holds which rows of which parameter. A new family is one file and a line in
// families.h and in family.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/decoder.h"
#include "spec/run_spec.h"

namespace boreal::model {

// Rows [row_begin, row_begin + rows) of `parameter`. transposed: the file holds [in, out]. heads:
// above 0 the file has query, key and value of one head side by side, the parameter all queries,
// then all keys, then all values.
struct HfTensor {
  std::string hf_name;
  std::string parameter;
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  bool transposed = false;
  std::int64_t heads = 0;

  // The parameter's row that is row `in_file` of the file.
  std::int64_t row(std::int64_t in_file) const;
};

// vocab: ids of the tokenizer, used where the spec leaves it 0. kind usage if the spec does not
// make a model.
Result<DecoderConfig> config_of(const spec::ModelSpec& spec, std::int64_t vocab);
// The spec that gives this config again.
spec::ModelSpec spec_of(const DecoderConfig& config);

// config.json of transformers. end_of_text: id written as bos and eos. Of a model that transformers
// has no word for (exportable) it is one that only this program reads.
std::string hf_config_json(const DecoderConfig& config, std::int64_t end_of_text);
// Refused: a model that transformers would take for another one.
Status exportable(const DecoderConfig& config);
// kind refused, naming the key, for a family or an option that we do not have.
Result<DecoderConfig> config_from_hf(const std::string& json, const std::string& name, DType dtype);
std::vector<HfTensor> hf_tensors(const DecoderConfig& config);
// The tensor that an untied head would have.
std::string hf_head_name(const DecoderConfig& config);
// Names of other writers for the same tensor (e.g. without "transformer."), tried when the first is
// absent.
std::vector<std::string> hf_aliases(const DecoderConfig& config, const std::string& hf_name);

}  // namespace boreal::model
