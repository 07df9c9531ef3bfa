#include "client/render/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace innerloop::client {
namespace {

// Bytes that continue a character have 10 as their highest bits.
bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }

// Names come from anybody; a terminal does what control characters say.
std::string Harmless(std::string text, bool lines) {
  std::replace_if(
      text.begin(), text.end(),
      [lines](char c) { return absl::ascii_iscntrl(c) && !(lines && c == '\n'); }, '?');
  return text;
}

}  // namespace

std::string OneLine(absl::string_view text) {
  return Harmless(absl::StrReplaceAll(absl::StripAsciiWhitespace(text), {{"\n", " "}}),
                  /*lines=*/false);
}

size_t DisplayWidth(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

std::string CutTo(const std::string& text, size_t columns) {
  size_t shown = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (StartsCharacter(text[i]) && ++shown > columns) {
      return text.substr(0, i);
    }
  }
  return text;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::Add(std::vector<std::string> cells) {
  for (std::string& cell : cells) {
    cell = Harmless(std::move(cell), /*lines=*/false);
  }
  rows_.push_back(std::move(cells));
}

std::string Table::Render() const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) {
      width = std::max(width, DisplayWidth(row[c]));
    }
    widths.push_back(width);
  }
  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string& cell = cell_of(c);
      const std::string padding(widths[c] - DisplayWidth(cell), ' ');
      absl::StrAppend(&line, c == 0 ? "" : "  ");
      columns_[c].align == Align::kRight ? absl::StrAppend(&line, padding, cell)
                                         : absl::StrAppend(&line, cell, padding);
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  };
  add_line([&](size_t c) -> const std::string& { return columns_[c].title; });
  for (const auto& row : rows_) {
    add_line([&](size_t c) -> const std::string& { return row[c]; });
  }
  return text;
}

void Fields::Add(std::string name, std::string value) {
  if (!value.empty()) {
    fields_.emplace_back(std::move(name), Harmless(std::move(value), /*lines=*/true));
  }
}

std::string Fields::Render() const {
  size_t width = 0;
  for (const auto& [name, value] : fields_) {
    width = std::max(width, DisplayWidth(name));
  }
  std::string text;
  for (const auto& [name, value] : fields_) {
    absl::StrAppend(&text, name, std::string(width - DisplayWidth(name) + 2, ' '), value, "\n");
  }
  return text;
}

}  // namespace innerloop::client
