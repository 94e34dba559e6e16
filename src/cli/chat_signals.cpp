// Handlers that do nothing but note.
#include "cli/chat_signals.h"

#include <unistd.h>

#include <csignal>

namespace dsv4 {

namespace {

volatile std::sig_atomic_t interrupt_seen = 0, resize_seen = 0, end_seen = 0;

void note(int signal) {
  if (signal == SIGINT) {
    interrupt_seen = 1;
  } else if (signal == SIGWINCH) {
    resize_seen = 1;
  } else {
    end_seen = signal;
  }
}

}  // namespace

void note_chat_signals() {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGWINCH, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

bool take_interrupt() {
  const bool seen = interrupt_seen != 0;
  interrupt_seen = 0;
  return seen;
}

bool interrupted() { return interrupt_seen != 0 || end_seen != 0; }

bool take_resize() {
  const bool seen = resize_seen != 0;
  resize_seen = 0;
  return seen;
}

int ending_signal() { return end_seen; }

void end_by_signal(int signal) {
  std::signal(signal, SIG_DFL);
  ::raise(signal);
  ::_exit(128 + signal);
}

}  // namespace dsv4
