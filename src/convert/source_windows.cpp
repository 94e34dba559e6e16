// Planning batches, reading them, and changing the maps.
#include "convert/source_windows.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int kSlots = 12;
constexpr int kReaders = 3;              // each with one read of megabytes at a time, which keeps a drive busy
constexpr uint64_t kSmallGap = 1 << 16;  // rather read than begun anew behind it
constexpr size_t kOpenFiles = 4;

uint64_t page() {
  static const auto bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

SourceWindows::SourceWindows(const Checkpoint& checkpoint, std::span<const PlannedWeight> weights, uint64_t first, uint64_t slot_bytes)
    : checkpoint_(checkpoint), slot_bytes_(slot_bytes), cursor_(weights), number_(first) {
  for (uint64_t i = 0; i < first; ++i) cursor_.next();
  try {
    memory_ = std::make_unique<SharedMemory>(kSlots * slot_bytes_);
    for (int slot = 0; slot < kSlots; ++slot) free_slots_.push_back(slot);
    for (int i = 0; i < kReaders; ++i) readers_.emplace_back([this](const std::stop_token& stop) { read_batches(stop); });
  } catch (const Error&) {              // no memory: all is left to the map
  } catch (const std::system_error&) {  // no more threads
  }
}

SourceWindows::~SourceWindows() {
  for (std::jthread& reader : readers_) reader.request_stop();
  readers_.clear();
  for (const auto& batch : batches_) {
    if (batch->ready && batch->slot >= 0) show_files_again(batch->windows);
  }
}

SourceWindows::Use::Use(SourceWindows& windows, uint64_t piece) : windows_(windows), piece_(piece) {
  if (windows_.readers_.empty()) {
    left_to_the_map_ = true;
    return;
  }
  std::unique_lock lock(windows_.mutex_);
  Batch* batch = nullptr;
  windows_.changed_.wait(lock, [&] {
    batch = windows_.find(piece_);
    return batch != nullptr && batch->ready;
  });
  left_to_the_map_ = batch->slot < 0;
}

SourceWindows::Use::~Use() {
  if (!windows_.readers_.empty()) windows_.finish(piece_);
}

SourceWindows::Batch* SourceWindows::find(uint64_t piece) {
  const auto after =
      std::upper_bound(batches_.begin(), batches_.end(), piece, [](uint64_t p, const auto& batch) { return p < batch->first; });
  if (after == batches_.begin()) return nullptr;
  Batch& batch = **std::prev(after);
  return piece < batch.first + batch.pieces ? &batch : nullptr;
}

void SourceWindows::finish(uint64_t piece) {
  std::unique_lock lock(mutex_);
  Batch& batch = *find(piece);
  if (--batch.unfinished > 0) return;
  const auto place = std::find_if(batches_.begin(), batches_.end(), [&](const auto& one) { return one.get() == &batch; });
  const std::shared_ptr<Batch> done = *place;
  batches_.erase(place);
  lock.unlock();
  if (done->slot >= 0) show_files_again(done->windows);
  lock.lock();
  if (done->slot >= 0) free_slots_.push_back(done->slot);
  changed_.notify_all();
}

void SourceWindows::read_batches(const std::stop_token& stop) {
  for (;;) {
    std::shared_ptr<Batch> batch;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return all_planned_ || !free_slots_.empty(); })) return;
      batch = next_batch();
      if (!batch) {
        all_planned_ = true;
        changed_.notify_all();
        return;
      }
      batches_.push_back(batch);
      changed_.notify_all();
    }
    bool brought = false;
    if (batch->slot >= 0) {
      try {
        if (!in_page_cache(*batch)) {
          bring(*batch);
          show(batch->windows);
          brought = true;
        }
      } catch (const std::exception&) {    // whoever converts it meets the same, and says so
        show_files_again(batch->windows);  // those that were shown before
      }
    }
    const std::lock_guard lock(mutex_);
    if (!brought && batch->slot >= 0) {
      free_slots_.push_back(batch->slot);
      batch->slot = -1;
    }
    batch->ready = true;
    changed_.notify_all();
  }
}

