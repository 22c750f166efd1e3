// What ranks tell each other of their hosts.
#include "base/check.h"
#include "dist/place_rank.h"

namespace boreal::dist {

namespace {
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

}  // namespace boreal::dist
