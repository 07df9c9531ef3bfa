// Rotating machines: each has its speed, its resonance, its bearing, and vibrates somewhat at its
// speed and at twice its speed when all is well. A fault adds to what the machine does anyway: so
// what is a fault on one is normal on another. A row is the amplitude spectrum of one window of the
// signal.
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/dataset/examples/examples.h"
#include "core/dataset/examples/table_text.h"
#include "core/support/random.h"

namespace innerloop {
namespace {

constexpr int kMachines = 150;
constexpr int kWindows = 15;  // of each machine and condition
constexpr size_t kSamples = 128;
constexpr size_t kLines = 48;  // of the spectrum: 1 to 48 cycles a window
constexpr double kTwoPi = 2 * std::numbers::pi;

constexpr std::array<const char*, 4> kConditions = {"healthy", "unbalance", "misalignment",
                                                    "bearing"};

struct Machine {
  double speed;       // turns a window
  double unbalance;   // amplitude at the speed when healthy
  double alignment;   // at twice the speed when healthy
  double impacts;     // of the bearing's elements in a turn
  double resonance;   // cycles a window
  double background;  // amplitude of a hum of another machine nearby, at `hum` cycles a window
  double hum;
};

Machine DrawMachine(CounterRandom& random) {
  return {.speed = random.Uniform(4, 9),
          .unbalance = random.Uniform(0.3, 2.2),
          .alignment = random.Uniform(0.2, 1.8),
          .impacts = random.Uniform(2.6, 4.4),
          .resonance = random.Uniform(28, 44),
          .background = random.Uniform(0, 1.5),
          .hum = random.Uniform(5, 40)};
}

// The impacts of a damaged race: each rings at the machine's resonance and dies away.
void AddImpacts(const Machine& machine, double speed, double strength, CounterRandom& random,
                std::vector<double>& signal) {
  const double interval = kSamples / (speed * machine.impacts);
  for (double at = random.Uniform(0, interval); at < kSamples; at += interval) {
    for (auto i = static_cast<size_t>(std::ceil(at)); i < kSamples; ++i) {
      const double since = static_cast<double>(i) - at;
      signal[i] +=
          strength * std::exp(-since / 6) * std::sin(kTwoPi * machine.resonance * since / kSamples);
    }
  }
}

std::vector<double> DrawWindow(const Machine& machine, size_t condition, CounterRandom& random) {
  const double speed = machine.speed * random.Uniform(0.98, 1.02);
  const double severity = random.Uniform(0.7, 1.3);
  struct Tone {
    double cycles;
    double amplitude;
  };
  const Tone tones[] = {{speed, machine.unbalance + (condition == 1 ? 0.8 * severity : 0)},
                        {2 * speed, machine.alignment + (condition == 2 ? 0.7 * severity : 0)},
                        {machine.hum, machine.background * random.Uniform(0.5, 1)}};
  std::vector<double> signal(kSamples);
  for (double& value : signal) {
    value = 0.35 * random.Normal();
  }
  for (const Tone& tone : tones) {
    const double phase = random.Uniform(0, kTwoPi);
    const double amplitude = tone.amplitude * random.Uniform(0.9, 1.1);
    for (size_t i = 0; i < kSamples; ++i) {
      signal[i] +=
          amplitude * std::sin(kTwoPi * tone.cycles * static_cast<double>(i) / kSamples + phase);
    }
  }
  // A healthy bearing is heard, too, on some machines more than on others.
  AddImpacts(machine, speed, 0.3 * machine.background + (condition == 3 ? 0.8 * severity : 0),
             random, signal);
  return signal;
}

// One turn of a circle in kSamples steps.
struct Circle {
  Circle() {
    for (size_t i = 0; i < kSamples; ++i) {
      cosines[i] = std::cos(kTwoPi * static_cast<double>(i) / kSamples);
      sines[i] = std::sin(kTwoPi * static_cast<double>(i) / kSamples);
    }
  }
  std::array<double, kSamples> cosines{};
  std::array<double, kSamples> sines{};
};

// Amplitudes of lines 1..kLines of the discrete Fourier transform.
std::vector<double> Spectrum(const Circle& circle, const std::vector<double>& signal) {
  std::vector<double> amplitudes;
  for (size_t line = 1; line <= kLines; ++line) {
    double real = 0;
    double imaginary = 0;
    for (size_t i = 0; i < kSamples; ++i) {
      real += signal[i] * circle.cosines[line * i % kSamples];
      imaginary += signal[i] * circle.sines[line * i % kSamples];
    }
    amplitudes.push_back(2 * std::hypot(real, imaginary) / kSamples);
  }
  return amplitudes;
}

}  // namespace

std::string MakeMachines(uint64_t seed) {
  const Circle circle;
  TableText table("machine", "line", kLines, "condition");
  for (int m = 0; m < kMachines; ++m) {
    CounterRandom random(seed, RandomPurpose::kExampleData, 0, static_cast<uint64_t>(m));
    const Machine machine = DrawMachine(random);
    for (size_t condition = 0; condition < kConditions.size(); ++condition) {
      for (int window = 0; window < kWindows; ++window) {
        table.Add(absl::StrFormat("machine-%03d", m),
                  Spectrum(circle, DrawWindow(machine, condition, random)), kConditions[condition]);
      }
    }
  }
  return table.Take();
}

}  // namespace innerloop
