#include "dist/place_rank.h"

#include <unistd.h>

#include <array>

#include "base/check.h"

namespace boreal::dist {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string host_of(const std::string& text) {
  return text.substr(0, text.rfind(' '));
}

}  // namespace

std::string processors_text(const std::string& host, const std::vector<int>& mask) {
  return host + " " + device::mask_text(mask);
}

device::HostRanks host_ranks(const std::vector<std::string>& texts, std::int64_t rank) {
  CHECK(rank >= 0 && rank < std::ssize(texts), "rank {} of {}", rank, texts.size());
  const std::string own = host_of(texts[static_cast<std::size_t>(rank)]);
  device::HostRanks ranks;
  for (std::int64_t other = 0; other < std::ssize(texts); ++other) {
    const std::string& text = texts[static_cast<std::size_t>(other)];
    if (host_of(text) != own) continue;
    if (other == rank) ranks.local_rank = std::ssize(ranks.masks);
    ranks.masks.push_back(device::parse_mask(text.substr(own.size() + 1)).value());
  }
  return ranks;
}

device::Placement place_rank(World& world, const device::Machine& machine, std::int64_t threads) {
  const auto texts = world.all().gather_texts(processors_text(host_name(), device::own_mask()));
  device::HostRanks ranks = host_ranks(texts, world.rank());
  // Hosts of one name (containers often are): only what this rank sees is certain. It then takes
  // its part of what it may use, as if the others on its host might use the same.
  if (std::ssize(ranks.masks) != world.local_size()) {
    const auto local = static_cast<std::size_t>(world.local_size());
    ranks = {.masks = std::vector(local, device::own_mask()), .local_rank = world.local_rank()};
  }
  ranks.threads = threads;
  ranks.core_time = machine.core_time;
  return device::place(device::read_host(), ranks);
}

}  // namespace boreal::dist
