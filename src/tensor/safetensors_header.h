// The JSON header of a safetensors file: parsed and checked against the size of its data buffer.
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/safetensors.h"

namespace boreal::tensor {

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their bytes
  SafetensorsMetadata metadata;
};

// `file` is for messages. Refused: anything that the format forbids (see docs).
Result<SafetensorsHeader> parse_safetensors_header(const std::string& file, std::string_view json,
                                                   std::int64_t buffer_bytes);

// "F32" for f32 and so on.
std::string_view safetensors_name_of(DType dtype);

}  // namespace boreal::tensor
