// The constants of a model by name: how the weights of a folder are found again.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"

namespace dsv4 {

/// Those in bodies of loops too (`--experts gather`), and in that of op Sequences (`--program cpu`).
class Constants {
 public:
  explicit Constants(const ov::Model& model) { add(model); }

  /// Null when there is none of that name.
  std::shared_ptr<ov::op::v0::Constant> find(const std::string& name) const;

  template <class F>
  void for_each(const F& f) const {
    for (const auto& [name, constant] : by_name_) f(*constant);
  }

 private:
  void add(const ov::Model& model);

  std::map<std::string, std::shared_ptr<ov::op::v0::Constant>> by_name_;
};

}  // namespace dsv4
