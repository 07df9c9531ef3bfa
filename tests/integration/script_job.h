// A job on sinusoids with a TorchScript model, and its file.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/support/checksum.h"
#include "tests/core/meta/script_files.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::integration {

// 1-8-1 with tanh. `extra` are lines of forward's body, before the outputs are computed.
inline void WritePerceptron(const std::string& path, const std::string& extra = "") {
  torch::manual_seed(7);
  meta::WriteScript(path,
                    {{"w1", torch::randn({1, 8})},
                     {"b1", torch::randn({8})},
                     {"w2", torch::randn({8, 1}) * 0.3},
                     {"b2", torch::zeros({1})}},
                    absl::StrCat("def forward(self, x):\n", extra,
                                 "  x = torch.tanh(torch.matmul(x, self.w1) + self.b1)\n"
                                 "  return torch.matmul(x, self.w2) + self.b2\n"));
}

// A job file's text.
inline std::string ScriptJob(const std::string& model, int iterations) {
  return absl::StrCat("model { torchscript { ", model,
                      " } }\n"
                      "tasks { sinusoid { } }\n"
                      "algorithm { maml { inner_steps: 1 inner_optimizer { sgd { learning_rate: "
                      "0.01 } } } }\n"
                      "meta_batch: 8\ntasks_per_shard: 2\niterations: ",
                      iterations, "\nevaluation { final { episodes: 20 inner_steps: 2 } }\n");
}

}  // namespace innerloop::integration
