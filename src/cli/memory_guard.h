// Libraries that go on with a null pointer where an allocation has failed: one line that says so, instead of a crash.
#pragma once

namespace dsv4 {

/// From now on an invalid access (SIGSEGV) while the address space is exhausted, which limits like `ulimit -v` bring about, ends the process with exit code 1 and
/// one line on stderr. OpenVINO's CPU plugin has places that do not look at what an allocation gave, and a stack that cannot grow is such an access too. Any
/// other invalid access ends the process as it would have.
void report_exhausted_memory();

}  // namespace dsv4
