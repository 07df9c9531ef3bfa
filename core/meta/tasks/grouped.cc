#include "core/meta/tasks/grouped.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/usable_groups.h"
#include "core/meta/tasks/drawing.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// Puts by turns the next example of each class in front, until `count` stand there.
void TakeTurns(const Dataset& dataset, size_t count, std::vector<int64_t>& order) {
  std::vector<int64_t> classes;  // in the order in which they first come
  std::vector<std::vector<size_t>> places(dataset.classes());
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t label = dataset.LabelAt(order[i]);
    if (places[static_cast<size_t>(label)].empty()) {
      classes.push_back(label);
    }
    places[static_cast<size_t>(label)].push_back(i);
  }
  std::vector<int64_t> front;
  std::vector<bool> taken(order.size(), false);
  for (size_t round = 0; front.size() < count; ++round) {
    for (const int64_t label : classes) {
      const std::vector<size_t>& of_class = places[static_cast<size_t>(label)];
      if (round < of_class.size() && front.size() < count) {
        front.push_back(order[of_class[round]]);
        taken[of_class[round]] = true;
      }
    }
  }
  for (size_t i = 0; i < order.size(); ++i) {
    if (!taken[i]) {
      front.push_back(order[i]);
    }
  }
  order = std::move(front);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskSource>> GroupedSource::Create(
    const v1::GroupedTasks& resolved, std::shared_ptr<const Dataset> dataset) {
  if (dataset == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.grouped needs its data set '", resolved.dataset(), "'"));
  }
  if (!dataset->grouped()) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.grouped: the examples of the data set '",
                                                   resolved.dataset(), "' have no groups"));
  }
  if (resolved.stratified() && dataset->target_size() > 0) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.grouped.stratified is for classes; '",
                                                   resolved.dataset(), "' has targets"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(ClassLists groups, ResolveSplit(*dataset, resolved.split()));
  auto source = std::unique_ptr<GroupedSource>(
      new GroupedSource(resolved, std::move(dataset), std::move(groups)));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<uint32_t>* usable,
                             source->Usable(v1::SPLIT_TRAIN, source->sizes(), "tasks.grouped"));
  LogLeftOut(resolved, source->groups_.train.size(), usable->size());
  if (resolved.standardise()) {
    source->statistics_ = resolved.feature_means().empty()
                              ? ComputeFeatureStatistics(*source->dataset_, source->groups_.train)
                              : FeatureStatisticsOf(resolved);
  }
  return source;
}

TaskSizes GroupedSource::sizes() const {
  return {.ways = 1, .shots = spec_.shots(), .queries = spec_.queries()};
}

TaskShape GroupedSource::shape() const {
  const absl::Span<const int64_t> input = dataset_->example_shape();
  const int64_t targets = dataset_->target_size();
  return {.input = {input.begin(), input.end()},
          .outputs = targets > 0 ? targets : int64_t{dataset_->classes()},
          .classification = targets == 0};
}

absl::StatusOr<const std::vector<uint32_t>*> GroupedSource::Usable(v1::Split split,
                                                                   const TaskSizes& sizes,
                                                                   absl::string_view field) const {
  const absl::MutexLock lock(&mu_);
  const auto key = std::make_tuple(split, sizes.shots, sizes.queries);
  auto found = usable_.find(key);
  if (found == usable_.end()) {
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<uint32_t> usable,
                               UsableGroups(*dataset_, spec_, groups_.Of(split), split, sizes.shots,
                                            sizes.queries, field));
    found = usable_.emplace(key, std::move(usable)).first;
  }
  return &found->second;
}

absl::Status GroupedSource::Check(v1::Split split, const TaskSizes& sizes,
                                  absl::string_view field) const {
  INNERLOOP_RETURN_IF_ERROR(CheckOneWay(sizes, "grouped", field));
  return Usable(split, sizes, field).status();
}

Examples GroupedSource::Allocate(int64_t tasks, int64_t count) const {
  const TaskShape shape = this->shape();
  std::vector<int64_t> sizes = {tasks, count};
  sizes.insert(sizes.end(), shape.input.begin(), shape.input.end());
  const bool pads = spec_.small_groups() == v1::GroupedTasks::SMALL_GROUPS_PAD;
  return {.inputs = at::zeros(sizes),
          .targets = shape.classification ? at::zeros({tasks, count}, at::kLong)
                                          : at::zeros({tasks, count, shape.outputs}),
          .weights = pads ? at::zeros({tasks, count}) : Tensor()};
}

