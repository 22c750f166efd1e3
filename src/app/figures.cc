#include "app/figures.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace boreal::app {

void print_figures(const Arguments& args, const nlohmann::ordered_json& figures) {
  if (!args.json) return;
  using Handler = nlohmann::ordered_json::error_handler_t;
  std::printf("%s\n", figures.dump(-1, ' ', false, Handler::replace).c_str());
}

}  // namespace boreal::app
