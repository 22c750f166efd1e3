#include "app/arguments.h"

int main(int argc, char** argv) {
  return boreal::app::run_command_line(argc, argv);
}
