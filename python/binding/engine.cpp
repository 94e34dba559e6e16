// Engines and tokenizers: a folder opened, what it is, and text to ids and back.
#include <memory>
#include <string_view>

#include "binding.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "cli/engine_options.h"
#include "cli/text_arguments.h"
#include "cli/version.h"
#include "dsv4/engine.h"
#include "runtime/engine_options.h"
#include "text/tokenizer.h"

namespace dsv4::python {

namespace {

EngineOptions read_options(const char* const* words, int64_t count) {
  EngineOptions options;
  CommandLine line("", "dsv4", version_text);
  Command command = line.command("run", "", "");  // which has these options, and more
  add_engine_options(command, options);
  command.option("--context", options.context, "").at_least(0);
  command.flag("--all-logits", options.all_logits, "");
  Arguments arguments("run", words, count);
  line.run(arguments.count(), arguments.words());
  check_options(options);
  return options;
}

std::string facts(const Engine& engine) {
  const nlohmann::ordered_json json = {{"program", program_name(engine.program())},
                                       {"vocab_size", engine.vocab_size()},
                                       {"context", engine.context()},
                                       {"all_logits", engine.options().all_logits},
                                       {"stateful", engine.stateful()},
                                       {"static_length", engine.static_length()},
                                       {"threads", engine.threads()},
                                       {"open_seconds", engine.open_seconds()},
                                       {"prompt_chunk", engine.prompt_chunk()}};
  return json_text(json);
}

}  // namespace

}  // namespace dsv4::python

using namespace dsv4::python;
using dsv4::Engine;
using dsv4::Tokenizer;

DSV4_PYTHON int dsv4_engine_open(const char* folder, const char* const* words, int64_t count, Notice notice, Engine** engine) {
  return guarded([&] {
    dsv4::EngineOptions options = read_options(words, count);
    dsv4::check_form(folder, dsv4::Expected::kModelFolder);
    // For as long as it is opened: the engine keeps its options, Python not the function.
    const auto told = std::make_shared<Notice>(notice);
    options.notice = [told](const std::string& line) {
      if (*told) (*told)(line.c_str());
    };
    auto opened = std::make_unique<Engine>(folder, options);
    *told = nullptr;
    *engine = opened.release();
  });
}
DSV4_PYTHON void dsv4_engine_close(Engine* engine) { delete engine; }
DSV4_PYTHON int dsv4_engine_facts(const Engine* engine, const char** json) {
  return guarded([&] { *json = handed_out(facts(*engine)); });
}
DSV4_PYTHON int dsv4_engine_is_end(const Engine* engine, int64_t token) { return engine->is_end(token) ? 1 : 0; }

DSV4_PYTHON int dsv4_tokenizer_open(const char* folder, Tokenizer** tokenizer) {
  return guarded([&] {
    dsv4::check_form(folder, dsv4::Expected::kModelFolder);
    *tokenizer = new Tokenizer(folder);
  });
}
DSV4_PYTHON void dsv4_tokenizer_close(Tokenizer* tokenizer) { delete tokenizer; }
DSV4_PYTHON int dsv4_tokenizer_encode(const Tokenizer* tokenizer, const char* text, int64_t bytes, int add_bos, const int64_t** ids,
                                      int64_t* count) {
  return guarded([&] {
    const std::string_view whole(text, static_cast<size_t>(bytes));
    const std::vector<int64_t>& out = handed_out(dsv4::text_tokens(*tokenizer, whole, add_bos == 0));
    *ids = out.data();
    *count = std::ssize(out);
  });
}
DSV4_PYTHON int dsv4_tokenizer_decode(const Tokenizer* tokenizer, const int64_t* ids, int64_t count, int skip_special, const char** text,
                                      int64_t* bytes) {
  return guarded([&] {
    std::string out = tokenizer->decode({ids, static_cast<size_t>(count)}, skip_special != 0);
    *bytes = std::ssize(out);
    *text = handed_out(std::move(out));
  });
}
