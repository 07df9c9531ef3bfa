// The service for users over real stores and a coordinator that runs nothing.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/rpc/channel_arguments.h"
#include "server/service/training_service.h"
#include "tests/server/service/fake_coordinator.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {

class TrainingServiceTest : public ::testing::Test {
 protected:
  TrainingServiceTest()
      : state_(*StateStore::Open(folder_.path())),
        tokens_(*TokenStore::Open(folder_.path(), Clock::Real())),
        checkpoints_(folder_.path(), FileSystem::Real()),
        data_sets_(folder_.path(), /*quota=*/64 << 20, *state_),
        recorder_(*state_, checkpoints_, Clock::Real()),
        service_(OptionsFor(folder_.path()), {.coordinator = coordinator_,
                                              .state = *state_,
                                              .checkpoints = checkpoints_,
                                              .data_sets = data_sets_,
                                              .recorder = recorder_,
                                              .gate = gate_}) {
    grpc::ServerBuilder builder;
    SetServerArguments(builder);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Training::NewStub(server_->InProcessChannel(ClientArguments()));
  }
  static Options OptionsFor(const std::string& state_dir) {
    Options options;
    options.state_dir = state_dir;
    options.max_checkpoint_bytes = 1 << 20;
    return options;
  }
  void Put(const std::string& id, v1::JobState state) {
    v1::Job job = JobNamed(id);
    job.set_state(state);
    coordinator_.Put(job);
    ASSERT_TRUE(state_->InsertJob(job, "").ok());
  }
  TemporaryFolder folder_;
  FakeCoordinator coordinator_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<TokenStore> tokens_;
  Gate gate_{*tokens_, Gate::Mode::kLoopback};
  CheckpointStore checkpoints_;
  DataSetStore data_sets_;
  Recorder recorder_;
  TrainingService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Training::Stub> stub_;
  grpc::ClientContext context_;
};

}  // namespace innerloop::server
