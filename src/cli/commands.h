// The subcommands of dsv4: each file below src/cli adds its own to the program.
#pragma once

#include <CLI/CLI.hpp>

namespace dsv4 {

void add_inspect_command(CLI::App& app);
void add_synth_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_verify_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_perplexity_command(CLI::App& app);
void add_bench_command(CLI::App& app);

}  // namespace dsv4
