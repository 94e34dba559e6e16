// The subcommands of dsv4: each file below src/cli adds its own to the program.
#pragma once

#include "cli/command_line.h"

namespace dsv4 {

struct ConvertHost;

void add_inspect_command(CommandLine& line);
void add_synth_command(CommandLine& line);
/// `host`: converts in a process of its own (cli/convert_host.h); null: the program.
void add_convert_command(CommandLine& line, ConvertHost* host = nullptr);
void add_verify_command(CommandLine& line);
void add_run_command(CommandLine& line);
void add_chat_command(CommandLine& line);
void add_perplexity_command(CommandLine& line);
void add_tokenize_command(CommandLine& line);
void add_detokenize_command(CommandLine& line);
void add_encode_chat_command(CommandLine& line);
void add_parse_chat_command(CommandLine& line);
void add_serve_command(CommandLine& line);
void add_bench_command(CommandLine& line);

}  // namespace dsv4
