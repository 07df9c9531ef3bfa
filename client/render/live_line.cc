#include "client/render/live_line.h"

#include "client/render/table.h"

namespace innerloop::client {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kRewrite = absl::Seconds(5);
constexpr char kEraseLine[] = "\r\x1b[K";

// Cuts whole characters.
std::string Cut(const std::string& text, size_t columns) {
  size_t shown = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(text[i]) >> 6) != 2;
    if (starts && ++shown > columns) {
      return text.substr(0, i);
    }
  }
  return text;
}

}  // namespace

void LiveLine::Update(const std::string& text, bool important) {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  text_ = text;
  const absl::Duration now = options_.clock->Monotonic();
  if (!important && last_ && now - *last_ < (options_.terminal ? kRedraw : kRewrite)) {
    return;
  }
  last_ = now;
  if (options_.terminal) {
    Draw();
  } else {
    *options_.out << text_ << '\n' << std::flush;
  }
}

void LiveLine::Print(const std::string& line) {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  const bool redraw = drawn_;
  Erase();
  *options_.out << line << '\n';
  if (redraw) {
    Draw();
  }
  *options_.out << std::flush;
}

void LiveLine::Close() {
  if (options_.out == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mu_);
  Erase();
  *options_.out << std::flush;
}

void LiveLine::Draw() {
  // The last column stays free: some terminals wrap when it is written.
  *options_.out << kEraseLine << Cut(text_, options_.columns - 1) << std::flush;
  drawn_ = true;
}

void LiveLine::Erase() {
  if (drawn_) {
    *options_.out << kEraseLine;
    drawn_ = false;
  }
}

}  // namespace innerloop::client
