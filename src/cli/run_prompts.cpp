// Lines in, requests to the scheduler, lines out.
#include "cli/run_prompts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/engine_options.h"
#include "cli/finished_lines.h"
#include "cli/line_reader.h"
#include "cli/messages.h"
#include "cli/number_text.h"
#include "cli/progress.h"
#include "cli/prompt_line.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"
#include "dsv4/scheduler.h"
#include "runtime/expert_report.h"
#include "text/text_until_stop.h"
#include "text/tokenizer.h"

namespace dsv4 {

namespace {

constexpr size_t kMostErrorBytes = 1900;  // as in messages

std::unique_ptr<Tokenizer> tokenizer_of(const PromptsArguments& arguments) {
  std::unique_ptr<Tokenizer> tokenizer;
  std::error_code error;
  if (std::filesystem::exists(arguments.model / "openvino_tokenizer.xml", error)) tokenizer = std::make_unique<Tokenizer>(arguments.model);
  if (!tokenizer && !arguments.stop.empty())
    fail("--stop: ", path_text(arguments.model), " has no tokenizer; end texts with --stop-token, or convert with a tokenizer");
  return tokenizer;
}

/// Whether standard output is this file.
bool is_output(const std::filesystem::path& file) {
  struct stat output {
  }, other{};
  return ::fstat(STDOUT_FILENO, &output) == 0 && ::stat(file.c_str(), &other) == 0 && output.st_dev == other.st_dev &&
         output.st_ino == other.st_ino;
}

/// What is generated for a line.
struct Answer {
  int64_t index = 0;
  std::string id;
  int64_t bytes = 0;  // of the line
  std::optional<TextUntilStop> stream;
  std::string text;
};

class PromptsRun {
 public:
  explicit PromptsRun(const PromptsArguments& arguments)
      : arguments_(arguments),
        finished_(arguments.resume.empty() ? FinishedLines() : read_finished_lines(arguments.resume)),
        reader_(arguments.prompts, kMostLineBytes),
        tokenizer_(tokenizer_of(arguments)),
        engine_(open_engine(arguments.model, arguments.engine, arguments.quiet)),
        scheduler_(engine_, scheduler_options(arguments)) {
    // Behind a line that was cut the next one would be damaged too.
    if (finished_.cut && is_output(arguments.resume)) print("\n");
  }

  void run() {
    if (!arguments_.quiet) progress_.emplace("prompts");
    start_ = std::chrono::steady_clock::now();
    bool more = true;
    do {
      more = more && read_ahead();
    } while (scheduler_.step() || more);
    progress_.reset();
    save_expert_profile(engine_);
    if (!arguments_.quiet) print_notice(summary());
    if (failed_ > 0) fail(failed_, " of ", index_, " lines ended in an error; the output says which (\"index\", from 0) and why");
  }

 private:
  static SchedulerOptions scheduler_options(const PromptsArguments& arguments) {
    SchedulerOptions options;
    options.parallel = arguments.parallel;
    return options;
  }

  /// Takes lines in until as many wait as run; false at the end of the input.
  bool read_ahead() {
    while (true) {
      const int64_t unfinished = scheduler_.counts().unfinished;
      if (unfinished >= 2 * arguments_.parallel) return true;
      Line line;
      const int64_t before = reader_.bytes_read();
      const LineReader::Found found = reader_.next(line, unfinished == 0);
      if (found == LineReader::Found::kEnd) return false;
      if (found == LineReader::Found::kNotYet) return true;
      take(line, reader_.bytes_read() - before);
    }
  }

  void take(const Line& line, int64_t bytes) {
    const int64_t index = index_++;
    const bool blank = !line.too_long && line.text.find_first_not_of(" \t\r") == std::string::npos;
    if (blank || finished_.done.contains(index)) {
      if (!blank) ++skipped_;
      bytes_skipped_ += bytes;
      return;
    }
    try {
      if (line.too_long) fail("the line has more than ", kMostLineBytes, " bytes");
      submit(line.text, index, bytes);
    } catch (const Error& error) {
      print_error_line(index, error.what());
      bytes_done_ += bytes;
    }
  }

