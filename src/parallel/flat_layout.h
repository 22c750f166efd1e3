// FlatLayout: the order of a rank's parameters in one flat buffer, and who owns what of it.
// Parameters lie in buckets: all vectors in the first one (they travel as fp32, are few, and the
// first layers need some), then matrices in the order in which forward meets them. A bucket is the
// unit in which gradients are summed and weights gathered; each of the ranks that share the
// optimizer's state owns one slice of it, the n-th part of its padded length (ZeRO, Rajbhandari et
// al. 2020). Thread rule: constant once made.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/parameter.h"

namespace boreal::parallel {

struct Bucket {
  std::int64_t begin = 0;         // in the flat buffer of all local elements
  std::int64_t elements = 0;      // padding included: a multiple of ranks x 16
  std::int64_t slice = 0;         // of this rank: elements / ranks ...
  std::int64_t slice_begin = 0;   // ... from this place of the bucket ...
  std::int64_t slice_offset = 0;  // ... at this place of the buffers that hold slices only
  bool matrices = true;
  std::vector<std::int64_t> units;  // that must be finished before it is
  std::vector<const nn::Parameter*> parameters;
};

// What this rank's slices hold of one parameter.
struct Part {
  const nn::Parameter* parameter = nullptr;
  std::int64_t begin = 0;  // local elements [begin, begin + count) of the parameter
  std::int64_t count = 0;
  std::int64_t offset = 0;  // in the buffers of slices
};

class FlatLayout {
 public:
  // bucket_elements: a bucket is closed at the end of the unit that reaches it, counted in whole
  // parameters, so that ranks with uneven pieces of them cut alike.
  FlatLayout(const std::vector<nn::Parameter*>& parameters, std::int64_t ranks, std::int64_t rank,
             std::int64_t bucket_elements);

  const std::vector<Bucket>& buckets() const { return buckets_; }
  const std::vector<Part>& parts() const { return parts_; }
  std::int64_t elements() const { return elements_; }              // of the flat buffer
  std::int64_t slice_elements() const { return slice_elements_; }  // of all slices of this rank
  // Place of a parameter in the flat buffer, and the number of its bucket.
  std::int64_t offset(const nn::Parameter& p) const { return offset_[index(p)]; }
  std::int64_t bucket(const nn::Parameter& p) const { return bucket_[index(p)]; }

 private:
  static std::size_t index(const nn::Parameter& p) { return static_cast<std::size_t>(p.index); }
  void add(const nn::Parameter& p);
  void open(bool matrices);
  void close(std::int64_t ranks, std::int64_t rank);

  std::vector<Bucket> buckets_;
  std::vector<Part> parts_;
  std::vector<std::int64_t> offset_, bucket_;
  std::int64_t elements_ = 0;
  std::int64_t slice_elements_ = 0;
};

}  // namespace boreal::parallel
