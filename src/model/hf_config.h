// HfConfig: a config.json of transformers, read strictly: each key that a family understands is
// asked for, what is left over is refused unless it is known to change no number. The first
// complaint is kept, later questions get their fallback. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "nn/rotary.h"

namespace boreal::model {

class HfConfig {
 public:
  // json: an object that outlives this. name: of the file, for messages.
  HfConfig(const nlohmann::json& json, std::string name, std::string family);

  // Without fallback the key must be there. null counts as absent.
  std::int64_t whole(const char* key);
  std::int64_t whole(const char* key, std::int64_t fallback);
  double number(const char* key, double fallback);
  bool flag(const char* key, bool fallback);
  std::string text(const char* key, const std::string& fallback);
  bool contains(const char* key) const;
  bool has(const char* key) const;  // and is not null

  // The only values that a family has; absent: as transformers' own default, `fallback`.
  void only(const char* key, bool value, bool fallback);
  void one_of(const char* key, const std::vector<std::string>& values, const std::string& fallback);
  // "sliding_window": positive, or null for none (0).
  std::int64_t window(std::int64_t fallback);
  bool every_layer_is_full() const;  // says "layer_types"
  // "layer_types", if it is there, must be sliding where `windowed` is.
  void layer_types(const std::vector<bool>& windowed);
  // rope_theta (or theta_key) and rope_scaling, or rope_parameters of transformers 5.
  nn::RotaryOptions rope(const char* theta_key, double fallback);

  void complain(const std::string& message);
  // The first complaint, or that a key is left over.
  Status finish();

 private:
  template <class T>
  T get(const char* key, const char* wanted, bool (nlohmann::json::*is)() const noexcept,
        T fallback);
  void read_scaling(const char* key, nn::RotaryOptions& rope);

  const nlohmann::json& json_;
  std::string name_;
  std::string family_;
  std::set<std::string> asked_;
  std::string complaint_;
};

// The value of "rope_scaling": null or an object.
nlohmann::ordered_json rope_scaling_json(const nn::RotaryOptions& rope);

}  // namespace boreal::model
