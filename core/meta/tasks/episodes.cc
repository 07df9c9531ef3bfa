#include "core/meta/tasks/episodes.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/usable_classes.h"
#include "core/meta/tasks/drawing.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// v / 255, correctly rounded, by look-up: a division per pixel would take longer than the rest.
const std::array<float, 256>& PixelValues() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> table{};
    for (size_t v = 0; v < table.size(); ++v) {
      table[v] = static_cast<float>(v) / 255.0F;
    }
    return table;
  }();
  return values;
}

// Where the pixels of a rotated image lie in the original: pixel (i, j) at base + i * row + j *
// column, counted in pixels of a `size` x `size` image.
struct Walk {
  int64_t base;
  int64_t row;
  int64_t column;
};

Walk WalkOf(int turns, int64_t size) {
  switch (turns) {
    case 1:
      return {size - 1, -1, size};
    case 2:
      return {size * size - 1, -size, -1};
    case 3:
      return {(size - 1) * size, 1, -size};
    default:
      return {0, size, 1};
  }
}

Examples Allocate(const TaskShape& shape, int64_t tasks, int64_t count) {
  std::vector<int64_t> sizes = {tasks, count};
  sizes.insert(sizes.end(), shape.input.begin(), shape.input.end());
  return {.inputs = torch::empty(sizes), .targets = torch::empty({tasks, count}, torch::kInt64)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskSource>> EpisodeSource::Create(
    const v1::EpisodeTasks& resolved, std::shared_ptr<const Dataset> dataset) {
  if (dataset == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes needs its data set '", resolved.dataset(), "'"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(ClassLists lists, ResolveSplit(*dataset, resolved.split()));
  const bool rotated = resolved.rotations() == v1::EpisodeTasks::ROTATIONS_AUGMENT ||
                       resolved.rotations() == v1::EpisodeTasks::ROTATIONS_CLASSES;
  const absl::Span<const int64_t> shape = dataset->example_shape();
  if (rotated && (!dataset->images() || shape[0] != shape[1])) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tasks.episodes.rotations needs square images; the data set '", resolved.dataset(),
        "' has ", dataset->images() ? absl::StrCat(shape[0], "x", shape[1]) : "features"));
  }
  auto source = std::unique_ptr<EpisodeSource>(
      new EpisodeSource(resolved, std::move(dataset), std::move(lists)));
  // Whether validation and test classes suffice depends on the protocols that use them.
  INNERLOOP_RETURN_IF_ERROR(source->Check(v1::SPLIT_TRAIN, source->sizes(), "tasks.episodes"));
  for (const v1::Split split : {v1::SPLIT_TRAIN, v1::SPLIT_VALIDATION, v1::SPLIT_TEST}) {
    source->parts_[static_cast<size_t>(split)] = source->MakePart(split);
  }
  return source;
}

EpisodeSource::Part EpisodeSource::MakePart(v1::Split split) const {
  const int turns = RotationsPerClass(spec_, split);
  Part groups(spec_.within_group() ? dataset_->group_names().size() : 1);
  for (const uint32_t index : lists_.Of(split)) {
    const size_t group = spec_.within_group() ? dataset_->class_groups()[index] : 0;
    for (int turn = 0; turn < turns; ++turn) {
      groups[group].push_back({index, turn});
    }
  }
  return groups;
}

TaskSizes EpisodeSource::sizes() const {
  return {.ways = spec_.ways(), .shots = spec_.shots(), .queries = spec_.queries()};
}

TaskShape EpisodeSource::shape() const {
  const absl::Span<const int64_t> input = dataset_->example_shape();
  return {.input = {input.begin(), input.end()}, .outputs = spec_.ways(), .classification = true};
}

absl::Status EpisodeSource::Check(v1::Split split, const TaskSizes& sizes,
                                  absl::string_view field) const {
  if (sizes.ways < 2 || sizes.shots < 1 || sizes.queries < 1) {
    return absl::InvalidArgumentError(absl::StrCat(field, " asks for ", sizes.ways, " ways, ",
                                                   sizes.shots, " shots and ", sizes.queries,
                                                   " queries; at least 2, 1 and 1 are needed"));
  }
  return CheckClasses(*dataset_, spec_, lists_.Of(split), split, sizes.ways, sizes.shots,
                      sizes.queries, field);
}

