// One pointer, which a signal handler may read.
#include "checkpoint/blamed_file.h"

#include <atomic>

#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

std::atomic<const char*> current = nullptr;

}  // namespace

BlamedFile::BlamedFile(const std::filesystem::path& file) : text_(path_text(file)), before_(current.exchange(text_.c_str())) {}

BlamedFile::~BlamedFile() {
  const char* own = text_.c_str();
  current.compare_exchange_strong(own, before_);
}

const char* BlamedFile::name() { return current.load(); }

}  // namespace dsv4
