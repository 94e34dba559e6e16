// Finds and loads libopenvino_tokenizers through the entry point that every OpenVINO extension has.
#include "text/tokenizers_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

#include "dsv4/error.h"
#include "openvino/core/attribute_visitor.hpp"
#include "openvino/core/extension.hpp"
#include "openvino/core/op_extension.hpp"
#include "openvino/core/version.hpp"

#ifndef DSV4_TOKENIZERS_LIBRARY_DEFAULT
#error "the build defines DSV4_TOKENIZERS_LIBRARY_DEFAULT, which may be empty, and DSV4_TOKENIZERS_VERSION"
#endif

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVariable = "DSV4_TOKENIZERS_LIBRARY";
constexpr const char* kFileName = "libopenvino_tokenizers.so";

/// The directory of the libopenvino that this program runs with.
fs::path openvino_directory() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&ov::get_openvino_version), &info) == 0 || info.dli_fname == nullptr) return {};
  return fs::path(info.dli_fname).parent_path();
}

/// The directory of the program that this code is linked into, or of the library.
fs::path own_directory() {
  std::error_code error;
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&own_directory), &info) == 0 || info.dli_fname == nullptr) return {};
  // Of a program, the name is how it was called.
  const fs::path name = fs::path(info.dli_fname).is_absolute() ? fs::path(info.dli_fname) : fs::read_symlink("/proc/self/exe", error);
  return fs::canonical(name, error).parent_path();
}

/// Where an installed or copied program has its libraries, and where the build found them.
std::vector<fs::path> places() {
  const fs::path own = own_directory(), openvino = openvino_directory();
  std::vector<fs::path> all;
  if (!own.empty()) all = {own / kFileName, own / "lib" / kFileName, own / "../lib/dsv4" / kFileName};
  all.emplace_back(DSV4_TOKENIZERS_LIBRARY_DEFAULT);
  if (!openvino.empty()) all.insert(all.end(), {openvino / kFileName, openvino / "../../openvino_tokenizers/lib" / kFileName});
  return all;
}

const char* stated_library() {
  const char* stated = std::getenv(kVariable);
  return stated != nullptr && *stated != '\0' ? stated : nullptr;
}

/// Gives a new node the attributes that are named.
class SetAttributes : public ov::AttributeVisitor {
 public:
  explicit SetAttributes(const NodeAttributes& attributes) : attributes_(attributes) {}

  void on_adapter(const std::string&, ov::ValueAccessor<void>&) override {}
  void on_adapter(const std::string& name, ov::ValueAccessor<bool>& adapter) override { set<bool>(name, adapter); }
  void on_adapter(const std::string& name, ov::ValueAccessor<std::string>& adapter) override { set<std::string>(name, adapter); }
  void on_adapter(const std::string& name, ov::ValueAccessor<int64_t>& adapter) override { set<int64_t>(name, adapter); }
  void on_adapter(const std::string& name, ov::ValueAccessor<int32_t>& adapter) override { set<int64_t>(name, adapter); }

 private:
  template <class Value, class Stored>
  void set(const std::string& name, ov::ValueAccessor<Stored>& adapter) {
    const auto found = attributes_.find(name);
    if (found != attributes_.end()) adapter.set(static_cast<Stored>(std::get<Value>(found->second)));
  }

  const NodeAttributes& attributes_;
};

/// Loaded once and never unloaded: nodes and models hold code of the library.
const std::vector<ov::Extension::Ptr>& extensions() {
  static const std::vector<ov::Extension::Ptr> loaded = [] {
    const fs::path path = tokenizers_library();
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      fail(path.string(), ": cannot be loaded: ", dlerror(), "; expected openvino-tokenizers of OpenVINO's own version");
    const auto create = reinterpret_cast<void (*)(std::vector<ov::Extension::Ptr>&)>(dlsym(library, "create_extensions"));
    if (create == nullptr) fail(path.string(), ": is not an OpenVINO extension, expected ", kFileName);
    std::vector<ov::Extension::Ptr> all;
    create(all);
    return all;
  }();
  return loaded;
}

}  // namespace

fs::path tokenizers_library() {
  if (const char* stated = stated_library()) {
    if (!fs::is_regular_file(stated)) fail(kVariable, "=", stated, ": no such file, expected the path of ", kFileName);
    return stated;
  }
  std::error_code error;
  for (const fs::path& path : places()) {
    if (!path.empty() && fs::is_regular_file(path, error)) return path.lexically_normal();
  }
  fail(kFileName, ": not found beside the program, in lib/ there or at ",
       *DSV4_TOKENIZERS_LIBRARY_DEFAULT ? DSV4_TOKENIZERS_LIBRARY_DEFAULT : "a path of the build", ", nor beside ",
       (openvino_directory() / "libopenvino.so").string(),
       "; run tools/get-openvino.sh, or install openvino-tokenizers and name the file in ", kVariable);
}

std::string tokenizers_version() { return stated_library() ? concat("of ", kVariable) : DSV4_TOKENIZERS_VERSION; }

ov::OutputVector tokenizers_node(const std::string& type, const ov::OutputVector& inputs, const NodeAttributes& attributes) {
  for (const ov::Extension::Ptr& extension : extensions()) {
    const auto op = std::dynamic_pointer_cast<ov::BaseOpExtension>(extension);
    if (!op || type != op->get_type_info().name) continue;
    SetAttributes visitor(attributes);
    return op->create(inputs, visitor);
  }
  fail(tokenizers_library().string(), ": has no operation ", type, ", expected openvino-tokenizers 2026.4.1");
}

}  // namespace dsv4
