// Tables.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/dataset/import.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const innerloop::MemoryFile file({reinterpret_cast<const char*>(data), size});
  innerloop::CsvImportOptions options;
  options.file = file.path();
  options.name = "fuzz";
  options.targets = {"y"};
  options.group = "g";
  options.skip_missing = true;
  for (const bool regression : {false, true}) {
    options.regression = regression;
    const auto content = innerloop::ImportCsv(options, nullptr);
    // What was taken fits together, but for the names of classes and groups, which writing checks.
    if (content.ok() && content->groups.empty()) {
      std::abort();
    }
  }
  return 0;
}
