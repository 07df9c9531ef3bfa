// What importers read, made by tests.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace innerloop {

// A PNG of `channels` bytes a pixel.
std::string Png(int width, int height, int channels, const std::vector<uint8_t>& pixels);
// One channel, every pixel `value`.
std::string PlainPng(int width, int height, uint8_t value);

enum class ArchiveKind { kZip, kTar, kTarGz };
using ArchiveEntries = std::vector<std::pair<std::string, std::string>>;
std::string Archive(ArchiveKind kind, const ArchiveEntries& entries);

std::string Gzip(const std::string& bytes);

// An IDX file of unsigned bytes.
std::string Idx(const std::vector<uint32_t>& shape, const std::vector<uint8_t>& values);

}  // namespace innerloop
