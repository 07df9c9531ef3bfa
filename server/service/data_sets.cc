#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "server/service/request_checks.h"
#include "server/service/training_service.h"

namespace innerloop::server {
namespace {

// "jobs a, b, c and 12 more".
std::string JobList(const std::set<std::string>& jobs) {
  constexpr size_t kShown = 10;
  std::vector<absl::string_view> shown(jobs.begin(), jobs.end());
  shown.resize(std::min(kShown, shown.size()));
  return absl::StrCat(
      jobs.size() == 1 ? "job " : "jobs ", absl::StrJoin(shown, ", "),
      jobs.size() > kShown ? absl::StrCat(" and ", jobs.size() - kShown, " more") : "");
}

}  // namespace

grpc::Status TrainingService::BeginDataSetUpload(grpc::ServerContext* /*context*/,
                                                 const v1::BeginDataSetUploadRequest* request,
                                                 v1::BeginUploadResponse* response) {
  return Answer(parts_.data_sets.Begin(*request), response);
}

grpc::Status TrainingService::UploadDataSet(grpc::ServerContext* /*context*/,
                                            grpc::ServerReader<v1::UploadDataSetRequest>* reader,
                                            v1::DataSetDescription* response) {
  v1::UploadDataSetRequest request;
  if (!reader->Read(&request)) {
    return ToGrpc(absl::InvalidArgumentError("the upload is empty"));
  }
  const v1::BeginDataSetUploadRequest file = request.file();
  const absl::StatusOr<v1::BeginUploadResponse> begun = parts_.data_sets.Begin(file);
  if (!begun.ok()) {
    return ToGrpc(begun.status());
  }
  if (begun->complete()) {
    return Answer(parts_.data_sets.Find(file.name()), response);
  }
  do {
    if (request.chunk().data().empty()) {
      continue;
    }
    if (const absl::Status status =
            parts_.data_sets.Append(file, request.chunk().offset(), request.chunk().data());
        !status.ok()) {
      return ToGrpc(status);
    }
  } while (reader->Read(&request));
  absl::StatusOr<v1::DataSetDescription> finished = parts_.data_sets.Finish(file);
  if (finished.ok()) {
    spdlog::info("data set '{}' is added, SHA-256 {}", finished->name(), finished->sha256());
  }
  return Answer(std::move(finished), response);
}

grpc::Status TrainingService::ListDataSets(grpc::ServerContext* /*context*/,
                                           const v1::ListDataSetsRequest* /*request*/,
                                           v1::ListDataSetsResponse* response) {
  absl::StatusOr<std::vector<v1::DataSetDescription>> data_sets = parts_.data_sets.List();
  if (!data_sets.ok()) {
    return ToGrpc(data_sets.status());
  }
  for (v1::DataSetDescription& data_set : *data_sets) {
    *response->add_data_sets() = std::move(data_set);
  }
  return grpc::Status::OK;
}

grpc::Status TrainingService::DeleteDataSet(grpc::ServerContext* /*context*/,
                                            const v1::DeleteDataSetRequest* request,
                                            v1::DeleteDataSetResponse* /*response*/) {
  if (const absl::Status status = CheckRequired("data_set", request->data_set(), kMaxNameLength);
      !status.ok()) {
    return ToGrpc(status);
  }
  const absl::StatusOr<v1::DataSetDescription> found = parts_.data_sets.Find(request->data_set());
  if (!found.ok()) {
    return ToGrpc(found.status());
  }
  std::set<std::string> training;
  std::set<std::string> ended;
  for (const Coordinator::DataSetUse& use : parts_.coordinator.UsesOf(found->sha256())) {
    (use.ended ? ended : training).insert(use.job);
  }
  if (!training.empty()) {
    return ToGrpc(absl::FailedPreconditionError(absl::StrCat("data set '", request->data_set(),
                                                             "' is in use by ", JobList(training),
                                                             "; cancel what uses it first")));
  }
  if (!ended.empty() && !request->force()) {
    return ToGrpc(absl::FailedPreconditionError(
        absl::StrCat("data set '", request->data_set(), "' is needed to evaluate or extend ",
                     JobList(ended), "; delete what needs it, or force the removal (--force)")));
  }
  const absl::Status removed = parts_.data_sets.Delete(request->data_set());
  if (removed.ok()) {
    spdlog::info("data set '{}' is removed by a user", found->name());
  }
  return ToGrpc(removed);
}

}  // namespace innerloop::server
