// How a value of a table is written in a card, and how a long sequence is cut into parts.
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace boreal::corpus {

// plain: as in the table. grouped: 12742 -> 12,742. scientific: 12742 -> 1.2742e4. significant:N:
// rounded to N digits, 12742 -> 12700.
struct NumberFormat {
  enum class Kind { plain, grouped, scientific, significant };
  Kind kind = Kind::plain;
  int digits = 0;

  // kind usage, naming the four forms.
  static Result<NumberFormat> parse(std::string_view text, const std::string& where);
  std::string text() const;
};

// Digits are moved as text, never through a double, so no digit is invented. What is no decimal
// number stays as it is.
std::string format_value(std::string_view value, NumberFormat format);

// A value of more than kWholeMax characters without blanks (a sequence) in parts of at most
// kPartMax, equal but for the rounding, cut at residue borders: after a '-' where residues are
// joined by '-', else between characters. Others: one part.
constexpr std::size_t kWholeMax = 40;
constexpr std::size_t kPartMax = 20;
std::vector<std::string> sequence_parts(std::string_view value);

}  // namespace boreal::corpus
