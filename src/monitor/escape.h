// Makes text of unknown origin safe to print: corpora, names and completions may hold markup,
// control characters or bytes that are not UTF-8. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace boreal::monitor {

// For the content of elements and for quoted attributes, in HTML and in XML. Bytes that are no
// UTF-8 become U+FFFD, control characters their pictures (U+2400 and on); tab and newline stay.
std::string escape_markup(std::string_view text);

// For one line on a terminal or in a text file: as above without the markup; tab and newline become
// pictures too, so that no text can move the cursor.
std::string printable_line(std::string_view text);

// Columns that printed text takes on a terminal.
std::size_t width_columns(std::string_view text);

// The longest beginning of `text` that takes at most `columns_max`; ends with an ellipsis where
// something was cut.
std::string cut_to_width(std::string_view text, std::size_t columns_max);

}  // namespace boreal::monitor
