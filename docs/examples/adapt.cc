#include <cstdio>
#include <string>

#include "client/api/adaptation_client.h"

// adapt HOST:PORT JOB: tells light from dark by one image of each.
int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  innerloop::client::Cancellation cancellation;
  innerloop::client::AdaptationClient client({.coordinator = argv[1]}, cancellation);
  innerloop::v1::AdaptRequest request;
  request.set_checkpoint(argv[2]);
  innerloop::v1::Examples& images = *request.mutable_support()->mutable_inputs();
  for (const int length : {28, 28, 1}) {  // what Describe says, prepared as it says
    images.add_shape(length);
  }
  *request.mutable_queries() = images;
  images.set_uint8(std::string(784, '\xE0') + std::string(784, '\x10'));
  request.mutable_support()->add_labels(0);
  request.mutable_support()->add_labels(1);
  request.mutable_queries()->set_uint8(std::string(784, '\xD0'));
  const auto response = client.Adapt(request);
  if (!response.ok()) {
    std::fprintf(stderr, "%s\n", std::string(response.status().message()).c_str());
    return 1;
  }
  std::printf("light: %.1f %%\n", 100 * response->predictions().values(0));
  return 0;
}
