// Mapped files that become unreadable while they are read: one line that names the file, instead of a crash by SIGBUS.
#pragma once

namespace dsv4 {

/// From now on a read of a mapped file that the file no longer backs (it was cut, or its disk fails) ends the process with exit code 1 and one line on stderr that
/// names the file, whoever mapped it: OpenVINO maps a model folder's weights itself. Checks before each read (SafetensorsFile::check_present) leave a moment in
/// which the file may still change. Any other SIGBUS ends the process as it would have.
void report_unreadable_maps();

}  // namespace dsv4
