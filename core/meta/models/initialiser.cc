#include "core/meta/models/initialiser.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/support/random.h"

namespace innerloop::meta {

Initialiser WeightInitialiser(v1::Initialisation scheme, int64_t fan_in, int64_t fan_out) {
  using Kind = Initialiser::Kind;
  Initialiser initialiser{.kind = Kind::kZeros, .fan_in = fan_in, .fan_out = fan_out};
  switch (scheme) {
    case v1::INITIALISATION_HE_NORMAL:
      initialiser.kind = Kind::kHeNormal;
      break;
    case v1::INITIALISATION_GLOROT_UNIFORM:
      initialiser.kind = Kind::kGlorotUniform;
      break;
    case v1::INITIALISATION_TRUNCATED_NORMAL:
      initialiser.kind = Kind::kTruncatedNormal;
      break;
    case v1::INITIALISATION_LECUN_NORMAL:
      initialiser.kind = Kind::kLecunNormal;
      break;
    default:
      TORCH_CHECK(false, "unknown initialisation ", static_cast<int>(scheme));
  }
  return initialiser;
}

absl::Status CheckInitialisation(v1::Initialisation scheme, absl::string_view field) {
  if (scheme == v1::INITIALISATION_UNSPECIFIED || !v1::Initialisation_IsValid(scheme)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " is unknown (", static_cast<int>(scheme),
                     "); known: HE_NORMAL, GLOROT_UNIFORM, TRUNCATED_NORMAL, LECUN_NORMAL"));
  }
  return absl::OkStatus();
}

namespace {

// Draws again beyond two standard deviations.
double TruncatedNormal(CounterRandom& random) {
  double value = random.Normal();
  while (std::abs(value) > 2) {
    value = random.Normal();
  }
  return value;
}

template <class Draw>
void Fill(Tensor& values, Draw draw) {
  auto* data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    data[i] = static_cast<float>(draw());
  }
}

}  // namespace

Tensor DrawInitial(const Initialiser& initialiser, absl::Span<const int64_t> shape, uint64_t seed,
                   uint32_t index) {
  const at::NoGradGuard no_grad;
  if (initialiser.kind == Initialiser::Kind::kGiven) {
    return initialiser.given;
  }
  Tensor values = at::zeros(at::IntArrayRef(shape.data(), shape.size()), at::kFloat);
  CounterRandom random(seed, RandomPurpose::kInitialisation, index);
  const auto fan_in = static_cast<double>(initialiser.fan_in);
  const auto fan_out = static_cast<double>(initialiser.fan_out);
  switch (initialiser.kind) {
    case Initialiser::Kind::kZeros:
    case Initialiser::Kind::kGiven:
      break;
    case Initialiser::Kind::kOnes:
      values.fill_(1);
      break;
    case Initialiser::Kind::kHeNormal:
      Fill(values, [&, deviation = std::sqrt(2 / fan_in)] { return deviation * random.Normal(); });
      break;
    case Initialiser::Kind::kGlorotUniform:
      Fill(values, [&, bound = std::sqrt(6 / (fan_in + fan_out))] {
        return random.Uniform(-bound, bound);
      });
      break;
    case Initialiser::Kind::kTruncatedNormal:
      Fill(values, [&] { return 0.01 * TruncatedNormal(random); });
      break;
    case Initialiser::Kind::kLecunNormal:
      Fill(values, [&, deviation = std::sqrt(1 / fan_in)] { return deviation * random.Normal(); });
      break;
    case Initialiser::Kind::kUniform:
      Fill(values, [&] { return random.Uniform(initialiser.low, initialiser.high); });
      break;
  }
  return values;
}

}  // namespace innerloop::meta
