// Event files read back, for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/support/checksum.h"
#include "tensorboard/event.pb.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {

// Paths of all event files under a folder, in the order in which TensorBoard reads them.
inline std::vector<std::string> EventFiles(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().find("tfevents") != std::string::npos) {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Follows the description of TFRecord files; the test fails at the first damaged record.
inline std::vector<tensorboard::Event> ReadEvents(const std::string& path) {
  const std::string file = ReadFile(path);
  const auto number = [&file](size_t at, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, file.data() + at, bytes);
    return value;
  };
  const auto checksum = [](const std::string& bytes) -> uint64_t {
    const uint32_t crc = Crc32c(bytes);
    return static_cast<uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8U);
  };
  std::vector<tensorboard::Event> events;
  for (size_t at = 0; at < file.size();) {
    constexpr size_t kHead = 12;
    constexpr size_t kFrame = 16;
    if (file.size() - at < kFrame || number(at, 8) > file.size() - at - kFrame) {
      ADD_FAILURE() << path << " ends within a record";
      break;
    }
    const size_t length = number(at, 8);
    EXPECT_EQ(number(at + 8, 4), checksum(file.substr(at, 8)));
    const std::string bytes = file.substr(at + kHead, length);
    EXPECT_EQ(number(at + kHead + length, 4), checksum(bytes));
    EXPECT_TRUE(events.emplace_back().ParseFromString(bytes));
    at += kFrame + length;
  }
  return events;
}

}  // namespace innerloop::server
