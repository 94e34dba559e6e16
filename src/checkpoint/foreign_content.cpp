// The table of beginnings.
#include "checkpoint/foreign_content.h"

#include <algorithm>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using namespace std::string_view_literals;

struct Beginning {
  std::string_view bytes;
  const char* line;
};

constexpr const char* kPickle = "is a Python pickle (PyTorch), which runs code when it is read; take the safetensors files of the release";
constexpr const char* kUtf16 = "is UTF-16 text; save it as UTF-8";
constexpr const char* kPacked = "is compressed; unpack it first";

constexpr Beginning kBeginnings[] = {
    {"version https://git-lfs"sv, "is a Git LFS pointer, not the file itself; fetch the data with 'git lfs pull'"},
    {"GGUF"sv, "is a GGUF file, which is not read; take the safetensors release that it was made from"},
    {"PK\x03\x04"sv,
     "is a ZIP archive, as PyTorch's pickles and NumPy's .npz are; unpack an archive, take the safetensors files of the release for the "
     "others"},
    {"\x80\x02"sv, kPickle},
    {"\x80\x03"sv, kPickle},
    {"\x80\x04"sv, kPickle},
    {"\x80\x05"sv, kPickle},
    {"\x89HDF"sv, "is an HDF5 file (TensorFlow), which is not read; take the safetensors files of the release"},
    {"\x1f\x8b"sv, kPacked},
    {"\xfd"
     "7zXZ"sv,
     kPacked},
    {"\x28\xb5\x2f\xfd"sv, kPacked},
    {"BZh"sv, kPacked},
    {"7z\xbc\xaf\x27\x1c"sv, kPacked},
    {"\xff\xfe"sv, kUtf16},
    {"\xfe\xff"sv, kUtf16},
    {"<?xml"sv, "is XML, such as the error of a download server; download the file again"},
};

constexpr std::string_view kSpaces = " \t\r\n";
constexpr size_t kTarMark = 257;

/// `text` from its first character on, without a byte order mark.
std::string_view without_margin(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text.substr(std::min(text.find_first_not_of(kSpaces), text.size()));
}

bool starts_with_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(), [](char want, char c) {
           return want == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
         });
}

}  // namespace

std::string foreign_content(std::string_view head) {
  for (const Beginning& known : kBeginnings) {
    if (head.starts_with(known.bytes)) return known.line;
  }
  if (head.size() > kTarMark && head.substr(kTarMark).starts_with("ustar")) return "is a tar archive; unpack it first";
  const std::string_view text = without_margin(head);
  for (const std::string_view tag : {"<!doctype html"sv, "<html"sv, "<head"sv}) {
    if (starts_with_any_case(text, tag)) {
      return "is an HTML page, such as a login or error page that was saved in place of the file; download the file again";
    }
  }
  return {};
}

std::string foreign_to_safetensors(std::string_view head) {
  if (std::string known = foreign_content(head); !known.empty()) return known;
  const std::string_view text = without_margin(head);
  if (text.starts_with("{\"") || text.starts_with("["))
    return "is JSON text, such as the answer of a download server; download the file again";
  const std::string_view begin = head.substr(0, 8);  // of a file of weights, a length with some zeros
  const bool letters = begin.size() == 8 && std::all_of(begin.begin(), begin.end(),
                                                        [](char c) { return (c >= ' ' && c <= '~') || kSpaces.find(c) != kSpaces.npos; });
  if (!letters) return {};
  const size_t line = std::min(text.find_first_of("\r\n"), size_t{40});
  return concat("is not safetensors, it begins with ", quote(text.substr(0, line)), "; download the file again");
}

}  // namespace dsv4
