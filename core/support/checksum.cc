#include "core/support/checksum.h"

#include <algorithm>
#include <array>
#include <utility>

#include <isa-l/crc.h>
#include <openssl/evp.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "absl/strings/escaping.h"

namespace innerloop {
namespace {

// ISA-L's checksum leaves the upper parts of the vector registers in use (no vzeroupper). Until
// they are cleared, SSE instructions of this thread must keep them, and so wait for each other:
// loops over floats take up to ten times as long.
#if defined(__x86_64__)
__attribute__((target("avx"))) void ZeroUpper() { _mm256_zeroupper(); }
void ClearVectorRegisters() {
  if (__builtin_cpu_supports("avx")) {
    ZeroUpper();
  }
}
#else
void ClearVectorRegisters() {}
#endif

}  // namespace

uint32_t Crc32c(absl::string_view data, uint32_t before) {
  // ISA-L leaves the inversions of the standard to the caller and takes an int length: go in
  // pieces.
  constexpr size_t kPiece = size_t{1} << 30;
  uint32_t state = ~before;
  while (!data.empty()) {
    const absl::string_view piece = data.substr(0, kPiece);
    // The C interface lacks a const.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data.remove_prefix(piece.size());
  }
  ClearVectorRegisters();
  return ~state;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(absl::string_view data) {
  EVP_DigestUpdate(state_->context, data.data(), data.size());
}

std::string Sha256::FinishHex() {
  std::array<char, 32> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()), &size);
  return absl::BytesToHexString(absl::string_view(digest.data(), digest.size()));
}

std::string Sha256::Hex(absl::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.FinishHex();
}

bool IsSha256Hex(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace innerloop
