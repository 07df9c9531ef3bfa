// CRC32C against accidents, SHA-256 as identity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace innerloop {

// CRC32C (Castagnoli) of `data`, continuing from the checksum of what came before it (0: nothing).
uint32_t Crc32c(absl::string_view data, uint32_t before = 0);

// SHA-256 of data that comes in pieces. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(absl::string_view data);
  // 64 lower-case hex digits of all data so far; the object is spent.
  std::string FinishHex();

  static std::string Hex(absl::string_view data);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether `text` is 64 lower-case hex digits.
bool IsSha256Hex(absl::string_view text);

}  // namespace innerloop
