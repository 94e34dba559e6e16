// Groups and names of stored formats.
#include "formats/stored_format.h"

#include "dsv4/error.h"

namespace dsv4 {

bool is_grouped(const StoredFormat& format) {
  const GroupRule rule = row_of(format.type).groups;
  return rule == GroupRule::kOf32 || rule == GroupRule::kBlocks || (rule == GroupRule::kChosen && format.group_size > 0);
}

int64_t scale_columns(const StoredFormat& format, int64_t columns) {
  switch (row_of(format.type).groups) {
    case GroupRule::kNone:
      return 0;
    case GroupRule::kOf32:
      return kFp4Group;
    case GroupRule::kChosen:
    case GroupRule::kBlocks:
      break;
  }
  return format.group_size < 0 ? columns : format.group_size;
}

NumberFormat scale_type(const StoredFormat& format) {
  return format.type == NumberFormat::kF8E4M3 ? format.fp8_scale : row_of(format.type).scale;
}

std::string row_group_name(const std::string& matrix, int64_t index) { return concat(matrix, "/rows.", index); }

std::string matrix_of_row_group(const std::string& name) { return name.substr(0, name.find("/rows.")); }

std::string stored_format_name(const StoredFormat& format) {
  const std::string_view name = name_of(format.type);
  if (format.type == NumberFormat::kF8E4M3) return concat(name, " in blocks of ", format.group_rows, " x ", format.group_size);
  return is_integer_code(format.type) && format.group_size >= 0 ? concat(name, " in groups of ", format.group_size) : std::string(name);
}

std::string describe(const StoredFormat& format) {
  const std::string_view name = name_of(format.type);
  switch (row_of(format.type).groups) {
    case GroupRule::kNone:
      break;
    case GroupRule::kOf32:
      return concat(name, ", e8m0 scales of ", kFp4Group);
    case GroupRule::kBlocks:
      return concat(name, ", ", name_of(format.fp8_scale), " scales of ", format.group_rows, " x ", format.group_size);
    case GroupRule::kChosen:
      return format.group_size < 0 ? concat(name, ", a scale a row") : concat(name, ", groups of ", format.group_size);
  }
  return std::string(name);
}

}  // namespace dsv4
