#include "server/jobs/garbage.h"

#include <map>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

// A file that was just sent is for a job that comes next.
constexpr absl::Duration kUnusedFor = absl::Hours(1);
constexpr absl::Duration kBrokenOffFor = absl::Hours(24);

// "3 days ago".
std::string Ago(absl::Duration age) {
  const auto text = [](int64_t number, absl::string_view unit) {
    return absl::StrCat(number, " ", unit, number == 1 ? "" : "s", " ago");
  };
  if (age >= absl::Hours(48)) {
    return text(age / absl::Hours(24), "day");
  }
  if (age >= absl::Hours(1)) {
    return text(age / absl::Hours(1), "hour");
  }
  return age >= absl::Minutes(1) ? text(age / absl::Minutes(1), "minute")
                                 : "less than a minute ago";
}

}  // namespace

absl::Status Garbage::Find(const v1::CollectGarbageRequest& request,
                           const std::function<absl::Status(const std::string& id)>& delete_job) {
  if (request.has_jobs_older_than_seconds()) {
    if (!(request.jobs_older_than_seconds() >= 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "jobs_older_than_seconds is ", request.jobs_older_than_seconds(), "; at least 0 can be"));
    }
    FindJobs(absl::Seconds(request.jobs_older_than_seconds()), delete_job);
  }
  if (request.checkpoints()) {
    INNERLOOP_RETURN_IF_ERROR(FindCheckpoints());
  }
  return request.data_sets() ? FindDataSets() : absl::OkStatus();
}

void Garbage::FindJobs(absl::Duration age,
                       const std::function<absl::Status(const std::string& id)>& delete_job) {
  for (const v1::Job& job : jobs_.ended) {
    if (!job.has_ended()) {
      continue;  // nobody knows how old it is
    }
    const absl::Time ended =
        absl::FromUnixNanos(google::protobuf::util::TimeUtil::TimestampToNanoseconds(job.ended()));
    const auto pin = jobs_.pinned.lower_bound({job.id(), 0});
    const bool pinned = pin != jobs_.pinned.end() && pin->first == job.id();
    if (pinned || now_ - ended < age) {
      continue;
    }
    going_.insert(job.id());
    Add("job", job.id(), checkpoints_.BytesOf(job.id()), absl::StrCat("ended ", Ago(now_ - ended)),
        [delete_job, id = job.id()] { return delete_job(id); });
  }
}

absl::Status Garbage::FindCheckpoints() {
  for (const v1::Job& job : jobs_.ended) {
    if (Goes(job)) {
      continue;
    }
    // Those that are damaged are not among them: another may be needed in their place.
    INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::CheckpointInfo> all,
                               checkpoints_.List(job.id()));
    for (size_t i = 0; i + 1 < all.size(); ++i) {
      const uint64_t iteration = all[i].iteration();
      if (all[i].best() || jobs_.pinned.count({job.id(), iteration}) != 0) {
        continue;
      }
      Add("checkpoint", absl::StrCat(job.id(), "@", iteration), all[i].bytes(),
          "neither the last nor the best of an ended job",
          [this, id = job.id(), iteration] { return checkpoints_.Remove(id, iteration); });
    }
  }
  return absl::OkStatus();
}

absl::Status Garbage::FindDataSets() {
  std::set<std::string> needed_data;
  std::set<std::string> needed_models;
  const auto need = [&](const v1::JobSpec& spec) {
    if (UsesData(spec.tasks())) {
      needed_data.insert(*DataUseOf(spec.tasks()).sha256);
    }
    needed_models.insert(spec.model().torchscript().sha256());
  };
  for (const v1::JobSpec& spec : jobs_.under_way) {
    need(spec);
  }
  for (const v1::Job& job : jobs_.ended) {
    if (!Goes(job)) {
      need(job.spec());
    }
  }
  std::map<std::string, std::vector<std::string>> names;
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> known, data_sets_.List());
  for (const v1::DataSetDescription& data_set : known) {
    names[data_set.sha256()].push_back(data_set.name());
  }
  INNERLOOP_RETURN_IF_ERROR(FindFiles(
      data_sets_.files(), "data set", needed_data,
      [&names](const std::string& sha256) {
        const auto it = names.find(sha256);
        return it == names.end() ? sha256 : absl::StrJoin(it->second, ", ");
      },
      [this](const std::string& sha256) { return data_sets_.Delete(sha256); }));
  return FindFiles(
      data_sets_.models(), "model", needed_models, [](const std::string& sha256) { return sha256; },
      [this](const std::string& sha256) { return data_sets_.models().Remove(sha256); });
}

absl::Status Garbage::FindFiles(
    UploadFolder& folder, const std::string& kind, const std::set<std::string>& needed,
    const std::function<std::string(const std::string& sha256)>& names,
    const std::function<absl::Status(const std::string& sha256)>& remove) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<UploadFolder::Entry> entries, folder.Entries());
  for (const UploadFolder::Entry& entry : entries) {
    const absl::Duration age = now_ - entry.modified;
    if (entry.unfinished && age > kBrokenOffFor) {
      Add("upload", entry.sha256, entry.bytes,
          absl::StrCat("the ", kind, " was broken off ", Ago(age)),
          [&folder, sha256 = entry.sha256] { return folder.RemoveUnfinished(sha256); });
    } else if (!entry.unfinished && age > kUnusedFor && needed.count(entry.sha256) == 0) {
      Add(kind, names(entry.sha256), entry.bytes, absl::StrCat("no job needs it; added ", Ago(age)),
          [remove, sha256 = entry.sha256] { return remove(sha256); });
    }
  }
  return absl::OkStatus();
}

void Garbage::Add(const std::string& kind, const std::string& name, uint64_t bytes, std::string why,
                  std::function<absl::Status()> remove) {
  Found found;
  found.item.set_kind(kind);
  found.item.set_name(name);
  found.item.set_bytes(bytes);
  found.item.set_why(std::move(why));
  found.remove = std::move(remove);
  found_.push_back(std::move(found));
}

absl::Status Garbage::Remove() const {
  for (const Found& found : found_) {
    absl::Status removed = found.remove();
    // What its job took along is gone already.
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      return removed;
    }
  }
  return absl::OkStatus();
}

v1::CollectGarbageResponse Garbage::response() const {
  v1::CollectGarbageResponse response;
  for (const Found& found : found_) {
    *response.add_items() = found.item;
    response.set_bytes(response.bytes() + found.item.bytes());
  }
  return response;
}

}  // namespace innerloop::server
