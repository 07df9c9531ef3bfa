#include "client/commands/checkpoint_file.h"

#include "absl/strings/str_cat.h"
#include "client/commands/train.h"
#include "client/local/local_run.h"
#include "client/local/temporary_folder.h"
#include "core/support/checksum.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop::client {

absl::Status CheckModelFile(const v1::JobSpec& spec, const std::string& target,
                            const std::string& model) {
  const std::string& wanted = spec.model().torchscript().sha256();
  if (wanted.empty()) {
    return model.empty()
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     "--model is for checkpoints of a TorchScript model; this one's model is part "
                     "of Innerloop");
  }
  if (model.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(target,
                     " has the parameters of a TorchScript model, but not the model itself: give "
                     "its file with --model FILE (SHA-256 ",
                     wanted, ")"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(model));
  const std::string found = Sha256::Hex(file.bytes());
  return found == wanted ? absl::OkStatus()
                         : absl::InvalidArgumentError(absl::StrCat(
                               model, " is not the model of the checkpoint: its SHA-256 is ", found,
                               ", wanted is ", wanted));
}

std::vector<std::string> AllowedBy(const v1::JobSpec& spec) {
  return spec.model().has_torchscript()
             ? std::vector<std::string>{spec.model().torchscript().sha256()}
             : std::vector<std::string>();
}

absl::Status WithLocalCluster(const v1::JobSpec& spec, int workers, Session& session,
                              LiveLine& live, absl::FunctionRef<absl::Status(LocalCluster&)> use) {
  INNERLOOP_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Create());
  LocalRun run(session.cancellation);
  INNERLOOP_RETURN_IF_ERROR(
      run.Start({.state_dir = folder.path(),
                 .program_folder = session.surroundings.program_folder,
                 .workers = workers > 0 ? workers : CoreCount(),
                 .allow_models = AllowedBy(spec),
                 .notice = [&live](const std::string& notice) { live.Print(notice); }}));
  absl::Status status = use(run.cluster());
  // Nothing in the folder is worth a graceful end.
  run.cluster().Kill();
  run.Stop();
  live.Close();
  return status;
}

}  // namespace innerloop::client
