// The names of stored formats.
#include "checkpoint/stored_format.h"

#include "dsv4/error.h"

namespace dsv4 {

namespace {

const char* type_name(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return "f32";
    case StoredType::kF16:
      return "f16";
    case StoredType::kU8:
      return "u8";
    case StoredType::kI8:
      return "i8";
    case StoredType::kU4:
      return "u4";
    case StoredType::kI4:
      return "i4";
    case StoredType::kF4E2M1:
      return "f4e2m1";
  }
  fail("unknown stored type ", static_cast<int>(type));
}

}  // namespace

std::string stored_row_group(const std::string& tensor, int64_t index) { return concat(tensor, "/rows.", index); }

std::string tensor_of_row_group(const std::string& name) { return name.substr(0, name.find("/rows.")); }

std::string stored_format_name(const StoredFormat& format) {
  if (format.group_size < 0) return type_name(format.type);
  return concat(type_name(format.type), " in groups of ", format.group_size);
}

}  // namespace dsv4
