// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected; RFC 3720 appendix B.4), and the masked form
// of the TFRecord format. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace boreal::monitor {

std::uint32_t crc32c(std::string_view bytes);

// Rotated and offset, so that the checksum of data that holds checksums stays useful: ((crc >> 15)
// | (crc << 17)) + 0xa282ead8.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace boreal::monitor
