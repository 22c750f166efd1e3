#include "eval/item.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hash.h"

namespace boreal::eval {

namespace {

Result<Item> parse(const std::string& line, const std::string& where) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return refused("{}: not a JSON object; was the copy cut short?", where);
  try {
    Item item{.task = json.at("task"),
              .bundle = json.at("bundle"),
              .table = json.value("table", ""),
              .record = json.value("record", ""),
              .property = json.value("property", ""),
              .family = json.value("family", ""),
              .prompt = json.at("prompt"),
              .answer = json.at("answer"),
              .commonest = json.value("commonest", 0.0)};
    if (json.contains("choices")) {
      item.choices = json.at("choices").get<std::vector<std::string>>();
      item.answer_index = json.at("answer_index");
      if (item.answer_index >= item.choices.size())
        return refused("{}: answer_index {} of {} choices", where, item.answer_index,
                       item.choices.size());
    }
    if (item.prompt.empty()) return refused("{}: empty prompt", where);
    return item;
  } catch (const nlohmann::json::exception& error) {
    return refused("{}: {}", where, error.what());
  }
}

}  // namespace

Result<std::vector<Item>> read_items(Env& env, const std::string& path, std::int64_t max_items) {
  ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
  std::vector<Item> items;
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.empty()) continue;
    ASSIGN_OR_RETURN(Item item, parse(line, fmt::format("{}:{}", path, line_number)));
    order.emplace_back(xxh3_64(line), items.size());
    items.push_back(std::move(item));
  }
  if (items.empty())
    return refused("{}: no items in {} bytes; is it the right file, whole?", path, text.size());
  if (max_items <= 0 || static_cast<std::int64_t>(items.size()) <= max_items) return items;
  std::ranges::sort(order);
  order.resize(static_cast<std::size_t>(max_items));
  std::ranges::sort(order, {}, [](const auto& entry) { return entry.second; });
  std::vector<Item> kept;
  for (const auto& [hash, index] : order) kept.push_back(std::move(items[index]));
  return kept;
}

}  // namespace boreal::eval
