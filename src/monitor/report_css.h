// The style of reports beyond that of the charts. Thread rule: pure function.
#pragma once

#include <string_view>

namespace boreal::monitor {

std::string_view report_css();

}  // namespace boreal::monitor
