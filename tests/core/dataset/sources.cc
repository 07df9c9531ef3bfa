#include "tests/core/dataset/sources.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <stb_image_write.h>

namespace innerloop {
namespace {

la_ssize_t Append(archive* /*writer*/, void* out, const void* bytes, size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

void WriteEntry(archive* writer, const std::string& name, const std::string& bytes) {
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_pathname(entry, name.c_str());
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
  EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK) << archive_error_string(writer);
  EXPECT_EQ(archive_write_data(writer, bytes.data(), bytes.size()),
            static_cast<la_ssize_t>(bytes.size()));
  archive_entry_free(entry);
}

}  // namespace

std::string Png(int width, int height, int channels, const std::vector<uint8_t>& pixels) {
  std::string out;
  const auto append = [](void* context, void* bytes, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(bytes),
                                               static_cast<size_t>(size));
  };
  EXPECT_EQ(pixels.size(), static_cast<size_t>(width) * static_cast<size_t>(height * channels));
  EXPECT_NE(stbi_write_png_to_func(append, &out, width, height, channels, pixels.data(), 0), 0);
  return out;
}

std::string PlainPng(int width, int height, uint8_t value) {
  const std::vector<uint8_t> pixels(static_cast<size_t>(width) * static_cast<size_t>(height),
                                    value);
  return Png(width, height, /*channels=*/1, pixels);
}

std::string Archive(ArchiveKind kind, const ArchiveEntries& entries) {
  std::string out;
  archive* const writer = archive_write_new();
  if (kind == ArchiveKind::kZip) {
    archive_write_set_format_zip(writer);
  } else {
    archive_write_set_format_pax_restricted(writer);
  }
  if (kind == ArchiveKind::kTarGz) {
    archive_write_add_filter_gzip(writer);
  }
  archive_write_set_bytes_in_last_block(writer, 1);  // no padding after the end
  archive_write_open(writer, &out, nullptr, Append, nullptr);
  for (const auto& [name, bytes] : entries) {
    WriteEntry(writer, name, bytes);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  return out;
}

std::string Gzip(const std::string& bytes) {
  std::string out;
  archive* const writer = archive_write_new();
  archive_write_set_format_raw(writer);
  archive_write_add_filter_gzip(writer);
  archive_write_set_bytes_in_last_block(writer, 1);  // no padding after the end
  archive_write_open(writer, &out, nullptr, Append, nullptr);
  WriteEntry(writer, "data", bytes);
  archive_write_close(writer);
  archive_write_free(writer);
  return out;
}

std::string Idx(const std::vector<uint32_t>& shape, const std::vector<uint8_t>& values) {
  std::string out = {0, 0, 8, static_cast<char>(shape.size())};
  for (const uint32_t dimension : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>(dimension >> shift));
    }
  }
  out.append(values.begin(), values.end());
  return out;
}

}  // namespace innerloop
