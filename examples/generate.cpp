// The public C++ API in one page: open a model folder, feed a prompt, fork, answer requests. Usage: generate MODEL 1,2,3 [NEW_TOKENS]
#include <dsv4/engine.h>
#include <dsv4/error.h>
#include <dsv4/request.h>
#include <dsv4/session.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::vector<int64_t> ids_of(const std::string& text) {
  std::vector<int64_t> ids;
  std::istringstream in(text);
  for (std::string id; std::getline(in, id, ',');) ids.push_back(std::stoll(id));
  return ids;
}

void print(const char* label, const std::vector<int64_t>& ids) {
  std::printf("%s", label);
  for (size_t i = 0; i < ids.size(); ++i) std::printf("%s%lld", i == 0 ? "" : ",", static_cast<long long>(ids[i]));
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: generate MODEL 1,2,3 [NEW_TOKENS]\n");
    return 2;
  }
  try {
    dsv4::EngineOptions options;
    options.activations = dsv4::ActivationRounding::kF32;  // exact; the default is faster
    options.cache = dsv4::CachePrecision::kF32;
    const dsv4::Engine engine(argv[1], options);  // maps the weights: milliseconds, whatever their size

    // The prompt but for its last token is read once; two continuations go on from there, one greedy and one sampled.
    const std::vector<int64_t> prompt = ids_of(argv[2]);
    dsv4::Session greedy(engine);
    const std::size_t before = prompt.empty() ? 0 : prompt.size() - 1;
    if (before > 0) greedy.feed(std::span(prompt).first(before));
    dsv4::Session sampled = greedy.fork();

    dsv4::Request request;
    request.prompt.assign(prompt.begin() + static_cast<std::ptrdiff_t>(before), prompt.end());
    request.max_new_tokens = argc > 3 ? std::atoll(argv[3]) : 16;
    request.ignore_eos = true;
    print("greedy  ", dsv4::generate(greedy, request).tokens);
    request.sampler = {.temperature = 1.0, .top_p = 0.9, .seed = 7};
    print("sampled ", dsv4::generate(sampled, request).tokens);
  } catch (const std::exception& e) {  // dsv4::Error: one line
    std::fprintf(stderr, "generate: %s\n", e.what());
    return 1;
  }
  return 0;
}
