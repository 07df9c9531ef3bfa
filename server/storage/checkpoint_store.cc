#include "server/storage/checkpoint_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

constexpr absl::string_view kPrefix = "checkpoint-";
constexpr absl::string_view kSuffix = ".safetensors";
// Of a job's folder that was set aside: no job id has a dot.
constexpr absl::string_view kAside = ".deleted";
constexpr size_t kMaxIdLength = 64;

// Identifiers become folder names: nothing that could lead elsewhere gets through.
absl::Status CheckId(absl::string_view id) {
  const bool good =
      !id.empty() && id.size() <= kMaxIdLength && std::all_of(id.begin(), id.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c);
      });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    absl::StrCat("'", id.substr(0, kMaxIdLength),
                                 "' is no job id: ids are lower-case letters and digits"));
}

std::optional<uint64_t> IterationOf(absl::string_view name) {
  uint64_t iteration = 0;
  if (absl::StartsWith(name, kPrefix) && absl::EndsWith(name, kSuffix) &&
      absl::SimpleAtoi(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size()),
                       &iteration)) {
    return iteration;
  }
  return std::nullopt;
}

struct Reference {
  std::string job_id;
  bool best = false;
  std::optional<uint64_t> iteration;
};

absl::StatusOr<Reference> Parse(const std::string& text) {
  const size_t at = text.find('@');
  Reference reference{.job_id = text.substr(0, at)};
  INNERLOOP_RETURN_IF_ERROR(CheckId(reference.job_id));
  if (at == std::string::npos) {
    return reference;
  }
  const std::string which = text.substr(at + 1);
  uint64_t iteration = 0;
  if (which == "best") {
    reference.best = true;
  } else if (absl::SimpleAtoi(which, &iteration)) {
    reference.iteration = iteration;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("'", text.substr(0, 100),
                                                   "' is no checkpoint; it should be JOB, "
                                                   "JOB@ITERATION or JOB@best"));
  }
  return reference;
}

absl::StatusOr<struct stat> Facts(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot examine '", path, "'"));
  }
  return facts;
}

int64_t ModifiedNanos(const struct stat& facts) {
  return int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

absl::StatusOr<v1::CheckpointInfo> Describe(const v1::CheckpointMetadata& metadata,
                                            const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(const struct stat facts, Facts(path));
  v1::CheckpointInfo info;
  info.set_job_id(metadata.job_id());
  info.set_iteration(metadata.iteration());
  info.set_bytes(static_cast<uint64_t>(facts.st_size));
  info.set_parameters_sha256(metadata.parameters_sha256());
  info.set_path(path);
  info.mutable_written()->set_seconds(facts.st_mtim.tv_sec);
  info.mutable_written()->set_nanos(static_cast<int32_t>(facts.st_mtim.tv_nsec));
  return info;
}

}  // namespace

CheckpointStore::CheckpointStore(std::string state_dir, const FileSystem& files)
    : state_dir_(std::move(state_dir)), files_(files) {}

std::string CheckpointStore::Folder(absl::string_view job_id) const {
  return absl::StrCat(state_dir_, "/jobs/", job_id);
}

std::string CheckpointStore::AsideFolder(absl::string_view job_id) const {
  return absl::StrCat(Folder(job_id), kAside);
}

absl::StatusOr<std::vector<std::string>> CheckpointStore::Names(const std::string& job_id) const {
  std::error_code error;
  if (!std::filesystem::exists(Folder(job_id), error)) {
    return std::vector<std::string>();
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<std::string> names, files_.List(Folder(job_id)));
  names.erase(
      std::remove_if(names.begin(), names.end(),
                     [](const std::string& name) { return !IterationOf(name).has_value(); }),
      names.end());
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return *IterationOf(a) < *IterationOf(b);
  });
  return names;
}

std::string CheckpointStore::BestName(const std::string& job_id) const {
  const absl::StatusOr<std::string> name =
      files_.Read(absl::StrCat(Folder(job_id), "/best"), /*limit=*/1000);
  return name.ok() ? std::string(absl::StripAsciiWhitespace(*name)) : std::string();
}

