// Signals while a person chats: Ctrl-C stops an answer and not the program, the window changes its size, the program is told to end.
#pragma once

namespace dsv4 {

/// From here on these signals are noted. Reads go on behind them; poll() is interrupted.
void note_chat_signals();

/// Whether there was a Ctrl-C since the last time.
bool take_interrupt();
bool interrupted();
/// Whether the window has changed its size since the last time.
bool take_resize();
/// SIGTERM or SIGHUP, if one came: the program has to tidy up and end. 0: none.
int ending_signal();
/// Ends the program by this signal, as if it had not been noted.
[[noreturn]] void end_by_signal(int signal);

}  // namespace dsv4
