// Whether a name is the same token ids wherever it stands. A name with other ids at the start of a
// line is another name to the model. Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "corpus/table.h"
#include "text/tokenizer.h"

namespace boreal::prep {

// At the start of the text, at the start of a line, within a sentence, before punctuation, and in
// brackets.
bool same_ids_everywhere(const text::Tokenizer& tokenizer, std::string_view name);

// Every name, alias and other name of the tables, each once, sorted.
std::vector<std::string> all_names(const std::vector<corpus::Table>& tables);

}  // namespace boreal::prep
