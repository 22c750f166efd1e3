#include "parallel/flat_layout.h"

#include <algorithm>

namespace boreal::parallel {

namespace {
// Parameters and slices start on cache lines.
constexpr std::int64_t kAlign = 16;
std::int64_t padded(std::int64_t elements, std::int64_t to) {
  return (elements + to - 1) / to * to;
}
}  // namespace

FlatLayout::FlatLayout(const std::vector<nn::Parameter*>& parameters, std::int64_t ranks,
                       std::int64_t rank, std::int64_t bucket_elements)
    : offset_(parameters.size()), bucket_(parameters.size()) {
  const auto is_vector = [](const nn::Parameter* p) { return !p->is_matrix(); };
  if (std::ranges::any_of(parameters, is_vector)) {
    open(false);
    for (const nn::Parameter* p : parameters)
      if (is_vector(p)) add(*p);
    close(ranks, rank);
  }
  std::int64_t unit = -1;
  std::int64_t whole = 0;  // elements of the open bucket's parameters, over all ranks
  for (const nn::Parameter* p : parameters) {
    if (is_vector(p)) continue;
    if (whole >= bucket_elements && p->unit != unit) {
      close(ranks, rank);
      whole = 0;
    }
    if (whole == 0) open(true);
    whole += p->shape.elements();
    unit = p->unit;
    add(*p);
  }
  if (whole > 0) close(ranks, rank);
}

void FlatLayout::open(bool matrices) {
  buckets_.push_back({.begin = elements_, .matrices = matrices, .units = {}, .parameters = {}});
}

void FlatLayout::add(const nn::Parameter& p) {
  Bucket& bucket = buckets_.back();
  offset_[index(p)] = bucket.begin + bucket.elements;
  bucket_[index(p)] = static_cast<std::int64_t>(buckets_.size()) - 1;
  bucket.elements += padded(p.local_shape().elements(), kAlign);
  bucket.parameters.push_back(&p);
  if (std::ranges::find(bucket.units, p.unit) == bucket.units.end()) bucket.units.push_back(p.unit);
}

void FlatLayout::close(std::int64_t ranks, std::int64_t rank) {
  Bucket& bucket = buckets_.back();
  bucket.elements = padded(bucket.elements, kAlign * ranks);
  bucket.slice = bucket.elements / ranks;
  bucket.slice_begin = rank * bucket.slice;
  bucket.slice_offset = slice_elements_;
  const std::int64_t first = bucket.begin + bucket.slice_begin;
  for (const nn::Parameter* p : bucket.parameters) {
    const std::int64_t at = offset(*p);
    const std::int64_t begin = std::max(first, at);
    const std::int64_t end = std::min(first + bucket.slice, at + p->local_shape().elements());
    if (begin < end)
      parts_.push_back({.parameter = p,
                        .begin = begin - at,
                        .count = end - begin,
                        .offset = slice_elements_ + begin - first});
  }
  elements_ += bucket.elements;
  slice_elements_ += bucket.slice;
}

}  // namespace boreal::parallel
