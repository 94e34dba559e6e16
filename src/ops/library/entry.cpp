// Where OpenVINO enters libdsv4_ops.so: core.add_extension("libdsv4_ops.so").
#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "openvino/core/version.hpp"
#include "ops/extension.h"

namespace dsv4::ops {

namespace {

constexpr std::string_view kLibrary = "libopenvino.so";

/// "libopenvino.so.2641", of the OpenVINO that this library calls; empty where it has no such name.
std::string own_openvino() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&ov::get_openvino_version), &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  return path.substr(path.rfind('/') + 1);
}

/// Of another OpenVINO in the process; empty where there is none. `data`: its name is to be another than this one.
int find_other(dl_phdr_info* info, size_t, void* data) {
  auto& [own, other] = *static_cast<std::pair<std::string, std::string>*>(data);
  const std::string_view path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.starts_with(kLibrary) && name != own) other = name;
  return other.empty() ? 0 : 1;
}

/// Objects that go between this library and a program are laid out alike in one release of OpenVINO only.
void check_openvino() {
  const std::string expected =
      std::to_string(OPENVINO_VERSION_MAJOR) + '.' + std::to_string(OPENVINO_VERSION_MINOR) + '.' + std::to_string(OPENVINO_VERSION_PATCH);
  const std::string found = ov::get_openvino_version().buildNumber;  // "2026.4.1-12345-..."
  const bool same =
      found.starts_with(expected) && (found.size() == expected.size() || found[expected.size()] == '-' || found[expected.size()] == '.');
  std::pair<std::string, std::string> names{own_openvino(), {}};
  if (!names.first.empty()) dl_iterate_phdr(find_other, &names);
  if (same && names.second.empty()) return;
  throw std::runtime_error("libdsv4_ops.so is for OpenVINO " + expected + ", and this program uses " +
                           (names.second.empty() ? found : names.second) + "; install openvino==" + expected +
                           " or the libdsv4_ops.so of the dsv4 that is made for it");
}

std::vector<ov::Extension::Ptr> checked_extensions() {
  check_openvino();
  return ops_extensions();
}

}  // namespace

}  // namespace dsv4::ops

OPENVINO_CREATE_EXTENSIONS(dsv4::ops::checked_extensions())
