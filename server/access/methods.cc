#include "server/access/methods.h"

#include "absl/container/flat_hash_map.h"

namespace innerloop::server {
namespace {

const absl::flat_hash_map<absl::string_view, Need>& Table() {
  static const auto* const table = new absl::flat_hash_map<absl::string_view, Need>({
      {"/innerloop.v1.Access/CreateToken", Need::kUserCertificate},
      {"/innerloop.v1.Access/ListTokens", Need::kUserCertificate},
      {"/innerloop.v1.Access/RevokeToken", Need::kUserCertificate},

      // They compute on the workers.
      {"/innerloop.v1.Adaptation/Adapt", Need::kUser},
      {"/innerloop.v1.Adaptation/Describe", Need::kViewer},
      {"/innerloop.v1.Adaptation/Export", Need::kUser},
      {"/innerloop.v1.Adaptation/Predict", Need::kUser},

      {"/innerloop.v1.Training/BeginDataSetUpload", Need::kUser},
      {"/innerloop.v1.Training/BeginModelUpload", Need::kUser},
      {"/innerloop.v1.Training/CancelJob", Need::kUser},
      {"/innerloop.v1.Training/DeleteDataSet", Need::kUser},
      {"/innerloop.v1.Training/DeleteJob", Need::kUser},
      {"/innerloop.v1.Training/DownloadCheckpoint", Need::kViewer},
      {"/innerloop.v1.Training/Evaluate", Need::kUser},
      {"/innerloop.v1.Training/ExtendJob", Need::kUser},
      {"/innerloop.v1.Training/GetJob", Need::kViewer},
      {"/innerloop.v1.Training/ListCheckpoints", Need::kViewer},
      {"/innerloop.v1.Training/ListDataSets", Need::kViewer},
      {"/innerloop.v1.Training/ListJobs", Need::kViewer},
      {"/innerloop.v1.Training/ListWorkers", Need::kViewer},
      {"/innerloop.v1.Training/PauseJob", Need::kUser},
      {"/innerloop.v1.Training/ResumeJob", Need::kUser},
      {"/innerloop.v1.Training/ReviseJob", Need::kUser},
      {"/innerloop.v1.Training/SubmitJob", Need::kUser},
      {"/innerloop.v1.Training/UploadCheckpoint", Need::kUser},
      {"/innerloop.v1.Training/UploadDataSet", Need::kUser},
      {"/innerloop.v1.Training/UploadModel", Need::kUser},
      {"/innerloop.v1.Training/WatchJob", Need::kViewer},

      {"/innerloop.v1.Upkeep/Backup", Need::kUser},
      {"/innerloop.v1.Upkeep/CollectGarbage", Need::kUser},
      {"/innerloop.v1.Upkeep/GetServerInfo", Need::kViewer},
      {"/innerloop.v1.Upkeep/ReadLog", Need::kViewer},

      {"/innerloop.v1.Work/Connect", Need::kWorker},
      {"/innerloop.v1.Work/FetchFile", Need::kWorker},

      // Container engines ask without a name.
      {"/grpc.health.v1.Health/Check", Need::kNothing},
      {"/grpc.health.v1.Health/Watch", Need::kNothing},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::kViewer},
  });
  return *table;
}

}  // namespace

Need NeedOf(absl::string_view method) {
  const auto it = Table().find(method);
  return it == Table().end() ? Need::kUserCertificate : it->second;
}

bool HasNeed(absl::string_view method) { return Table().contains(method); }

}  // namespace innerloop::server
