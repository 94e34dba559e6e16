// The fields that chat and text completions have in common.
#pragma once

#include "server/api_fields.h"
#include "server/openai_request.h"

namespace dsv4 {

/// All but max_tokens' and logprobs' own forms of each API.
GenerationRequest read_generation(const ApiField& body, const RequestDefaults& defaults);

}  // namespace dsv4