absl::StatusOr<v1::CheckpointInfo> CheckpointStore::Write(Checkpoint& checkpoint, bool best,
                                                          uint32_t keep) {
  const std::string& job_id = checkpoint.metadata.job_id();
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  INNERLOOP_RETURN_IF_ERROR(files_.MakeFolder(Folder(job_id)));
  const std::string name = CheckpointFileName(checkpoint.metadata.iteration());
  const std::string path = absl::StrCat(Folder(job_id), "/", name);
  INNERLOOP_RETURN_IF_ERROR(WriteCheckpoint(files_, path, checkpoint).status());
  if (best) {
    INNERLOOP_RETURN_IF_ERROR(
        files_.Replace(absl::StrCat(Folder(job_id), "/best"), {absl::StrCat(name, "\n")}));
  }
  INNERLOOP_ASSIGN_OR_RETURN(v1::CheckpointInfo info, Describe(checkpoint.metadata, path));
  Remember(path, info);
  info.set_best(best || BestName(job_id) == name);
  Retain(job_id, checkpoint.metadata.iteration(), keep);
  return info;
}

void CheckpointStore::Retain(const std::string& job_id, uint64_t written, uint32_t keep) {
  absl::StatusOr<std::vector<std::string>> names = Names(job_id);
  if (!names.ok()) {
    spdlog::warn("old checkpoints of job {} stay: {}", job_id, names.status().ToString());
    return;
  }
  // Later ones than the one just written were damaged when the job went on from an earlier one;
  // they may not count as the newest.
  names->erase(
      std::remove_if(names->begin(), names->end(),
                     [&](const std::string& name) { return *IterationOf(name) > written; }),
      names->end());
  const std::string best = BestName(job_id);
  for (size_t i = 0; i + keep + 1 < names->size(); ++i) {
    if ((*names)[i] == best) {
      continue;
    }
    const std::string path = absl::StrCat(Folder(job_id), "/", (*names)[i]);
    if (const absl::Status removed = files_.Remove(path); !removed.ok()) {
      spdlog::warn("an old checkpoint stays: {}", removed.ToString());
    }
    const absl::MutexLock lock(&mutex_);
    verified_.erase(path);
  }
}

void CheckpointStore::Remember(const std::string& path, const v1::CheckpointInfo& info) {
  const absl::MutexLock lock(&mutex_);
  verified_[path] = {
      .bytes = static_cast<int64_t>(info.bytes()),
      .modified_nanos = info.written().seconds() * 1'000'000'000 + info.written().nanos(),
      .info = info};
}

absl::StatusOr<v1::CheckpointInfo> CheckpointStore::Examine(const std::string& path, bool best) {
  INNERLOOP_ASSIGN_OR_RETURN(const struct stat facts, Facts(path));
  {
    const absl::MutexLock lock(&mutex_);
    const auto known = verified_.find(path);
    if (known != verified_.end() && known->second.bytes == facts.st_size &&
        known->second.modified_nanos == ModifiedNanos(facts)) {
      v1::CheckpointInfo info = known->second.info;
      info.set_best(best);
      return info;
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(path));
  INNERLOOP_ASSIGN_OR_RETURN(v1::CheckpointInfo info, Describe(checkpoint.metadata, path));
  Remember(path, info);
  info.set_best(best);
  return info;
}

absl::StatusOr<std::vector<v1::CheckpointInfo>> CheckpointStore::List(const std::string& job_id) {
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(job_id));
  const std::string best = BestName(job_id);
  std::vector<v1::CheckpointInfo> infos;
  for (const std::string& name : names) {
    absl::StatusOr<v1::CheckpointInfo> info =
        Examine(absl::StrCat(Folder(job_id), "/", name), name == best);
    if (info.ok()) {
      infos.push_back(*std::move(info));
    } else if (!absl::IsNotFound(info.status())) {
      spdlog::error("a checkpoint is left out: {}", info.status().ToString());
    }
  }
  return infos;
}

absl::StatusOr<Checkpoint> CheckpointStore::Read(const std::string& text,
                                                 std::vector<std::string>* damaged) {
  INNERLOOP_ASSIGN_OR_RETURN(const Reference reference, Parse(text));
  const std::string& job_id = reference.job_id;
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<std::string> names, Names(job_id));
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat("job '", job_id, "' has no checkpoints"));
  }
  if (reference.best || reference.iteration.has_value()) {
    const std::string wanted =
        reference.best ? BestName(job_id) : CheckpointFileName(*reference.iteration);
    if (std::find(names.begin(), names.end(), wanted) != names.end()) {
      return ReadCheckpoint(absl::StrCat(Folder(job_id), "/", wanted));
    }
    return absl::NotFoundError(absl::StrCat(
        "there is no checkpoint '", text, "'; job '", job_id, "' has those of iterations ",
        absl::StrJoin(names, ", ", [](std::string* out, const std::string& name) {
          absl::StrAppend(out, *IterationOf(name));
        })));
  }
  std::reverse(names.begin(), names.end());
  for (const std::string& name : names) {
    absl::StatusOr<Checkpoint> checkpoint = ReadCheckpoint(absl::StrCat(Folder(job_id), "/", name));
    if (checkpoint.ok()) {
      return checkpoint;
    }
    spdlog::error("a checkpoint is passed over: {}", checkpoint.status().ToString());
    if (damaged != nullptr) {
      damaged->emplace_back(checkpoint.status().message());
    }
  }
  return absl::DataLossError(
      absl::StrCat("all ", names.size(), " checkpoints of job '", job_id, "' are damaged"));
}

