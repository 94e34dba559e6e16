// The first N layers of a model: what `--layers N` makes of a config.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/config.h"

namespace dsv4 {

/// The same model with its first `layers` layers and without MTP blocks or draft stages. Error unless 1 <= layers <= num_hidden_layers.
Config first_layers(Config config, int64_t layers);

/// The same of a config.json text that parse_config accepts; everything else in it stays.
std::string first_layers(std::string_view config_json, int64_t layers);

}  // namespace dsv4
