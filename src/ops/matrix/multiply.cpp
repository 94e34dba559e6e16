// Products divided over threads: which kernel each takes, in which pieces.
#include "ops/matrix/multiply.h"

#include <algorithm>
#include <atomic>

#include "ops/matrix/kernels.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

// From this many tokens on, unpacking rows into panels pays; with records only later.
constexpr int64_t kGemmTokens = 5;
constexpr int64_t kGemmTokensBesideRecords = 9;
constexpr int64_t kFloatTilesOfGemm = 4;  // from so many on in float32; the bits are the same ones

// Rows that kernels for few tokens multiply at once: what is left over of a piece takes longer.
constexpr int64_t kRowsTogether = 4;

// Rough speeds of one core, to weigh products against each other and against the start of a parallel region.
constexpr double kBytesPerNanosecond = 10.0;
constexpr double kInt8ProductsPerNanosecond = 60.0;
constexpr double kFloatProductsPerNanosecond = 20.0;
constexpr double kNanosecondsPerResult = 4.0;
constexpr double kAloneNanoseconds = 20e3;  // less than this is not worth waking another thread for

struct Job {
  const Product* product;
  bool int8;
  bool gemm;
  double cost;  ///< nanoseconds of one core, roughly
  int64_t rows_per_piece;
  int64_t first_piece;
  int64_t first_tile;        ///< GEMM: among the tiles to be packed
  bool packs;                ///< false: the job before packs the same
  PackedTokens packed;       ///< GEMM
  const float* sums;         ///< int8 GEMV: of segments
  const std::byte* records;  ///< int8 GEMV, if it wants them
};

/// FP8 values are no small integers: their products are in float32.
bool takes_int8(const Product& p) {
  const bool integers = p.matrix.group != 0 && p.matrix.type != NumberFormat::kF8E4M3;
  return integers && p.x.codes != nullptr && p.matrix.group % kActivationBlock == 0;
}

double nanoseconds(const Product& p, bool int8) {
  const auto results = static_cast<double>(p.matrix.rows * p.x.tokens), products = results * static_cast<double>(p.matrix.cols);
  return results * kNanosecondsPerResult + std::max(static_cast<double>(p.matrix.bytes()) / kBytesPerNanosecond,
                                                    products / (int8 ? kInt8ProductsPerNanosecond : kFloatProductsPerNanosecond));
}

bool same_rows(const Activations& a, const Activations& b) {
  return a.values == b.values && a.codes == b.codes && a.row == b.row && a.tokens == b.tokens && a.cols == b.cols && a.stride == b.stride;
}

bool packs_alike(const Job& a, const Job& b) {
  if (!a.gemm || a.int8 != b.int8 || !same_rows(a.product->x, b.product->x)) return false;
  const PackedMatrix &m = a.product->matrix, &n = b.product->matrix;
  return !a.int8 || (is_four_bits(m.type) == is_four_bits(n.type) && segment_columns(m) == segment_columns(n));
}

/// For the same tokens.
bool records_alike(const PackedMatrix& a, const PackedMatrix& b) {
  return is_four_bits(a.type) == is_four_bits(b.type) && chunk_columns(a) == chunk_columns(b);
}

/// Memory for what the job's tokens are packed into; nothing is packed yet.
void allocate_packed(Job& job, Scratch& scratch) {
  const Activations& x = job.product->x;
  const int64_t most = job.int8 ? int8_tile_tokens() : float_tile_tokens();
  job.packed.tokens = x.tokens;
  job.packed.tiles = (x.tokens + most - 1) / most;
  if (job.int8) {
    job.packed.codes = scratch.take<int8_t>(x.tokens * x.cols);
    job.packed.scales = scratch.take<float>(x.tokens * x.blocks());
    job.packed.sums = scratch.take<float>(x.tokens * (x.cols / segment_columns(job.product->matrix)));
  } else {
    job.packed.values = scratch.take<float>(x.tokens * x.cols);
  }
}

int64_t rows_of_piece(const Job& job, double whole, int threads) {
  const int64_t rows = job.product->matrix.rows;
  if (!job.gemm) {
    // So short that the threads end together, so long that handing out costs nothing beside it.
    const double piece = std::clamp(whole / (12.0 * threads), 1e3, 60e3);
    const auto wanted = static_cast<int64_t>(piece * static_cast<double>(rows) / job.cost);
    return std::clamp<int64_t>((wanted + kRowsTogether - 1) / kRowsTogether * kRowsTogether, 1, rows);
  }
  const int64_t quarter = rows / (4 * threads) / kPanelRows * kPanelRows;
  return std::clamp<int64_t>(quarter, kPanelRows, kPieceRows);
}

void run_piece(const Job& job, int64_t begin, int64_t end, std::byte* buffer) {
  const Product& p = *job.product;
  if (!job.gemm) {
    if (job.int8) {
      gemv_int8(p, job.sums, job.records, begin, end);
    } else {
      gemv_float(p, begin, end);
    }
    return;
  }
  for (int64_t row = begin; row < end; row += kPieceRows) {
    const int64_t row_end = std::min(end, row + kPieceRows);
    if (job.int8) {
      gemm_int8(p, job.packed, row, row_end, buffer);
    } else {
      gemm_float(p, job.packed, row, row_end, buffer);
    }
  }
}

