// dsv4: the program. Data on stdout, notices and errors on stderr; exit 0 done, 1 cannot be done, 2 wrong usage.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string_view>

#include "checkpoint/map_guard.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/crash_guard.h"
#include "cli/help.h"
#include "cli/messages.h"
#include "cli/version.h"
#include "dsv4/error.h"

namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;

int report(std::string_view text, int code) {
  dsv4::print_error(text);
  return code;
}

/// A full disk behind stdout must not look like success.
int flush_output() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0) return report("standard output cannot be written", kExitError);
  return 0;
}

int run(int argc, char** argv) {
  dsv4::CommandLine line("DeepSeek-V4 checkpoints as OpenVINO models", "dsv4", dsv4::version_text);
  dsv4::add_synth_command(line);
  dsv4::add_inspect_command(line);
  dsv4::add_convert_command(line);
  dsv4::add_verify_command(line);
  dsv4::add_run_command(line);
  dsv4::add_chat_command(line);
  dsv4::add_serve_command(line);
  dsv4::add_perplexity_command(line);
  dsv4::add_tokenize_command(line);
  dsv4::add_detokenize_command(line);
  dsv4::add_encode_chat_command(line);
  dsv4::add_parse_chat_command(line);
  dsv4::add_bench_command(line);
  dsv4::add_completion_command(line);
  dsv4::add_help_command(line);
  line.run(argc, argv);
  return flush_output();
}

}  // namespace

int main(int argc, char** argv) {
  // SIGPIPE keeps its default action, also below a parent that ignores it: `dsv4 inspect X | head` ends quietly.
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over `ulimit -f` is an error of the write, with its line
  dsv4::report_unreadable_maps();
  dsv4::report_crashes();
  try {
    return run(argc, argv);
  } catch (const dsv4::UsageError& error) {
    return report(error.what(), kExitUsage);
  } catch (const std::exception& error) {
    return report(dsv4::error_text(error), kExitError);
  }
}
