// Encoding and decoding of a mixed text in one thread, document by document.
// bench/tokenizer_inputs.py makes the folder that BOREAL_BENCH_TOKENIZER names;
// BOREAL_BENCH_TOKENIZERS is a Python that has Hugging Face tokenizers and tiktoken: then each case
// is measured against both.
#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "bench/peer.h"
#include "bench/session.h"
#include "text/tokenizer.h"

namespace boreal::bench {

namespace {

constexpr std::size_t kDocumentBytes = 65536;

std::vector<std::string_view> documents(std::string_view text) {
  std::vector<std::string_view> cut;
  while (!text.empty()) {
    std::size_t size = std::min(kDocumentBytes, text.size());
    // Behind the last line end; in a line longer than a document between two characters.
    if (const std::size_t end = text.rfind('\n', size - 1); size < text.size())
      if (end < size) size = end + 1;
    while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80) --size;
    cut.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return cut;
}

class Cases {
 public:
  Cases(Session& session, Peer* peer, std::string folder)
      : session_(session), peer_(peer), folder_(std::move(folder)) {
    auto text = Env::real().read_file(folder_ + "/text.txt");
    CHECK(text.ok(), "{}", text.error().message);
    text_ = std::move(*text);
    documents_ = documents(text_);
  }

  void measure(const std::string& vocabulary) {
    if (!wants(vocabulary, "encode") && !wants(vocabulary, "decode")) return;
    const auto tokenizer = text::Tokenizer::load(Env::real(), file(vocabulary));
    CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
    std::vector<std::vector<text::TokenId>> ids;
    std::size_t count = 0;
    for (const std::string_view document : documents_) {
      ids.push_back(tokenizer->encode(document));
      count += ids.back().size();
    }
    fmt::print(stderr, "{}: {} bytes, {} ids\n", vocabulary, text_.size(), count);
    measure(vocabulary, "encode", [&] {
      for (const std::string_view document : documents_) tokenizer->encode(document);
    });
    measure(vocabulary, "decode", [&] {
      for (const auto& document : ids) tokenizer->decode(document);
    });
  }

 private:
  std::string file(const std::string& vocabulary) const {
    return folder_ + "/" + vocabulary + ".json";
  }
  static std::string name(const std::string& vocabulary, const std::string& verb) {
    return fmt::format("tokenizer.{}.{}", verb, vocabulary);
  }
  bool wants(const std::string& vocabulary, const std::string& verb) const {
    return session_.wants(name(vocabulary, verb));
  }

  void measure(const std::string& vocabulary, const std::string& verb,
               const std::function<void()>& run) {
    const Case c{.name = name(vocabulary, verb),
                 .unit = "MB/s",
                 .units = 1e-6 * static_cast<double>(text_.size()),
                 .peak_per_s = 1e3 * session_.peak_read_gb_per_s(),
                 .peak_name = "memory",
                 .peer = {},
                 .run = run};
    if (peer_ == nullptr) {
      session_.measure(c);
      return;
    }
    for (const char* library : {"hf", "tiktoken"}) {
      const bool ready = peer_->set_up(
          fmt::format("{} {} {} {}/text.txt", verb, library, file(vocabulary), folder_));
      if (ready)
        session_.compare(
            c, [&] { peer_->seconds_of_a_run(0); }, library);
    }
  }

  Session& session_;
  Peer* peer_;
  std::string folder_;
  std::string text_;
  std::vector<std::string_view> documents_;
};

}  // namespace

void run_cases(Session& session) {
  const char* folder = std::getenv("BOREAL_BENCH_TOKENIZER");
  if (folder == nullptr) {
    fmt::print(stderr, "bench: BOREAL_BENCH_TOKENIZER names no folder; see bench/tokenizer.cc\n");
    return;
  }
  std::optional<Peer> peer;
  if (const char* python = std::getenv("BOREAL_BENCH_TOKENIZERS"); python != nullptr)
    peer.emplace(std::vector<std::string>{python, BOREAL_SOURCE_DIR "/bench/peer_tokenizers.py"});
  Cases cases(session, peer ? &*peer : nullptr, folder);
  for (const char* vocabulary : {"gpt2", "cl100k", "llama3"}) cases.measure(vocabulary);
}

}  // namespace boreal::bench
