// convert(): the command of the program with all its options, in Python's process.
#include "binding.h"
#include "checkpoint/json_text.h"
#include "cli/commands.h"
#include "cli/convert_host.h"
#include "cli/version.h"

namespace dsv4::python {

namespace {

std::string report_text(const ConvertReport& report) {
  nlohmann::ordered_json json;
  json["weights"] = report.weights;
  json["checkpoint_bytes"] = report.checkpoint_bytes;
  json["bin_bytes"] = report.bin_bytes;
  json["xml_bytes"] = report.xml_bytes;
  json["seconds"] = report.seconds;
  json["forms"] = nlohmann::ordered_json::array();
  for (const FormSummary& form : report.forms) {
    json["forms"].push_back({{"published", form.published},
                             {"stored", form.stored},
                             {"tensors", form.tensors},
                             {"bytes_read", form.bytes_read},
                             {"bytes_written", form.bytes_written}});
  }
  return json_text(json);
}

}  // namespace

}  // namespace dsv4::python

using namespace dsv4::python;

/// `words`: what the program would get behind "convert". `report`: JSON, until the thread's next call.
DSV4_PYTHON int dsv4_convert(const char* const* words, int64_t count, Stop* stop, Progress progress, Notice notice, const char** report) {
  return guarded([&] {
    dsv4::ConvertHost host;
    host.stop = &stop->flag;
    if (progress) host.progress = progress;
    host.notice = [notice](const std::string& text) {
      if (notice) notice(text.c_str());
    };
    dsv4::CommandLine line("", "dsv4", dsv4::version_text);
    dsv4::add_convert_command(line, &host);
    Arguments arguments("convert", words, count);
    line.run(arguments.count(), arguments.words());
    *report = handed_out(report_text(host.report));
  });
}
