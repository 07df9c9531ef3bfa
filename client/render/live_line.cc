#include "client/render/live_line.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kRedrawPicture = absl::Milliseconds(250);
constexpr absl::Duration kRewrite = absl::Seconds(5);
constexpr char kEraseLine[] = "\r\x1b[K";
constexpr char kEraseBelow[] = "\r\x1b[J";

}  // namespace

void LiveLine::Update(const std::string& text, bool important, const Picture& picture) {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  text_ = OneLine(text);
  const absl::Duration now = options_.clock->Monotonic();
  const absl::Duration between = !options_.terminal ? kRewrite : picture ? kRedrawPicture : kRedraw;
  if (!important && last_ && now - *last_ < between) {
    return;
  }
  last_ = now;
  if (options_.terminal) {
    picture_ = picture ? picture(options_.size()) : std::vector<std::string>();
    DrawAll();
  } else {
    *options_.out << text_ << '\n' << std::flush;
  }
}

void LiveLine::Print(const std::string& line) {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  const bool redraw = !drawn_.empty();
  Erase();
  *options_.out << OneLine(line) << '\n';
  if (redraw) {
    DrawAll();
  }
  *options_.out << std::flush;
}

void LiveLine::Close() {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  if (!drawn_.empty() && !picture_.empty()) {
    Draw(picture_);
    *options_.out << '\n';
    drawn_.clear();
  }
  picture_.clear();
  Erase();
  *options_.out << std::flush;
}

void LiveLine::DrawAll() {
  std::vector<std::string> lines = picture_;
  lines.push_back(text_);
  Draw(lines);
}

void LiveLine::Draw(const std::vector<std::string>& lines) {
  if (drawn_.size() + lines.size() <= 2) {
    *options_.out << kEraseLine;
  } else {
    Erase();
  }
  drawn_.clear();
  // The last column stays free: some terminals wrap when it is written.
  const size_t columns = std::max<size_t>(options_.size().columns, 1) - 1;
  for (const std::string& line : lines) {
    const std::string shown = CutTo(line, columns);
    *options_.out << (drawn_.empty() ? "" : "\n") << shown;
    drawn_.push_back(DisplayWidth(shown));
  }
  *options_.out << std::flush;
}

void LiveLine::Erase() {
  if (drawn_.empty()) {
    return;
  }
  // A terminal that became narrower has wrapped what was drawn.
  const TerminalSize size = options_.size();
  const size_t columns = std::max<size_t>(size.columns, 1);
  size_t above = 0;
  for (const size_t width : drawn_) {
    above += std::max<size_t>((width + columns - 1) / columns, 1);
  }
  above = std::min(above - 1, std::max<size_t>(size.rows, 1) - 1);
  *options_.out << (above > 0 ? absl::StrCat("\r\x1b[", above, "A", kEraseBelow)
                              : std::string(kEraseLine));
  drawn_.clear();
}

}  // namespace innerloop::client
