#include "client/commands/job_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/job/task_view.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// Class lists of the largest data sets fit; a data set given for a job by mistake does not.
constexpr uint64_t kMaxJobFileBytes = uint64_t{16} << 20;

std::string HowToMake(const std::string& name, const v1::TaskSource& tasks) {
  if (tasks.has_grouped()) {
    return absl::StrCat(
        "innerloop dataset import csv FILE.csv --features COLUMNS --target COLUMN --group COLUMN "
        "--out ",
        name, ".safetensors");
  }
  if (name == "omniglot") {
    return absl::StrCat(
        "innerloop dataset import images images_background.zip images_evaluation.zip --size 28 "
        "--grayscale --invert --out ",
        name, ".safetensors (the archives are at https://github.com/brendenlake/omniglot)");
  }
  return absl::StrCat("innerloop dataset import images FOLDER --size 28 --out ", name,
                      ".safetensors");
}

// Fills in what is known of a model of the user's own, and where it lies from here.
absl::Status DescribeModelFile(v1::JobSpec& spec, const std::string& folder) {
  if (!spec.model().has_torchscript() || spec.model().torchscript().file().empty()) {
    return absl::OkStatus();
  }
  v1::TorchScriptModel& model = *spec.mutable_model()->mutable_torchscript();
  model.set_file((std::filesystem::path(folder) / model.file()).string());
  const absl::StatusOr<MappedFile> file = MappedFile::Open(model.file());
  if (!file.ok()) {
    return {file.status().code(),
            absl::StrCat("model.torchscript.file: ", file.status().message())};
  }
  // torch.jit.save writes a zip archive; of what is in it only a worker can tell more.
  if (!absl::StartsWith(file->bytes(), "PK\x03\x04")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.torchscript.file: ", model.file(),
        file->bytes().empty() ? " is empty" : " is no TorchScript model, or is damaged",
        "; torch.jit.script(module).save(FILE) writes one"));
  }
  model.set_sha256(Sha256::Hex(file->bytes()));
  model.set_bytes(file->bytes().size());
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckModelAllowed(const v1::JobSpec& spec, const std::string& file,
                               const std::vector<std::string>& allowed) {
  if (!spec.model().has_torchscript()) {
    return absl::OkStatus();
  }
  const std::string& sha256 = spec.model().torchscript().sha256();
  if (std::find(allowed.begin(), allowed.end(), sha256) != allowed.end()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the job runs ", file,
                   ", a TorchScript model: code that can read what you can read. If you trust its "
                   "author, add --allow-model ",
                   sha256));
}

absl::StatusOr<v1::JobSpec> LoadJob(const std::string& path,
                                    const std::vector<std::string>& assignments) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::string text,
                             FileSystem::Real().Read(path, kMaxJobFileBytes));
  INNERLOOP_ASSIGN_OR_RETURN(v1::JobSpec spec, ParseJobSpec(text, path));
  for (const std::string& assignment : assignments) {
    INNERLOOP_RETURN_IF_ERROR(SetField(spec, assignment));
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  INNERLOOP_RETURN_IF_ERROR(LoadSplitFiles(spec, folder.empty() ? "." : folder));
  INNERLOOP_RETURN_IF_ERROR(DescribeModelFile(spec, folder));
  return spec;
}

absl::StatusOr<DataSetFile> ParseDataFlag(const std::string& flag) {
  const size_t at = flag.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == flag.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", flag,
                     "' does not name a data set and its file; write NAME=FILE, e.g. "
                     "omniglot=omniglot.safetensors"));
  }
  return DataSetFile{.name = flag.substr(0, at), .path = flag.substr(at + 1)};
}

absl::Status CheckDataFlags(const std::vector<std::string>& data_flags,
                            const std::optional<std::string>& name) {
  for (const std::string& flag : data_flags) {
    INNERLOOP_ASSIGN_OR_RETURN(const DataSetFile file, ParseDataFlag(flag));
    if (file.name != name) {
      return absl::InvalidArgumentError(
          absl::StrCat("--data ", flag, ": the job draws from ",
                       name ? absl::StrCat("the data set '", *name, "'") : "no data set"));
    }
  }
  if (data_flags.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("--data is given ", data_flags.size(),
                                                   " times for the data set '", *name, "'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<DataSetFile> FindDataSet(const v1::TaskSource& tasks,
                                        const std::vector<std::string>& data_flags) {
  const std::string& name = *DataUseOf(tasks).dataset;
  for (const std::string& flag : data_flags) {
    INNERLOOP_ASSIGN_OR_RETURN(DataSetFile file, ParseDataFlag(flag));
    if (file.name == name) {
      return file;
    }
  }
  const char* folder = std::getenv("INNERLOOP_DATA");
  const std::string path = absl::StrCat(folder == nullptr ? "" : folder, "/", name, ".safetensors");
  std::error_code error;
  if (folder != nullptr && std::filesystem::exists(path, error)) {
    return DataSetFile{.name = name, .path = path};
  }
  return absl::NotFoundError(
      absl::StrCat("there is no data set '", name, "': give its file with --data ", name, "=FILE",
                   folder == nullptr ? absl::StrCat(" or as ", name,
                                                    ".safetensors in the folder that "
                                                    "INNERLOOP_DATA names")
                                     : absl::StrCat(" or put it at ", path),
                   "; to make it: ", HowToMake(name, tasks)));
}

absl::StatusOr<OpenedDataSet> OpenDataSet(const DataSetFile& file) {
  OpenedDataSet opened{.file = file};
  INNERLOOP_ASSIGN_OR_RETURN(opened.examples, Dataset::Open(file.path));
  opened.description = opened.examples->Describe();
  opened.description.set_name(file.name);
  return opened;
}

}  // namespace innerloop::client