TaskBatch EpisodeSource::Sample(const TaskKey& key, uint64_t first, uint64_t last,
                                const TaskSizes& sizes) const {
  const auto tasks = static_cast<int64_t>(last - first);
  TaskBatch batch{.key = key,
                  .first_task = first,
                  .support = Allocate(shape(), tasks, sizes.ways * sizes.shots),
                  .query = Allocate(shape(), tasks, sizes.ways * sizes.queries)};
  auto* support_inputs = batch.support.inputs.data_ptr<float>();
  auto* support_labels = batch.support.targets.data_ptr<int64_t>();
  auto* query_inputs = batch.query.inputs.data_ptr<float>();
  auto* query_labels = batch.query.targets.data_ptr<int64_t>();

  const Part& groups = parts_[static_cast<size_t>(key.split)];
  const auto ways = static_cast<uint64_t>(sizes.ways);
  uint64_t eligible = 0;  // classes in groups that are large enough
  for (const auto& group : groups) {
    eligible += group.size() >= ways ? group.size() : 0;
  }
  int64_t support_row = 0;
  int64_t query_row = 0;
  for (uint64_t task = first; task < last; ++task) {
    CounterRandom random = RandomOfTask(key, task);
    const std::vector<RotatedClass>* classes = &groups.front();
    if (spec_.within_group()) {
      uint64_t place = random.Below(eligible);
      for (const auto& group : groups) {
        classes = &group;
        const uint64_t size = group.size() >= ways ? group.size() : 0;
        if (place < size) {
          break;
        }
        place -= size;
      }
    }
    const std::vector<uint64_t> drawn = random.Sample(classes->size(), ways);
    for (int64_t label = 0; label < sizes.ways; ++label) {
      RotatedClass chosen = (*classes)[drawn[static_cast<size_t>(label)]];
      if (spec_.rotations() == v1::EpisodeTasks::ROTATIONS_AUGMENT) {
        chosen.turns = static_cast<int>(random.NextU32() >> 30);
      }
      CounterRandom order = RandomOfTask(
          {.seed = random.NextU64(), .split = key.split, .iteration = key.iteration}, task);
      const int64_t begin = dataset_->class_begin(chosen.index);
      const auto population =
          static_cast<uint64_t>(dataset_->class_begin(chosen.index + 1) - begin);
      const std::vector<uint64_t> examples =
          order.Sample(population, static_cast<uint64_t>(sizes.shots + sizes.queries));
      for (size_t i = 0; i < examples.size(); ++i) {
        const int64_t example = begin + static_cast<int64_t>(examples[i]);
        if (i < static_cast<size_t>(sizes.shots)) {
          CopyExample(example, chosen.turns, support_row, support_inputs);
          support_labels[support_row++] = label;
        } else {
          CopyExample(example, chosen.turns, query_row, query_inputs);
          query_labels[query_row++] = label;
        }
      }
    }
  }
  return batch;
}

void EpisodeSource::CopyExample(int64_t example, int turns, int64_t row, float* inputs) const {
  if (!dataset_->images()) {
    const absl::Span<const float> values = dataset_->FeaturesAt(example);
    std::memcpy(inputs + row * static_cast<int64_t>(values.size()), values.data(),
                values.size() * sizeof(float));
    return;
  }
  const absl::Span<const uint8_t> pixels = dataset_->ImageAt(example);
  const std::array<float, 256>& value = PixelValues();
  float* to = inputs + row * static_cast<int64_t>(pixels.size());
  if (turns == 0) {
    for (const uint8_t pixel : pixels) {
      *to++ = value[pixel];
    }
    return;
  }
  const int64_t size = dataset_->example_shape()[0];
  const int64_t channels = dataset_->example_shape()[2];
  const Walk walk = WalkOf(turns, size);
  for (int64_t i = 0; i < size; ++i) {
    const uint8_t* from = pixels.data() + (walk.base + i * walk.row) * channels;
    for (int64_t j = 0; j < size; ++j, from += walk.column * channels) {
      for (int64_t channel = 0; channel < channels; ++channel) {
        *to++ = value[from[channel]];
      }
    }
  }
}

}  // namespace innerloop::meta
