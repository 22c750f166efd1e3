// Operation: one collective as it waits in a rank's lane: plain data, so that queueing it allocates
// nothing. Call: what of it other ranks are told, compare, and say of each other in messages.
// Thread rule: values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dist/group.h"
#include "tensor/tensor.h"

namespace boreal::dist {

class Transport;

enum class Kind : std::uint8_t {
  none,
  all_reduce,
  all_gather,
  reduce_scatter,
  broadcast,
  all_to_all,
  send,
  receive,
  barrier,
  sum,
  gather_texts,
  agree,
};

std::string_view name_of(Kind kind);

// Fixed size, no pointers: it lies in memory that processes share and travels between them.
struct Call {
  Kind kind = Kind::none;
  Reduce reduce = Reduce::sum;
  DType dtype = DType::f32;
  bool has_tensor = false;
  std::int32_t line = 0;
  std::int64_t sequence = 0;  // of the group's collectives
  std::int64_t root = -1;     // of a broadcast
  std::array<std::int64_t, 4> dims{};
  std::int64_t dim_count = 0;
  // The group's world ranks: first, first + stride, ...; stride 0: not so regular.
  std::int64_t first = 0, stride = 0, count = 0;
  std::array<char, 24> axis{};
  std::array<char, 72> file{};

  // "all_reduce of dp_shard, fp32 [4, 8], at src/train/replica.cc:88"
  std::string text() const;
  // Whether both can be the same collective. Sends match receives.
  bool fits(const Call& other, bool compare_sites) const;
};

struct Operation {
  Call call;
  Transport* transport = nullptr;
  tensor::Tensor from;
  tensor::Tensor to;
  const std::string* text = nullptr;          // gather_texts
  std::vector<std::string>* texts = nullptr;  // gather_texts
};

// Cut at the end, or for a path at the front, to what fits.
void put_text(std::string_view text, std::array<char, 24>& place);
void put_site(const Group::Site& site, Call& call);

}  // namespace boreal::dist
