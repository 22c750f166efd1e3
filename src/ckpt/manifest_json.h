// The text form of manifests and votes: sealed JSON. Checks form and types; what the values mean
// together is manifest.cc's. Thread rule: pure functions.
#pragma once

#include <string>

#include "base/result.h"
#include "ckpt/manifest.h"

namespace boreal::ckpt {

Result<Manifest> parse_manifest(const std::string& file, const std::string& text);

}  // namespace boreal::ckpt
