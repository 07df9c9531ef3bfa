// Job files, and the completion of what they say.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <google/protobuf/util/message_differencer.h>

#include "core/job/job_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = innerloop::ParseJobSpec(text, "fuzz");
  if (!spec.ok()) {
    return 0;
  }
  innerloop::v1::DataSetDescription data_set;
  data_set.set_name("omniglot");
  data_set.set_sha256(std::string(64, 'a'));
  data_set.set_examples(32460);
  for (const int64_t dimension : {28, 28, 1}) {
    data_set.add_example_shape(dimension);
  }
  data_set.set_dtype("uint8");
  data_set.set_classes(1623);
  data_set.set_groups(50);
  data_set.set_smallest_class(20);
  const auto* const known = innerloop::DataSetOf(*spec).has_value() ? &data_set : nullptr;
  const auto resolved = innerloop::ResolveJobSpec(*spec, known);
  if (resolved.ok()) {
    // As its comment promises: resolving a resolved spec changes nothing.
    const auto again = innerloop::ResolveJobSpec(*resolved, known);
    std::string difference;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    if (!again.ok() || !differencer.Compare(*resolved, *again)) {
      std::cerr << again.status() << "\n" << difference;
      std::abort();
    }
    (void)innerloop::ShapeOfTasks(*resolved, known);
  }
  return 0;
}
