// Writing and reading the form of a snapshot.
#include "runtime/snapshot_form.h"

#include <array>
#include <bit>
#include <utility>
#include <vector>

#include "dsv4/error.h"
#include "runtime/fingerprint.h"

namespace dsv4 {

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::array<char, 8> kMagic = {'D', 'S', 'V', '4', 'S', 'T', '\r', '\n'};
constexpr int64_t kVersion = 1;
constexpr int64_t kPreamble = 24;  // magic, version, number of bytes

template <class T>
std::span<const std::byte> bytes_of(const T& list) {
  return std::as_bytes(std::span(list));
}

/// What follows the preamble, as numbers and lists.
template <class Number, class List>
void walk(const Snapshot& snapshot, const Number& number, const List& list) {
  number(snapshot.position);
  number(snapshot.back);
  list(std::ssize(snapshot.tokens), bytes_of(snapshot.tokens));
  list(std::ssize(snapshot.model), bytes_of(snapshot.model));
  number(std::ssize(snapshot.states));
  for (const auto& [name, state] : snapshot.states) {
    list(std::ssize(name), bytes_of(name));
    list(std::ssize(state.type), bytes_of(state.type));
    list(std::ssize(state.shape), bytes_of(state.shape));
    list(std::ssize(state.bytes), bytes_of(state.bytes));
  }
}

class Reader {
 public:
  Reader(int64_t bytes, const std::function<void(std::span<std::byte>)>& get) : left_(bytes), get_(get) {}

  void fill(std::span<std::byte> bytes) {
    if (std::ssize(bytes) > left_) damaged("it ends too early");
    left_ -= std::ssize(bytes);
    get_(bytes);
  }
  int64_t number() {
    int64_t value = 0;
    fill(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <class T>
  T list() {
    const int64_t count = number();
    if (count < 0 || count > left_ / static_cast<int64_t>(sizeof(typename T::value_type))) damaged("a list has an impossible length");
    T list(static_cast<size_t>(count), typename T::value_type{});
    fill(std::as_writable_bytes(std::span(list)));
    return list;
  }
  int64_t left() const { return left_; }

  [[noreturn]] static void damaged(const char* how) { fail("the snapshot is damaged (", how, "); write it again"); }

 private:
  int64_t left_;
  const std::function<void(std::span<std::byte>)>& get_;
};

}  // namespace

std::string digest_of(const Snapshot& snapshot) {
  Digest digest;
  walk(
      snapshot, [&](int64_t number) { digest.add(number); },
      [&](int64_t count, std::span<const std::byte> bytes) {
        digest.add(count);
        digest.add(bytes);
      });
  return digest.text();
}

void put_snapshot(const Snapshot& snapshot, const std::function<void(std::span<const std::byte>)>& put) {
  constexpr int64_t kNumber = 8;
  int64_t bytes = kPreamble + kNumber + std::ssize(snapshot.digest);
  walk(
      snapshot, [&](int64_t) { bytes += kNumber; },
      [&](int64_t, std::span<const std::byte> content) { bytes += kNumber + std::ssize(content); });

  const auto put_number = [&](int64_t number) { put(std::as_bytes(std::span(&number, 1))); };
  const auto put_list = [&](int64_t count, std::span<const std::byte> content) {
    put_number(count);
    put(content);
  };
  put(bytes_of(kMagic));
  put_number(kVersion);
  put_number(bytes);
  walk(snapshot, put_number, put_list);
  put_list(std::ssize(snapshot.digest), bytes_of(snapshot.digest));
}

Snapshot get_snapshot(int64_t bytes, const std::function<void(std::span<std::byte>)>& get) {
  Reader reader(bytes, get);
  std::array<char, 8> magic{};
  if (bytes >= kPreamble) reader.fill(std::as_writable_bytes(std::span(magic)));
  if (magic != kMagic) fail("is no snapshot of dsv4; `dsv4 run --save` writes them");
  const int64_t version = reader.number();
  if (version != kVersion) fail("a snapshot of form ", version, "; this dsv4 reads form ", kVersion, ": write it again");
  const int64_t stated = reader.number();
  if (stated != bytes) fail("the snapshot is damaged: it has ", bytes, " bytes, expected ", stated, "; write it again");

  Snapshot snapshot;
  snapshot.position = reader.number();
  snapshot.back = reader.number();
  snapshot.tokens = reader.list<std::vector<int64_t>>();
  snapshot.model = reader.list<std::string>();
  const int64_t states = reader.number();
  std::string last;
  for (int64_t i = 0; i < states; ++i) {
    std::string name = reader.list<std::string>();
    if (i > 0 && name <= last) Reader::damaged("its states are not in order");
    Snapshot::State& state = snapshot.states[name];
    state.type = reader.list<std::string>();
    state.shape = reader.list<std::vector<size_t>>();
    state.bytes = reader.list<std::vector<std::byte>>();
    last = std::move(name);
  }
  snapshot.digest = reader.list<std::string>();
  if (states < 0 || reader.left() != 0) Reader::damaged("there is more in it than expected");
  if (snapshot.digest != digest_of(snapshot)) Reader::damaged("its digest is not that of its contents");
  return snapshot;
}

}  // namespace dsv4