  void submit(const std::string& text, int64_t index, int64_t bytes) {
    PromptLine line = read_prompt_line(text, arguments_.defaults, arguments_.stop);
    if (!tokenizer_ && (line.prompt || !line.stop.empty()))
      fail(line.prompt ? "prompt" : "stop", ": the model folder has no tokenizer; give \"tokens\"",
           line.prompt ? "" : ", without \"stop\"");
    if (line.prompt) line.request.prompt = text_tokens(*tokenizer_, *line.prompt, arguments_.no_bos);
    if (line.request.prompt.empty()) fail("prompt: has no token; expected some text");
    const auto answer = std::make_shared<Answer>();
    answer->index = index;
    answer->id = std::move(line.id);
    answer->bytes = bytes;
    if (tokenizer_) answer->stream.emplace(*tokenizer_, line.stop);
    line.request.on_token = [this, answer](int64_t token) {
      ++new_tokens_;
      if (answer->stream) answer->text += answer->stream->push(token);
    };
    line.request.ends_after = [answer](int64_t) { return answer->stream && answer->stream->stopped(); };
    prompt_tokens_ += std::ssize(line.request.prompt);
    Job job;
    job.requests.push_back(std::move(line.request));
    job.on_end = [this, answer](uint64_t, const Outcome& outcome) { end(*answer, outcome); };
    scheduler_.submit(std::move(job));
  }

  void end(Answer& answer, const Outcome& outcome) {
    bytes_done_ += answer.bytes;
    if (outcome.end == End::kFailed) return print_error_line(answer.index, outcome.error);
    nlohmann::ordered_json json = {{"index", answer.index}};
    if (!answer.id.empty()) json["id"] = parse_json(answer.id);
    json["tokens"] = outcome.generated.tokens;
    if (answer.stream) json["text"] = answer.text + answer.stream->finish();
    json["finish_reason"] = finish_reason(outcome.generated);
    ++done_;
    print(json_text(json) + "\n");
    show_progress();
  }

  void print_error_line(int64_t index, const std::string& why) {
    ++failed_;
    print(json_text({{"index", index}, {"error", shortened(escaped(why), kMostErrorBytes)}}) + "\n");
    show_progress();
  }

  /// At once, so that what is finished stays when the run is interrupted; a disk that is full ends it.
  static void print(const std::string& line) {
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0)
      fail("standard output cannot be written; free some space, and go on with --resume");
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  void show_progress() {
    if (!progress_) return;
    std::optional<double> share;
    const int64_t all = reader_.bytes().value_or(0) - bytes_skipped_;
    if (all > 0) share = static_cast<double>(bytes_done_) / static_cast<double>(all);
    progress_->update(share, counts_text());
  }

  std::string counts_text() const {
    std::string text = concat(done_, " done");
    if (failed_ > 0) text += concat(", ", failed_, " with an error");
    if (skipped_ > 0) text += concat(", ", skipped_, " done before");
    return text + concat(", ", three_digits(static_cast<double>(new_tokens_) / seconds()), " tokens/s");
  }

  std::string summary() const {
    std::string text = concat("prompts: ", counts_text(), ": ", prompt_tokens_, " prompt tokens and ", new_tokens_, " new ones in ",
                              three_digits(seconds()), " s");
    if (finished_.damaged > 0) text += concat("; ", finished_.damaged, " lines of --resume that were cut ran again");
    return text;
  }

  const PromptsArguments& arguments_;
  FinishedLines finished_;
  LineReader reader_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Engine engine_;
  Scheduler scheduler_;
  std::optional<Progress> progress_;
  std::chrono::steady_clock::time_point start_;
  int64_t index_ = 0;  // of the next line
  int64_t done_ = 0, failed_ = 0, skipped_ = 0;
  int64_t prompt_tokens_ = 0, new_tokens_ = 0;
  int64_t bytes_done_ = 0, bytes_skipped_ = 0;
};

}  // namespace

void run_prompts(const PromptsArguments& arguments) {
  check_form(arguments.model, Expected::kModelFolder);
  PromptsRun(arguments).run();
}

}  // namespace dsv4
