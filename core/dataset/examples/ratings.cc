// Items have properties; how good an item is, all users agree on to some degree; what else counts
// is a matter of taste. Tastes lie along a few directions (for some the one is better, for others
// the other), and users differ in how strictly they rate and in how much they have rated.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/dataset/examples/examples.h"
#include "core/dataset/examples/table_text.h"
#include "core/support/random.h"

namespace innerloop {
namespace {

constexpr int kUsers = 300;
constexpr uint64_t kItems = 400;
constexpr size_t kProperties = 16;
constexpr size_t kTastes = 4;
constexpr uint64_t kFewestRatings = 6;
constexpr uint64_t kMostRatings = 60;

using Item = std::array<double, kProperties>;

double Dot(const Item& a, const Item& b) {
  double sum = 0;
  for (size_t p = 0; p < kProperties; ++p) {
    sum += a[p] * b[p];
  }
  return sum;
}

Item DrawItem(CounterRandom& random, double deviation) {
  Item item{};
  for (double& property : item) {
    property = deviation * random.Normal();
  }
  return item;
}

}  // namespace

std::string MakeRatings(uint64_t seed) {
  CounterRandom world(seed, RandomPurpose::kExampleData);
  const double unit = 1 / std::sqrt(static_cast<double>(kProperties));
  const Item quality = DrawItem(world, unit);
  std::array<Item, kTastes> tastes;
  std::generate(tastes.begin(), tastes.end(), [&] { return DrawItem(world, unit); });
  std::vector<Item> items(kItems);
  std::generate(items.begin(), items.end(), [&] { return DrawItem(world, 1); });

  TableText table("user", "property", kProperties, "rating");
  for (int user = 0; user < kUsers; ++user) {
    CounterRandom random(seed, RandomPurpose::kExampleData, 1, static_cast<uint64_t>(user));
    const double strictness = 0.5 * random.Normal();
    std::array<double, kTastes> liking{};
    std::generate(liking.begin(), liking.end(), [&] { return 0.8 * random.Normal(); });
    const uint64_t count = kFewestRatings + random.Below(kMostRatings - kFewestRatings + 1);
    for (const uint64_t i : random.Sample(kItems, count)) {
      double opinion = 0.6 * std::tanh(1.5 * Dot(quality, items[i])) - strictness;
      for (size_t taste = 0; taste < kTastes; ++taste) {
        opinion += liking[taste] * Dot(tastes[taste], items[i]);
      }
      opinion += 0.2 * random.Normal();
      // Half stars from 0.5 to 5.
      const double stars = std::clamp(std::round(2 * (3 + opinion)) / 2, 0.5, 5.0);
      table.Add(absl::StrFormat("user-%03d", user), items[i], absl::StrCat(stars));
    }
  }
  return table.Take();
}

}  // namespace innerloop
