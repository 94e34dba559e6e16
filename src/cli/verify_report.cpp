// Printing of comparisons.
#include "cli/verify_report.h"

#include <cstdio>
#include <vector>

#include "checkpoint/json_text.h"
#include "cli/number_text.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kLabel = 18, kColumn = 24;

/// One kind of comparison of a program: what it is against, and the numbers.
struct Column {
  std::string title, subtitle;
  LogitDifference d;
  const JudgedLogits* judged = nullptr;
};

std::vector<Column> columns_of(const ProgramReport& program) {
  std::vector<Column> columns = {{"weights as published", "(error of the format)", program.format, nullptr},
                                 {"weights as stored", "(error of the program)", program.ir.difference, &program.ir}};
  if (program.rounding) columns.push_back({"itself, default rounding", "(int8 activations, bf16 cache)", *program.rounding, nullptr});
  return columns;
}

struct Row {
  std::string label;
  std::vector<std::string> cells;
};

std::vector<Row> rows_of(const std::vector<Column>& columns) {
  std::vector<Row> rows;
  const auto number = [&](const char* label, double LogitDifference::*value) {
    rows.push_back({label, {}});
    for (const Column& column : columns) rows.back().cells.push_back(three_digits(column.d.*value));
  };
  number("max |logit|", &LogitDifference::max_logit);
  number("max difference", &LogitDifference::max);
  number("mean difference", &LogitDifference::mean);
  number("KL divergence", &LogitDifference::kl);
  rows.push_back({"greedy match", {}});
  for (const Column& column : columns) rows.back().cells.push_back(concat(column.d.greedy_match, " of ", column.d.rows));
  rows.push_back({"near ties", {}});
  for (const Column& column : columns) {
    const JudgedLogits* judged = column.judged;
    rows.back().cells.push_back(judged == nullptr        ? "-"
                                : judged->near_ties == 0 ? "none"
                                                         : concat(judged->near_ties, " rows, up to ", three_digits(judged->near_tie_max)));
  }
  return rows;
}

/// Cells below each other; none ends in spaces.
std::string line_of(const std::string& label, const std::vector<std::string>& cells) {
  std::string line = label;
  size_t width = kLabel;
  for (const std::string& cell : cells) {
    line.resize(std::max(width, line.size() + 1), ' ');
    line += cell;
    width += kColumn;
  }
  return line + "\n";
}

std::string table_of(const char* name, const ProgramReport& program) {
  const std::vector<Column> columns = columns_of(program);
  Row titles{name, {}}, subtitles{"logits against", {}};
  for (const Column& column : columns) {
    titles.cells.push_back(column.title);
    subtitles.cells.push_back(column.subtitle);
  }
  std::string text = "\n" + line_of(titles.label, titles.cells) + line_of(subtitles.label, subtitles.cells);
  for (const Row& row : rows_of(columns)) text += line_of(row.label, row.cells);
  return text;
}

Json to_json(const LogitDifference& d) {
  return {{"max_logit", d.max_logit},
          {"max_difference", d.max},
          {"mean_difference", d.mean},
          {"kl_divergence", d.kl},
          {"greedy_match", d.greedy_match}};
}

void add_program(Json& json, const ProgramReport& program) {
  json["against_checkpoint"] = to_json(program.format);
  Json& prediction = json["against_prediction"] = to_json(program.ir.difference);
  prediction["allowed_difference"] = program.ir.allowed;
  prediction["near_ties"] = {
      {"rows", program.ir.near_ties}, {"rows_allowed", program.ir.near_ties_allowed}, {"max_difference", program.ir.near_tie_max}};
  if (program.rounding) json["default_rounding"] = to_json(*program.rounding);
}

std::string markdown_row(const std::string& label, const std::vector<std::string>& cells) {
  std::string row = "| " + label + " |";
  for (const std::string& cell : cells) row += " " + cell + " |";
  return row + "\n";
}

std::string markdown_table(const char* name, const ProgramReport& program) {
  const std::vector<Column> columns = columns_of(program);
  std::vector<std::string> titles, rule;
  for (const Column& column : columns) {
    titles.push_back(column.title + " " + column.subtitle);
    rule.push_back("---");
  }
  std::string text = concat(name, "\n\n", markdown_row("logits against", titles), markdown_row("---", rule));
  for (const Row& row : rows_of(columns)) text += markdown_row(row.label, row.cells);
  return text + "\n";
}

}  // namespace

void print_table(const VerifyReport& report) {
  std::string text = line_of("tokens", {concat(report.tokens, ", ", report.input)});
  const char* label = "tensors";
  for (const auto& [name, count] : report.formats) {
    text += line_of(label, {concat(count, " ", name)});
    label = "";
  }
  if (report.portable) text += table_of("portable program", *report.portable);
  if (report.cpu) text += table_of("CPU program", *report.cpu);
  std::fputs(text.c_str(), stdout);
}

void print_json(const VerifyReport& report) {
  Json json;
  json["tokens"] = report.tokens;
  json["input"] = report.input;
  json["tensors"] = report.formats;
  if (report.portable) add_program(json, *report.portable);
  if (report.cpu) add_program(json["cpu"], *report.cpu);
  json["passed"] = report.passed();
  std::printf("%s\n", json_text(json).c_str());
}

std::string card_text(const VerifyReport& report) {
  std::string text =
      concat("`dsv4 verify`, ", report.tokens, " tokens (", report.input, "), logits against a plain forward pass of the checkpoint:\n\n");
  if (report.portable) text += markdown_table("The portable program (`openvino_model.xml`), float32:", *report.portable);
  if (report.cpu) text += markdown_table("The CPU program (`dsv4 run`), float32 activations and cache:", *report.cpu);
  text.pop_back();
  return text;
}

}  // namespace dsv4
