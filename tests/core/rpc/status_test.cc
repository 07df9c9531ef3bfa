#include "core/rpc/status.h"

#include <gtest/gtest.h>

namespace innerloop {
namespace {

TEST(StatusTest, EveryCodeSurvivesTheWayToGrpcAndBack) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status) << code;
  }
  EXPECT_EQ(ToGrpc(absl::NotFoundError("no job 'x'")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToGrpc(absl::NotFoundError("no job 'x'")).error_message(), "no job 'x'");
}

TEST(StatusTest, WhatTheOtherSideSaidIsToldFromWhatGrpcSays) {
  EXPECT_TRUE(IsAnswer(ToGrpc(absl::UnavailableError("no workers are connected"))));
  EXPECT_FALSE(IsAnswer(grpc::Status(grpc::StatusCode::UNAVAILABLE, "failed to connect")));
}

}  // namespace
}  // namespace innerloop