/// Under the lock. Nothing when all pieces are planned. A batch takes a slot, of which there is one.
std::shared_ptr<SourceWindows::Batch> SourceWindows::next_batch() {
  auto batch = std::make_shared<Batch>();
  batch->first = number_;
  bool fits = true;
  for (;;) {
    const std::optional<Piece> piece = held_back_ ? std::exchange(held_back_, std::nullopt) : cursor_.next();
    if (!piece) break;
    std::vector<Window> with = batch->windows;
    fits = add(with, *piece);
    if (!fits && batch->pieces > 0) {
      held_back_ = piece;
      fits = true;
      break;
    }
    batch->windows = std::move(with);
    ++batch->pieces;
    if (!fits) break;  // one that fits into no slot comes alone
  }
  if (batch->pieces == 0) return nullptr;
  number_ += batch->pieces;
  batch->unfinished = batch->pieces;
  if (!fits) return batch;
  batch->slot = free_slots_.back();
  free_slots_.pop_back();
  uint64_t at = static_cast<uint64_t>(batch->slot) * slot_bytes_;
  for (Window& window : batch->windows) {
    window.memory = at;
    at += window.end - window.begin;
  }
  return batch;
}

/// Makes room for the piece's sources; whether all of them fit into a slot.
bool SourceWindows::add(std::vector<Window>& windows, const Piece& piece) const {
  try {
    for (const PieceSource& source : piece_sources(checkpoint_, piece)) {
      if (source.file == nullptr || source.bytes.empty()) continue;
      const uint64_t begin = source.file->offset_of(source.bytes), end = begin + source.bytes.size();
      Window fresh{source.file, begin / page() * page(), (end + page() - 1) / page() * page(), 0};
      const auto near = [&](const Window& w) {
        return w.file == fresh.file && w.begin <= fresh.end + kSmallGap && fresh.begin <= w.end + kSmallGap;
      };
      for (auto it = windows.begin(); it != windows.end();) {
        if (!near(*it)) {
          ++it;
          continue;
        }
        fresh.begin = std::min(fresh.begin, it->begin);
        fresh.end = std::max(fresh.end, it->end);
        it = windows.erase(it);
      }
      windows.push_back(fresh);
    }
  } catch (const Error&) {  // a shard that is no longer what it was: whoever converts it says so
    return false;
  }
  uint64_t bytes = 0;
  for (const Window& window : windows) bytes += window.end - window.begin;
  return bytes <= slot_bytes_;
}

bool SourceWindows::in_page_cache(const Batch& batch) const {
  uint64_t pages = 0, present = 0;
  for (const Window& window : batch.windows) {
    pages += (window.end - window.begin) / page();
    present += window.file->pages_in_memory(window.begin, window.end);
  }
  return present > pages / 2;
}

void SourceWindows::bring(const Batch& batch) {
  for (const Window& window : batch.windows) {
    const auto file = direct_file(*window.file);
    if (page() % file->alignment() != 0) fail("pages are no units of this file");
    // All of its pages: others may read what they hold of the next tensor.
    file->read(window.begin, window.end, std::min(window.end, window.file->size()), memory_->data() + window.memory);
  }
}

std::shared_ptr<const DirectFile> SourceWindows::direct_file(const SafetensorsFile& file) {
  const std::lock_guard lock(opening_);
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const auto& one) { return one.first == &file; });
  if (found != open_.end()) return found->second;
  auto fresh = std::make_shared<const DirectFile>(file.path_of_descriptor(), path_text(file.path()));
  if (!fresh->direct()) fail("no direct reads");  // buffered ones are what the map does
  open_.emplace_back(&file, fresh);
  if (open_.size() > kOpenFiles) open_.pop_front();
  return fresh;
}

void SourceWindows::show(const std::vector<Window>& windows) {
  const std::lock_guard lock(mapping_);
  for (const Window& window : windows) {
    window.file->show(*memory_, window.begin, window.end, window.memory);
    shown_.push_back(window);
  }
}

void SourceWindows::show_files_again(const std::vector<Window>& windows) {
  const std::lock_guard lock(mapping_);
  for (const Window& gone : windows) {
    std::erase_if(shown_, [&](const Window& one) { return one.file == gone.file && one.memory == gone.memory; });
    // Its first and last page may be those of another window, which shows them from now on.
    for (uint64_t at = gone.begin; at < gone.end;) {
      uint64_t end = gone.end;
      const Window* other = nullptr;
      for (const Window& one : shown_) {
        if (one.file != gone.file || one.end <= at || one.begin >= gone.end) continue;
        if (one.begin <= at) {
          other = &one;
          end = std::min(end, one.end);
          break;
        }
        end = std::min(end, one.begin);
      }
      if (other != nullptr) {
        gone.file->show(*memory_, at, end, other->memory + (at - other->begin));
      } else {
        gone.file->show_file(at, end);
      }
      at = end;
    }
  }
}

}  // namespace dsv4