std::vector<int64_t> GroupedSource::Draw(CounterRandom& random, uint32_t group, int64_t support,
                                         int64_t queries) const {
  const int64_t begin = dataset_->group_begin(group);
  const auto examples = static_cast<uint64_t>(dataset_->group_begin(group + 1) - begin);
  const auto wanted = static_cast<uint64_t>(support + queries);
  std::vector<int64_t> order;
  for (const uint64_t place : random.Sample(examples, spec_.stratified() ? examples : wanted)) {
    order.push_back(begin + static_cast<int64_t>(place));
  }
  if (!spec_.stratified()) {
    return order;
  }
  const auto cut = static_cast<size_t>(support);
  TakeTurns(*dataset_, cut, order);
  // In a new order: in the old one, the classes that gave most would stand behind the others.
  std::vector<int64_t> chosen(order.begin(), order.begin() + support);
  for (const uint64_t place : random.Sample(order.size() - cut, static_cast<uint64_t>(queries))) {
    chosen.push_back(order[cut + place]);
  }
  return chosen;
}

void GroupedSource::CopyInputs(int64_t example, float* inputs) const {
  if (dataset_->images()) {
    const absl::Span<const uint8_t> pixels = dataset_->ImageAt(example);
    std::transform(pixels.begin(), pixels.end(), inputs,
                   [](uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  } else {
    const absl::Span<const float> features = dataset_->FeaturesAt(example);
    std::copy(features.begin(), features.end(), inputs);
  }
  statistics_.Apply(inputs);
}

void GroupedSource::Fill(absl::Span<const int64_t> chosen, int64_t task, Examples& examples) const {
  const int64_t first = task * examples.count();
  const int64_t width = examples.inputs.numel() / (examples.tasks() * examples.count());
  float* inputs = examples.inputs.data_ptr<float>() + first * width;
  for (const int64_t example : chosen) {
    CopyInputs(example, inputs);
    inputs += width;
  }
  if (dataset_->target_size() > 0) {
    float* targets = examples.targets.data_ptr<float>() + first * dataset_->target_size();
    for (const int64_t example : chosen) {
      const absl::Span<const float> target = dataset_->TargetAt(example);
      targets = std::copy(target.begin(), target.end(), targets);
    }
  } else {
    auto* labels = examples.targets.data_ptr<int64_t>() + first;
    for (const int64_t example : chosen) {
      *labels++ = dataset_->LabelAt(example);
    }
  }
  if (examples.weights.defined()) {
    std::fill_n(examples.weights.data_ptr<float>() + first, chosen.size(), 1.0F);
  }
}

TaskBatch GroupedSource::Sample(const TaskKey& key, uint64_t first, uint64_t last,
                                const TaskSizes& sizes) const {
  const auto tasks = static_cast<int64_t>(last - first);
  TaskBatch batch{.key = key,
                  .first_task = first,
                  .support = Allocate(tasks, sizes.shots),
                  .query = Allocate(tasks, sizes.queries)};
  // Checked before.
  const std::vector<uint32_t>& groups = *Usable(key.split, sizes, "tasks.grouped").value();
  for (int64_t t = 0; t < tasks; ++t) {
    CounterRandom random = RandomOfTask(key, first + static_cast<uint64_t>(t));
    const uint32_t group = groups[random.Below(groups.size())];
    const int64_t examples = dataset_->group_begin(group + 1) - dataset_->group_begin(group);
    const int64_t support = std::min(sizes.shots, examples - 1);
    const int64_t queries = std::min(sizes.queries, examples - support);
    const std::vector<int64_t> order = Draw(random, group, support, queries);
    const auto cut = static_cast<size_t>(support);
    Fill(absl::MakeConstSpan(order).first(cut), t, batch.support);
    Fill(absl::MakeConstSpan(order).subspan(cut), t, batch.query);
  }
  return batch;
}

}  // namespace innerloop::meta
