// Attention by AMX tiles: some queries that share keys and values, fp32 but for the products.
//
// The weights of a query are split into two bf16, so that they keep 16 bits. Keys are summed up in
// blocks that begin at multiples of 32: a query's sums are the same bits whoever is beside it.
#include <cmath>
#include <vector>

#include "amx.h"
#include "swiglu.inc"
#include "attend.inc"

namespace amx {

namespace {

const int BLOCK = COLUMNS;  // keys

struct Split {  // of weights: [queries, keys] each
  std::vector<bf16> high, low;

  void resize(int64_t size) { high.resize(size), low.resize(size); }

  void put(const float *weights, int64_t count, int64_t at) {  // count % 16 == 0
    for (int64_t j = 0; j < count; j += 16) {
      const __m512 all = _mm512_loadu_ps(weights + j);
      const __m256i upper = (__m256i)_mm512_cvtneps_pbh(all);
      const __m512 rounded = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16));
      _mm256_storeu_si256((__m256i *)&high[at + j], upper);
      _mm256_storeu_si256((__m256i *)&low[at + j], (__m256i)_mm512_cvtneps_pbh(_mm512_sub_ps(all, rounded)));
    }
  }
};

// Two rows of values, the second maybe null, as pairs: [size] words.
void pair_rows(const bf16 *even, const bf16 *odd, int64_t size, uint32_t *out) {
  for (int64_t d = 0; d < size; d += 16) {
    const __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(even + d)));
    __m512i b = _mm512_setzero_si512();
    if (odd) b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(odd + d)));
    _mm512_storeu_si512(out + d, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
  }
}

// values [first..last, size] as [keys / 2, size] pairs, zeros up to a whole block
void pair_values(const bf16 *values, int64_t first, int64_t last, int64_t size,
                 std::vector<uint32_t> &out) {
  const int64_t num_pairs = (last - first + BLOCK - 1) / BLOCK * BLOCK / 2;
  out.resize(num_pairs * size);
  for (int64_t p = 0; p < num_pairs; p++) {
    const int64_t key = first + 2 * p;
    if (key < last)
      pair_rows(values + key * size, key + 1 < last ? values + (key + 1) * size : nullptr, size,
                &out[p * size]);
    else
      memset(&out[p * size], 0, sizeof(uint32_t) * size);
  }
}

// sums [queries, 16 V] = weights [queries, width] times columns of `pairs` [width / 2, size]
template <int V>
void mix(const bf16 *high, const bf16 *low, int64_t width, const uint32_t *pairs, int64_t size,
         float *sums) {
  CLEAR(4);
  CLEAR(5);
  CLEAR(6);
  CLEAR(7);
#define COLUMN(number, sum)                       \
  if (V > number) {                               \
    LOAD(2, at + 16 * number, 4 * size);          \
    MULTIPLY(sum, 0, 2);                          \
    MULTIPLY(sum, 1, 2);                          \
  }
  for (int64_t key = 0; key < width; key += BLOCK) {
    const uint32_t *at = pairs + key / 2 * size;
    LOAD(0, high + key, 2 * width);
    LOAD(1, low + key, 2 * width);
    COLUMN(0, 4)
    COLUMN(1, 5)
    COLUMN(2, 6)
    COLUMN(3, 7)
  }
  STORE(4, sums, 64 * V);
  if (V > 1) STORE(5, sums + 16, 64 * V);
  if (V > 2) STORE(6, sums + 32, 64 * V);
  if (V > 3) STORE(7, sums + 48, 64 * V);
}

}  // namespace

void attend_together(const bf16 *q, const Seen *seen, int M, const bf16 *keys, const bf16 *values,
                     int64_t size, float scaling, bf16 *out) {
  static thread_local std::vector<bf16> turned;
  static thread_local std::vector<float> scores;
  static thread_local std::vector<uint32_t> pairs;
  static thread_local Split weights;
  int64_t first = seen[0].first, last = seen[0].last;
  for (int m = 0; m < M; m++)
    first = std::min(first, seen[m].first), last = std::max(last, seen[m].last);
  first -= first % BLOCK;
  const int64_t width = (last - first + BLOCK - 1) / BLOCK * BLOCK;
  turned.resize(M * size), scores.resize(M * width), weights.resize(M * width);
  turn_rows(q, size, M, turned.data());
  dense_piece(keys, first, last, size, turned.data(), M, scores.data(), width);
  std::vector<float> total(M);
  for (int m = 0; m < M; m++) {
    float *row = &scores[m * width];
    const int64_t low = seen[m].first - first, high = seen[m].last - first;
    std::fill(row, row + low, 0.f), std::fill(row + high, row + width, 0.f);
#pragma omp simd
    for (int64_t j = low; j < high; j++) row[j] *= scaling;
    total[m] = soften(row + low, high - low, seen[m].sink);
    weights.put(row, width, m * width);
  }
  pair_values(values, first, last, size, pairs);
  for (int m = 0; m < M; m += ROWS) {
    const int queries = std::min(ROWS, M - m);
    Tiles tiles;
    for (int tile : {0, 1}) tiles.shape(tile, queries, BLOCK / 2);
    tiles.shape(2, BLOCK / 2, 16);
    for (int tile : {4, 5, 6, 7}) tiles.shape(tile, queries, 16);
    tiles.use();
    for (int64_t d = 0; d < size; d += 64) {
      alignas(64) float sums[ROWS * 64];
      const int64_t columns = std::min<int64_t>(64, size - d), at = m * width;
      auto multiply = columns == 64 ? mix<4> : mix<2>;
      multiply(&weights.high[at], &weights.low[at], width, &pairs[d], size, sums);
      for (int i = 0; i < queries; i++)
        for (int64_t c = 0; c < columns; c++)
          out[(m + i) * size + d + c] = to_bf16(sums[i * columns + c] / total[m + i]);
    }
  }
}

}  // namespace amx
