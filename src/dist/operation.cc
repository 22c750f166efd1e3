#include "dist/operation.h"

#include <algorithm>
#include <span>

namespace boreal::dist {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::none: return "nothing";
    case Kind::all_reduce: return "all_reduce";
    case Kind::all_gather: return "all_gather";
    case Kind::reduce_scatter: return "reduce_scatter";
    case Kind::broadcast: return "broadcast";
    case Kind::all_to_all: return "all_to_all";
    case Kind::send: return "send";
    case Kind::receive: return "receive";
    case Kind::barrier: return "barrier";
    case Kind::sum: return "sum";
    case Kind::gather_texts: return "gather_texts";
    case Kind::agree: return "agree";
  }
  return "?";
}

std::string Call::text() const {
  std::string out = fmt::format("{} of {}", name_of(kind), axis.data());
  if (kind == Kind::all_reduce && reduce == Reduce::max) out += ", largest";
  if (has_tensor) {
    const std::span<const std::int64_t> known(dims.data(), static_cast<std::size_t>(dim_count));
    out += fmt::format(", {} {}", boreal::name_of(dtype), tensor::Shape(known).text());
  }
  if (root >= 0) out += fmt::format(", root {}", root);
  return out + fmt::format(", at {}:{}", file.data(), line);
}

bool Call::fits(const Call& other, bool compare_sites) const {
  const bool pair = (kind == Kind::send && other.kind == Kind::receive) ||
                    (kind == Kind::receive && other.kind == Kind::send);
  if (!pair && (kind != other.kind || kind == Kind::send || kind == Kind::receive)) return false;
  if (compare_sites && !pair && (line != other.line || file != other.file)) return false;
  return sequence == other.sequence && axis == other.axis && reduce == other.reduce &&
         root == other.root && has_tensor == other.has_tensor && dtype == other.dtype &&
         dims == other.dims && dim_count == other.dim_count;
}

void put_text(std::string_view text, std::array<char, 24>& place) {
  place.fill('\0');
  std::ranges::copy(text.substr(0, place.size() - 1), place.begin());
}

void put_site(const Group::Site& site, Call& call) {
  std::string_view path = site.file;
  // From the folder of the tree on: the same on every machine.
  for (const char* folder : {"/src/", "/tests/", "/bench/"})
    if (const std::size_t place = path.rfind(folder); place != std::string_view::npos)
      path.remove_prefix(place + 1);
  if (path.size() >= call.file.size()) path.remove_prefix(path.size() - call.file.size() + 1);
  call.file.fill('\0');
  std::ranges::copy(path, call.file.begin());
  call.line = site.line;
}

}  // namespace boreal::dist
