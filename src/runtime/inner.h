// What dsv4's own rooms see of engines and sessions beyond include/dsv4.
#pragma once

#include <cstdint>

#include "dsv4/engine.h"
#include "dsv4/session.h"

namespace dsv4 {

struct Config;

/// The one friend of both classes.
struct Inner {
  static const Engine::Model& model(const Engine& engine);  ///< runtime/engine_model.h
  static const Config& config(const Engine& engine);        ///< checkpoint/config.h

  /// For measurements at long contexts: position() becomes `position` with a cache of random rows instead of a prompt's. The CPU program
  /// only.
  static void fill_with_noise(Session& session, int64_t position);
};

}  // namespace dsv4
