// A small data set of images, written and opened in the tests' temporary folder.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"

namespace innerloop::meta {

// 12 classes of 6 images [size, size, 2] each, all of them and all their rotations different, in
// three groups of 6, 4 and 2 classes.
inline std::shared_ptr<const Dataset> SmallDataset(int64_t size = 4) {
  DatasetContent content;
  content.name = "small";
  content.example_shape = {size, size, 2};
  content.group_names = {"large", "middle", "tiny"};
  uint32_t state = 1;
  for (uint32_t c = 0; c < 12; ++c) {
    content.class_names.push_back(absl::StrCat("class", c / 10, c % 10));
    content.class_groups.push_back(c < 6 ? 0 : c < 10 ? 1 : 2);
    for (int example = 0; example < 6; ++example) {
      content.labels.push_back(c);
      for (int64_t pixel = 0; pixel < size * size * 2; ++pixel) {
        state = state * 1664525 + 1013904223;
        content.images.push_back(static_cast<uint8_t>(state >> 24));
      }
    }
  }
  const std::string path =
      absl::StrCat(::testing::TempDir(), "/small-", getpid(), "-", size, ".safetensors");
  const absl::Status written = WriteDataset(content, path);
  EXPECT_TRUE(written.ok()) << written;
  auto dataset = Dataset::Open(path);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  unlink(path.c_str());  // stays mapped
  return dataset.ok() ? *std::move(dataset) : nullptr;
}

}  // namespace innerloop::meta
