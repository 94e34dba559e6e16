// Speed of reading a model's answer (src/text/completion_parser.h): MB/s whole, in pieces of tokens and of bytes.
#include <benchmark/benchmark.h>

#include <string>

#include "text/completion_parser.h"

namespace {

constexpr const char* kTools =
    R"([{"name": "write", "parameters": {"properties": {"path": {"type": "string"}, "text": {"type": "string"}, "data": {"type": "array"}}}}])";

std::string repeated(const std::string& text, size_t size) {
  std::string out;
  while (out.size() < size) out += text;
  return out;
}

std::string call(const std::string& attributes, const std::string& value) {
  return "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"write\">\n<｜DSML｜parameter " + attributes + ">" + value +
         "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>";
}

/// Answers of 4 MB.
std::string answer(int kind) {
  constexpr size_t kSize = 4u << 20;
  const std::string prose = "The quick brown fox jumps over the lazy dog, twice a day.\n\n",
                    code = "  if (a < b) out[\"<i>\"] = '\\n';  // größer\n";
  switch (kind) {
    case 0:
      return repeated(prose, kSize);
    case 1:
      return repeated("快速的棕色狐狸跳过了懒狗。", kSize);
    case 2:
      return call("name=\"text\" string=\"true\"", repeated(code, kSize));
    case 3:
      return call("name=\"data\" string=\"false\"", "[" + repeated("[1, 2.5, \"three\"], ", kSize) + "0]");
    case 4:
      return repeated("< ", kSize);
    default:
      return repeated("<｜DSML｜invoke name=\"x\"> ", kSize);
  }
}

void parse(benchmark::State& state) {
  const std::string text = answer(static_cast<int>(state.range(0)));
  const auto piece = state.range(1) == 0 ? text.size() : static_cast<size_t>(state.range(1));
  dsv4::CompletionOptions options;
  options.thinking = false;
  options.tools = dsv4::CompletionTools::parse(kTools, "tools");
  for (auto _ : state) {
    dsv4::CompletionParser parser(options);
    for (size_t at = 0; at < text.size(); at += piece) benchmark::DoNotOptimize(parser.push(std::string_view(text).substr(at, piece)));
    benchmark::DoNotOptimize(parser.finish(false));
  }
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}

BENCHMARK(parse)->ArgNames({"answer", "piece"})->ArgsProduct({{0, 1, 2, 3, 4, 5}, {0, 4, 1}})->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
