#include "corpus/cards.h"

#include <algorithm>

#include "base/philox.h"

namespace boreal::corpus {

namespace {

// One fact in one family, before it stands in a document.
struct Sentence {
  const Fact* fact = nullptr;
  std::size_t family = 0;
  Family::Filled filled;
};

class CardMaker {
 public:
  CardMaker(const Table& table, const Families& families, const Rotation& rotation,
            const CardOptions& options, DropLog& dropped)
      : table_(table),
        families_(families),
        rotation_(rotation),
        options_(options),
        dropped_(dropped) {}

  RecordCards make(const Record& record) {
    RecordCards cards;
    cards.record = &record;
    std::vector<const Fact*> alone, together;
    for (const Fact& fact : record.facts) {
      if (fact.split == Split::unused) continue;
      // The header gives identifiers away, so they are asked outside it.
      const bool single = options_.facts_per_document == 1 || fact.identifier;
      (single ? alone : together).push_back(&fact);
    }
    for (const Fact* fact : alone) {
      for (const std::size_t family : rotation_.trained(fact->property)) {
        add_single(record, sentence(record.name, *fact, family), cards);
      }
      add_under_other_name(record, *fact, cards);
    }
    for (std::size_t family = 0; family < families_.trained.size(); ++family) {
      add_grouped(record, together, family, cards);
    }
    return cards;
  }

 private:
  Sentence sentence(const std::string& name, const Fact& fact, std::size_t family) const {
    return {&fact, family, families_.trained[family].fill(name, fact.asked, fact.value, fact.unit)};
  }

  // The end token is one more.
  bool fits(std::string_view text) const {
    return options_.tokens_max == 0 || options_.count_tokens(text) + 1 <= options_.tokens_max;
  }

  Document empty_document(const Record& record, const Fact& fact, std::size_t family) const {
    Document document;
    document.from.source = table_.source;
    document.from.file = table_.file;
    document.from.row = record.line;
    document.from.licence = table_.licence;
    document.from.bundle = table_.bundle;
    document.from.record = record.name;
    document.from.card = families_.trained[family].name();
    document.validation = fact.split == Split::validation;
    return document;
  }

  void append(Document& document, const Sentence& sentence) const {
    const std::size_t base = document.text.size();
    document.text += sentence.filled.text;
    if (options_.loss_on_values) {
      // With the blank before the value: a prompt that ends before it must lead to it.
      const std::size_t value = base + sentence.filled.answer.begin;
      const bool blank = value > 0 && document.text[value - 1] == ' ';
      document.loss.push_back({value - (blank ? 1 : 0), document.text.size()});
    }
    document.from.properties.push_back(sentence.fact->asked);
  }

  void add_single(const Record& record, const Sentence& sentence, RecordCards& cards) {
    if (!fits(sentence.filled.text)) {
      dropped_.add("fact longer than the context",
                   fmt::format("{} of {}", sentence.fact->asked, record.name));
      return;
    }
    Document document = empty_document(record, *sentence.fact, sentence.family);
    append(document, sentence);
    cards.documents.push_back(std::move(document));
  }

  void add_under_other_name(const Record& record, const Fact& fact, RecordCards& cards) {
    const Rng rng(options_.seed, "other names", record.name + "\n" + fact.asked);
    if (rng.uniform(0) >= families_.other_names) return;
    std::vector<std::string> names;
    for (const std::string& name : record.other_names) {
      if (name != fact.value) names.push_back(name);  // "the symbol of Fe is Fe" says nothing
    }
    const auto trained = rotation_.trained(fact.property);
    if (names.empty() || trained.empty()) return;
    const std::string& name = names[rng.bits(1) % names.size()];
    add_single(record, sentence(name, fact, trained[rng.bits(2) % trained.size()]), cards);
  }

  // Lines of one family under the header, as many a document as asked for and as fit.
  void add_grouped(const Record& record, const std::vector<const Fact*>& facts, std::size_t family,
                   RecordCards& cards) {
    const std::string header = header_line(record) + "\n";
    std::vector<Sentence> lines;
    for (const Fact* fact : facts) {
      if (rotation_.heldout(fact->property) == family) continue;
      Sentence line = sentence(record.name, *fact, family);
      if (fits(header + line.filled.text)) {
        lines.push_back(std::move(line));
      } else {
        dropped_.add("fact longer than the context",
                     fmt::format("{} of {}", fact->asked, record.name));
      }
    }
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = last_that_fits(header, lines, begin);
      Document document = empty_document(record, *lines[begin].fact, family);
      document.text = header;
      for (std::size_t i = begin; i < end; ++i) {
        append(document, lines[i]);
        if (i + 1 == end) continue;
        document.text += '\n';
        if (options_.loss_on_values) document.loss.back().end = document.text.size();
      }
      cards.documents.push_back(std::move(document));
      begin = end;
    }
  }

  // One past the last line of a document that starts with lines[begin]; that one is known to fit.
  std::size_t last_that_fits(const std::string& header, const std::vector<Sentence>& lines,
                             std::size_t begin) const {
    const auto most = static_cast<std::size_t>(options_.facts_per_document);
    std::string text = header + lines[begin].filled.text;
    std::size_t end = begin + 1;
    for (; end < lines.size() && (most == 0 || end - begin < most); ++end) {
      text += '\n' + lines[end].filled.text;
      if (!fits(text)) break;
    }
    return end;
  }

  const Table& table_;
  const Families& families_;
  const Rotation& rotation_;
  const CardOptions& options_;
  DropLog& dropped_;
};

}  // namespace

std::string header_line(const Record& record) {
  std::string others;
  for (const auto* list : {&record.identifiers, &record.aliases}) {
    for (const std::string& name : *list) others += (others.empty() ? "" : "; ") + name;
  }
  return others.empty() ? record.name : fmt::format("{} ({})", record.name, others);
}

std::vector<RecordCards> make_cards(const Table& table, const Families& families,
                                    const Rotation& rotation, const CardOptions& options,
                                    DropLog& dropped) {
  CHECK(options.tokens_max == 0 || options.count_tokens != nullptr);
  CardMaker maker(table, families, rotation, options, dropped);
  std::vector<RecordCards> all;
  for (const Record& record : table.records) {
    RecordCards cards = maker.make(record);
    if (!cards.documents.empty()) all.push_back(std::move(cards));
  }
  return all;
}

}  // namespace boreal::corpus
