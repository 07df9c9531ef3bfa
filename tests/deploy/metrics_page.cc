// Writes deploy/METRICS.md, or checks that it is what would be written.
//   metrics_page [--check] FILE
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "core/metrics/page.h"

int main(int argc, char** argv) {
  const bool check = argc == 3 && std::string(argv[1]) == "--check";
  if (argc != 2 && !check) {
    std::fprintf(stderr, "usage: metrics_page [--check] FILE\n");
    return 2;
  }
  const std::string path = argv[argc - 1];
  const std::string page = innerloop::metrics::DescribeMetrics();
  if (check) {
    std::ifstream file(path);
    if (std::string(std::istreambuf_iterator<char>(file), {}) != page) {
      std::fprintf(stderr, "%s is stale; the target describe_metrics writes it\n", path.c_str());
      return 1;
    }
    return 0;
  }
  return std::ofstream(path) << page << std::flush ? 0 : 1;
}
