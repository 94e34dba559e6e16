// dsv4: the program. Data on stdout, notices and errors on stderr; exit 0 done, 1 cannot be done, 2 wrong usage.
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "checkpoint/map_guard.h"
#include "cli/commands.h"
#include "dsv4/error.h"

#ifndef DSV4_VERSION
#error "the build defines DSV4_VERSION"
#endif

namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;

/// One line, whatever the message quotes.
int report(std::string line, int code) {
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  std::fflush(stdout);
  std::cout.flush();
  std::fprintf(stderr, "dsv4: error: %s\n", line.c_str());
  return code;
}

/// A full disk behind stdout must not look like success.
int flush_output() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0) return report("standard output cannot be written", kExitError);
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app("DeepSeek-V4 checkpoints as OpenVINO models", "dsv4");
  app.set_version_flag("--version", "dsv4 " DSV4_VERSION);
  app.require_subcommand(1);
  dsv4::add_synth_command(app);
  dsv4::add_inspect_command(app);
  dsv4::add_convert_command(app);
  dsv4::add_verify_command(app);
  dsv4::add_run_command(app);
  dsv4::add_perplexity_command(app);
  dsv4::add_bench_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::RequiredError& error) {
    // CLI11 reports a mistyped subcommand as one that is missing.
    if (app.get_subcommands().empty() && !app.remaining().empty()) {
      return report("no such subcommand or option: " + app.remaining().front() + "; see dsv4 --help", kExitUsage);
    }
    return report(std::string(error.what()) + "; see dsv4 --help", kExitUsage);
  } catch (const CLI::ParseError& error) {
    return report(std::string(error.what()) + "; see dsv4 --help", kExitUsage);
  }
  return flush_output();
}

}  // namespace

int main(int argc, char** argv) {
  // SIGPIPE keeps its default action, also below a parent that ignores it: `dsv4 inspect X | head` ends quietly.
  std::signal(SIGPIPE, SIG_DFL);
  dsv4::report_unreadable_maps();
  try {
    return run(argc, argv);
  } catch (const dsv4::UsageError& error) {
    return report(error.what(), kExitUsage);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kExitError);
  } catch (const std::exception& error) {
    return report(error.what(), kExitError);
  }
}
