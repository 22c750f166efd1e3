#include "corpus/value_format.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace boreal::corpus {

namespace {

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// sign, digits without point, and the power of ten of the first digit: 0.0123 -> "123", -2.
struct Decimal {
  bool negative = false;
  std::string digits;  // as written, leading zeros gone; "0" for zero
  int exponent = 0;    // value = d.ddd x 10^exponent
  bool has_exponent = false;
};

std::optional<Decimal> read_decimal(std::string_view text) {
  Decimal number;
  std::size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) number.negative = text[at++] == '-';
  int before_point = 0;
  bool point = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    number.digits += text[at];
    if (!point) ++before_point;
  }
  if (number.digits.empty() || before_point == 0) return std::nullopt;
  int power = 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    number.has_exponent = true;
    const char* begin = text.data() + at + 1;
    if (at + 1 < text.size() && *begin == '+') ++begin;
    const auto [end, code] = std::from_chars(begin, text.data() + text.size(), power);
    if (code != std::errc{} || end == begin || std::abs(power) > 9999) return std::nullopt;
    at = static_cast<std::size_t>(end - text.data());
  }
  if (at != text.size()) return std::nullopt;
  const std::size_t zeros = std::min(number.digits.find_first_not_of('0'), number.digits.size());
  if (zeros == number.digits.size()) {
    number.digits = "0";
    return number;
  }
  number.digits.erase(0, zeros);
  number.exponent = power + before_point - 1 - static_cast<int>(zeros);
  return number;
}

std::string scientific(const Decimal& number) {
  std::string text = number.negative ? "-" : "";
  text += number.digits[0];
  if (number.digits.size() > 1) text += "." + number.digits.substr(1);
  return text + "e" + std::to_string(number.exponent);
}

// Half away from zero, on the written digits.
void round_digits(Decimal& number, std::size_t keep) {
  if (number.digits.size() <= keep) return;
  const bool up = number.digits[keep] >= '5';
  number.digits.resize(keep);
  if (!up) return;
  std::size_t i = keep;
  while (i > 0 && number.digits[i - 1] == '9') number.digits[--i] = '0';
  if (i > 0) {
    ++number.digits[i - 1];
    return;
  }
  number.digits.insert(number.digits.begin(), '1');
  number.digits.pop_back();
  ++number.exponent;
}

std::string positional(const Decimal& number) {
  std::string text = number.digits;
  if (number.exponent < 0) {
    text = "0." + std::string(static_cast<std::size_t>(-number.exponent - 1), '0') + text;
  } else {
    const auto whole = static_cast<std::size_t>(number.exponent) + 1;
    if (text.size() < whole) text.append(whole - text.size(), '0');
    if (text.size() > whole) text.insert(whole, ".");
  }
  return (number.negative ? "-" : "") + text;
}

std::string grouped(std::string_view value) {
  std::string text(value);
  std::size_t begin = 0;
  while (begin < text.size() && !is_digit(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end - begin <= 4) return text;  // 1234 stays: years and four-digit numbers are read in one go
  for (std::size_t at = end; at > begin + 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

}  // namespace

Result<NumberFormat> NumberFormat::parse(std::string_view text, const std::string& where) {
  constexpr std::string_view kSignificant = "significant:";
  if (text == "plain") return NumberFormat{Kind::plain, 0};
  if (text == "grouped") return NumberFormat{Kind::grouped, 0};
  if (text == "scientific") return NumberFormat{Kind::scientific, 0};
  if (text.starts_with(kSignificant)) {
    const std::string_view number = text.substr(kSignificant.size());
    int digits = 0;
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), digits);
    if (code == std::errc{} && end == number.data() + number.size() && digits >= 1 &&
        digits <= 17) {
      return NumberFormat{Kind::significant, digits};
    }
  }
  return wrong_usage(
      "{}: format is '{}', expected plain, grouped, scientific or significant:N with N from 1 to "
      "17",
      where, text);
}

std::string NumberFormat::text() const {
  switch (kind) {
    case Kind::plain: return "plain";
    case Kind::grouped: return "grouped";
    case Kind::scientific: return "scientific";
    case Kind::significant: return "significant:" + std::to_string(digits);
  }
  return "";
}

std::string format_value(std::string_view value, NumberFormat format) {
  if (format.kind == NumberFormat::Kind::plain) return std::string(value);
  auto number = read_decimal(value);
  if (!number) return std::string(value);
  if (format.kind == NumberFormat::Kind::scientific) return scientific(*number);
  if (format.kind == NumberFormat::Kind::grouped)
    return number->has_exponent ? std::string(value) : grouped(value);
  round_digits(*number, static_cast<std::size_t>(format.digits));
  return number->has_exponent ? scientific(*number) : positional(*number);
}

std::vector<std::string> sequence_parts(std::string_view value) {
  if (value.size() <= kWholeMax || value.find(' ') != std::string_view::npos)
    return {std::string(value)};
  // Residues: what no cut may split.
  std::vector<std::string_view> residues;
  const bool joined = value.find('-') != std::string_view::npos;
  for (std::size_t begin = 0; begin < value.size();) {
    std::size_t end = begin + 1;
    if (joined) {
      end = std::min(value.find('-', begin), value.size() - 1) + 1;
    } else {
      while (end < value.size() && (static_cast<unsigned char>(value[end]) & 0xC0U) == 0x80U) ++end;
    }
    residues.push_back(value.substr(begin, end - begin));
    begin = end;
  }
  const std::size_t wanted = (value.size() + kPartMax - 1) / kPartMax;
  const std::size_t count = std::min(wanted, residues.size());
  std::vector<std::string> parts(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t r = i * residues.size() / count; r < (i + 1) * residues.size() / count; ++r) {
      parts[i] += residues[r];
    }
    if (joined && parts[i].size() > 1 && parts[i].ends_with('-')) parts[i].pop_back();
  }
  return parts;
}

}  // namespace boreal::corpus
