// Cards: records as documents. A fact becomes one sentence for each family that is trained with its
// property; the held-out family never occurs. Several facts in one document stand under a header
// line with the record's name, identifiers and aliases; a record that does not fit is cut into
// documents that repeat the header. A line break ends an answer. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "corpus/document.h"
#include "corpus/families.h"
#include "corpus/table.h"

namespace boreal::corpus {

struct CardOptions {
  std::int64_t facts_per_document = 1;  // 0 = as many as fit
  std::int64_t tokens_max = 0;          // of a document, its end token included; 0 = no bound
  // Document::loss = the answers: the blank before the value, value, unit, punctuation, line break.
  bool loss_on_values = true;
  std::uint64_t seed = 1;
  std::function<std::int64_t(std::string_view)> count_tokens = {};  // needed if tokens_max > 0
};

struct RecordCards {
  const Record* record = nullptr;
  std::vector<Document> documents;
};

// Cards of the facts with split train or validation, record by record in table order. Facts longer
// than tokens_max are added to `dropped`. Requires every property added to the rotation.
std::vector<RecordCards> make_cards(const Table& table, const Families& families,
                                    const Rotation& rotation, const CardOptions& options,
                                    DropLog& dropped);

// "iron (Fe; ferrum)", or the name alone.
std::string header_line(const Record& record);

}  // namespace boreal::corpus