absl::StatusOr<std::string> CheckpointStore::Resolve(const std::string& text) {
  INNERLOOP_ASSIGN_OR_RETURN(const Reference reference, Parse(text));
  std::optional<uint64_t> iteration = reference.iteration;
  if (reference.best) {
    iteration = IterationOf(BestName(reference.job_id));
  } else if (!iteration.has_value()) {
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<std::string> names, Names(reference.job_id));
    std::reverse(names.begin(), names.end());
    const auto good = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return Examine(absl::StrCat(Folder(reference.job_id), "/", name), /*best=*/false).ok();
    });
    iteration = good == names.end() ? std::nullopt : IterationOf(*good);
  }
  if (!iteration.has_value()) {
    // For the same errors as Read's.
    INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Read(text, nullptr));
    iteration = checkpoint.metadata.iteration();
  }
  return absl::StrCat(reference.job_id, "@", *iteration);
}

absl::StatusOr<std::string> CheckpointStore::PathOf(const std::string& text) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::string pinned, Resolve(text));
  INNERLOOP_ASSIGN_OR_RETURN(const Reference reference, Parse(pinned));
  std::string path = PathOf(reference.job_id, *reference.iteration);
  const absl::Status whole = Examine(path, /*best=*/false).status();
  if (absl::IsNotFound(whole)) {
    // Names those that there are.
    INNERLOOP_RETURN_IF_ERROR(Read(text, nullptr).status());
  }
  INNERLOOP_RETURN_IF_ERROR(whole);
  return path;
}

std::string CheckpointStore::PathOf(const std::string& job_id, uint64_t iteration) const {
  return absl::StrCat(Folder(job_id), "/", CheckpointFileName(iteration));
}

uint64_t CheckpointStore::BytesOf(const std::string& job_id) const {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(Folder(job_id), error), end;
       !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    const uintmax_t size = entry->file_size(gone);
    bytes += gone ? 0 : size;
  }
  return bytes;
}

absl::Status CheckpointStore::Remove(const std::string& job_id, uint64_t iteration) {
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  const std::string path = PathOf(job_id, iteration);
  INNERLOOP_RETURN_IF_ERROR(files_.Remove(path));
  const absl::MutexLock lock(&mutex_);
  verified_.erase(path);
  return absl::OkStatus();
}

void CheckpointStore::ForgetVerified(const std::string& job_id) {
  const absl::MutexLock lock(&mutex_);
  const std::string folder = Folder(job_id) + "/";
  for (auto entry = verified_.lower_bound(folder);
       entry != verified_.end() && absl::StartsWith(entry->first, folder);) {
    entry = verified_.erase(entry);
  }
}

absl::Status CheckpointStore::SetAside(const std::string& job_id) {
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  ForgetVerified(job_id);
  std::error_code error;
  return std::filesystem::exists(Folder(job_id), error)
             ? files_.Rename(Folder(job_id), AsideFolder(job_id))
             : absl::OkStatus();
}

absl::Status CheckpointStore::PutBack(const std::string& job_id) {
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  std::error_code error;
  return std::filesystem::exists(AsideFolder(job_id), error)
             ? files_.Rename(AsideFolder(job_id), Folder(job_id))
             : absl::OkStatus();
}

absl::Status CheckpointStore::DeleteJob(const std::string& job_id) {
  INNERLOOP_RETURN_IF_ERROR(CheckId(job_id));
  ForgetVerified(job_id);
  for (const std::string& folder : {Folder(job_id), AsideFolder(job_id)}) {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot remove '", folder, "'"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> CheckpointStore::Jobs() const { return FoldersEndingIn(""); }

std::vector<std::string> CheckpointStore::JobsSetAside() const { return FoldersEndingIn(kAside); }

std::vector<std::string> CheckpointStore::FoldersEndingIn(absl::string_view suffix) const {
  std::vector<std::string> ids;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(Folder(""), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    absl::string_view id = name;
    std::error_code gone;
    if (absl::ConsumeSuffix(&id, suffix) && CheckId(id).ok() && entry->is_directory(gone)) {
      ids.emplace_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace innerloop::server
