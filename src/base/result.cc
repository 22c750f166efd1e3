#include "base/result.h"

namespace boreal {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failed: return 1;
    case ErrorKind::usage: return 2;
    case ErrorKind::refused: return 3;
    case ErrorKind::try_again: return 75;
    case ErrorKind::interrupted: return 130;
  }
  return 1;
}

}  // namespace boreal
