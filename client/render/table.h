// Text for terminals: aligned columns, single lines.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace innerloop::client {

// Collects rows, then pads each column to its widest cell. One thread only.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns);

  // As many cells as there are columns; control characters in them become question marks.
  void Add(std::vector<std::string> cells);
  // Each line ends with a line feed; columns are two spaces apart, no line has trailing spaces.
  std::string Render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "name   value" lines.
class Fields {
 public:
  // Left out when the value is empty. Control characters but line feeds become question marks.
  void Add(std::string name, std::string value);
  std::string Render() const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// The text on one line, which logs and scripts rely on: without white space around it, line feeds
// in it as blanks, other control characters as question marks.
std::string OneLine(absl::string_view text);

// Columns that UTF-8 text takes on a terminal, for the text that this program prints.
size_t DisplayWidth(const std::string& text);
// As many whole characters of UTF-8 text as take `columns` at most.
std::string CutTo(const std::string& text, size_t columns);

}  // namespace innerloop::client
