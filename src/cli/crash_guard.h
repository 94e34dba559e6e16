// Libraries that crash: where memory has run out or a file is to blame, one line that says so.
#pragma once

namespace dsv4 {

/// From now on a crash (SIGSEGV, SIGFPE, SIGILL, SIGABRT) ends the process with exit code 1 and one line on stderr
/// - while the address space is exhausted, which limits like `ulimit -v` bring about: OpenVINO's CPU plugin has places that do not look at what an allocation gave,
///   and a stack that cannot grow is an invalid access too;
/// - while OpenVINO does what a file says (checkpoint/blamed_file.h): everything that dsv4 can check has been, but an IR may hold any graph.
/// Any other crash ends the process as it would have.
void report_crashes();

}  // namespace dsv4