void pack_tile(const Job& job, int64_t tile) {
  if (job.int8) {
    pack_int8_tile(job.product->matrix, job.product->x, job.packed, tile);
  } else {
    pack_float_tile(job.product->x, job.packed, tile);
  }
}

/// The job that piece (or tile) `index` belongs to: the last one whose first is not above it.
template <int64_t Job::*kFirst>
const Job& job_of(const Job* jobs, int64_t count, int64_t index) {
  const Job* after = std::upper_bound(jobs, jobs + count, index, [](int64_t i, const Job& job) { return i < job.*kFirst; });
  return *(after - 1);
}

}  // namespace

void multiply(std::span<const Product> products, Scratch& scratch) {
  const auto count = static_cast<int64_t>(products.size());
  Job* jobs = scratch.take<Job>(count);
  const int max_threads = parallel_get_max_threads();
  double whole = 0.0;
  int64_t used = 0;
  for (const Product& p : products) {
    if (p.x.tokens == 0 || p.matrix.rows == 0) continue;
    const bool int8 = takes_int8(p);
    const double cost = nanoseconds(p, int8);
    whole += cost;
    const bool gemm = p.x.tokens >= (!int8                        ? kFloatTilesOfGemm * float_tile_tokens()
                                     : record_bytes(p.matrix) > 0 ? kGemmTokensBesideRecords
                                                                  : kGemmTokens);
    jobs[used++] = Job{&p, int8, gemm, cost, p.matrix.rows, 0, 0, false, {}, nullptr, nullptr};
  }
  const int threads = whole < kAloneNanoseconds ? 1 : max_threads;
  int64_t pieces = 0, tiles = 0, buffer_bytes = 0;
  for (int64_t i = 0; i < used; ++i) {
    Job& job = jobs[i];
    const Product& p = *job.product;
    if (threads > 1) job.rows_per_piece = rows_of_piece(job, whole, threads);
    job.first_piece = pieces;
    job.first_tile = tiles;
    pieces += (p.matrix.rows + job.rows_per_piece - 1) / job.rows_per_piece;
    if (job.gemm) {
      buffer_bytes = std::max(buffer_bytes, job.int8 ? gemm_int8_buffer_bytes() : gemm_float_buffer_bytes());
      if (i > 0 && packs_alike(jobs[i - 1], job)) {
        job.packed = jobs[i - 1].packed;
      } else {
        job.packs = true;
        allocate_packed(job, scratch);
        tiles += job.packed.tiles;
      }
    } else if (job.int8) {
      const Job* before = i > 0 && !jobs[i - 1].gemm && jobs[i - 1].int8 && same_rows(jobs[i - 1].product->x, p.x) ? &jobs[i - 1] : nullptr;
      if (before && segment_columns(before->product->matrix) == segment_columns(p.matrix)) {
        job.sums = before->sums;
      } else {
        float* sums = scratch.take<float>(p.x.tokens * (p.matrix.cols / segment_columns(p.matrix)));
        sum_segments(p.matrix, p.x, sums);
        job.sums = sums;
      }
      if (const int64_t bytes = record_bytes(p.matrix); bytes > 0) {
        if (before && records_alike(before->product->matrix, p.matrix)) {
          job.records = before->records;
        } else {
          std::byte* records = scratch.take<std::byte>(p.x.tokens * bytes);
          make_records(p.matrix, p.x, records);
          job.records = records;
        }
      }
    }
  }
  if (threads == 1) {
    std::byte* buffer = buffer_bytes > 0 ? scratch.take<std::byte>(buffer_bytes) : nullptr;
    for (int64_t i = 0; i < used; ++i) {
      if (jobs[i].packs) {
        for (int64_t tile = 0; tile < jobs[i].packed.tiles; ++tile) pack_tile(jobs[i], tile);
      }
      run_piece(jobs[i], 0, jobs[i].product->matrix.rows, buffer);
    }
    return;
  }
  parallel_pieces(tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const Job& job = job_of<&Job::first_tile>(jobs, used, tile);
      pack_tile(job, tile - job.first_tile);
    }
  });
  // Every thread has a buffer of its own: it takes one number below `threads` and then pieces until there are none.
  std::byte* buffers = buffer_bytes > 0 ? scratch.take<std::byte>(buffer_bytes * threads) : nullptr;
  std::atomic<int64_t> next{0};
  parallel_pieces(std::min<int64_t>(threads, pieces), 1, [&](int64_t begin, int64_t) {
    for (int64_t piece; (piece = next++) < pieces;) {
      const Job& job = job_of<&Job::first_piece>(jobs, used, piece);
      const int64_t row = (piece - job.first_piece) * job.rows_per_piece;
      run_piece(job, row, std::min(job.product->matrix.rows, row + job.rows_per_piece), buffers + begin * buffer_bytes);
    }
  });
}

void multiply(const PackedMatrix& matrix, const Activations& x, float* y, int64_t y_stride, Scratch& scratch) {
  const Product product{matrix, x, y, y_stride};
  multiply(std::span(&product, 1), scratch);
}

}  // namespace dsv4::ops
