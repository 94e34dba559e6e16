// config.json of a model folder against what its IR was made from: two files must not state two models.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/config.h"
#include "openvino/core/model.hpp"

namespace dsv4 {

/// Error that names the field for every one of which `config`, read from config.json in `folder`, says something else than the IR (rt_info dsv4/config), and
/// for a field that this version does not know. A line for the user where the IR does not state all of them, as before dsv4 0.2.0; else empty.
std::string check_stated_config(const Config& config, const ov::Model& ir, const std::filesystem::path& folder);

}  // namespace dsv4
