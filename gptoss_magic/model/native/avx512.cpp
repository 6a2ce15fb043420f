// AVX-512 BF16 kernels for many rows: 16 weight rows are unpacked into pairs for dpbf16 and shared
// by all rows of the task. What reads each packed byte once is in avx512_stream.cpp.
#include <cmath>
#include <vector>

#include "avx512.h"
#include "swiglu.inc"
#include "attend.inc"
#include "team.h"

using namespace avx512;

namespace {

const int FAR = 96;  // tokens a task

// Pairs (8d + q, 8d + q + 4) stand side by side, as unpack16 makes them.
void permute_by_pairs(const bf16 *x, int K, bf16 *out) {
  alignas(64) static const uint16_t PAIR[32] = {0,  4,  1,  5,  2,  6,  3,  7,  8,  12, 9,
                                                13, 10, 14, 11, 15, 16, 20, 17, 21, 18, 22,
                                                19, 23, 24, 28, 25, 29, 26, 30, 27, 31};
  const __m512i index = _mm512_load_si512(PAIR);
  for (int k = 0; k < num_chunks(K) * CHUNK; k += 32) {
    __m512i v = k < K ? _mm512_loadu_si512(x + k) : _mm512_setzero_si512();
    _mm512_storeu_si512(out + k, _mm512_permutexvar_epi16(index, v));
  }
}

// ---- many rows: outer products with unpacked pairs ----

// The scale goes into the exponent of bf16; zeros stay zero.
inline __m512i scaled(__m512i value, __m512i exponent) {
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  return _mm512_mask_add_epi16(value, _mm512_test_epi16_mask(value, magnitude), value, exponent);
}

inline __m512i exponent_of(__m512i scale) {
  return _mm512_slli_epi16(_mm512_sub_epi16(scale, _mm512_set1_epi16(127)), 7);
}

// 16 weight rows x one chunk -> P[pair][V vectors][32]: lanes 2n, 2n+1 are a pair of row n.
inline void unpack16(const uint8_t *B, const uint8_t *Sc, int nb, int blocks, bf16 *P, int V,
                     int64_t ahead) {
  const __m512i codes = table();
  const int64_t row = (int64_t)nb * 16;
  const __mmask64 mask = bytes_of(blocks);
  __m512i r[16];
  alignas(64) uint32_t packed_scales[16] = {};
  for (int i = 0; i < 16; i++) {
    r[i] = _mm512_maskz_loadu_epi8(mask, B + i * row);
    _mm_prefetch((const char *)(B + i * row + ahead), _MM_HINT_T0);
    _mm_prefetch((const char *)(B + i * row + ahead + 63), _MM_HINT_T0);
    memcpy(packed_scales + i, Sc + (int64_t)i * nb, blocks);
  }
  transpose16(r);
  __m512i scales = _mm512_load_si512(packed_scales);
  for (int b = 0; b < blocks; b++) {
    __m512i e = _mm512_and_si512(scales, _mm512_set1_epi32(0xff));
    e = exponent_of(_mm512_or_si512(e, _mm512_slli_epi32(e, 16)));
    scales = _mm512_srli_epi32(scales, 8);
    for (int d = 4 * b; d < 4 * b + 4; d++) {
      __m512i w = r[d];
      for (int q = 0; q < 4; q++, w = _mm512_srli_epi16(w, 4))
        _mm512_store_si512(P + (int64_t)(4 * d + q) * V * 32,
                           scaled(_mm512_permutexvar_epi16(w, codes), e));
    }
  }
}

// D[t][16 V] += sum over pairs p of P[p] * X[t][2p, 2p+1]
template <int T, int V>
inline void outer_tile(const bf16 *P, int num_pairs, const bf16 *X, int64_t ldx, float *D,
                       int64_t ldd) {
  __m512 acc[T][V];
  for (int t = 0; t < T; t++)
    for (int v = 0; v < V; v++) acc[t][v] = _mm512_loadu_ps(D + t * ldd + v * 16);
  for (int p = 0; p < num_pairs; p++) {
    const bf16 *w = P + (int64_t)p * V * 32;
    __m512bh x[T];
    for (int t = 0; t < T; t++) {
      int32_t both;
      memcpy(&both, X + t * ldx + 2 * p, 4);
      x[t] = pairs(_mm512_set1_epi32(both));
    }
    for (int v = 0; v < V; v++) {
      __m512bh wv = pairs(_mm512_load_si512(w + v * 32));
      for (int t = 0; t < T; t++) acc[t][v] = _mm512_dpbf16_ps(acc[t][v], wv, x[t]);
    }
  }
  for (int t = 0; t < T; t++)
    for (int v = 0; v < V; v++) _mm512_storeu_ps(D + t * ldd + v * 16, acc[t][v]);
}

template <int V>
void outer(const bf16 *P, int num_pairs, const bf16 *X, int64_t ldx, int M, float *D, int64_t ldd) {
  constexpr int T = V == 8 ? 3 : 6;
  int m = 0;
  for (; m + T <= M; m += T) outer_tile<T, V>(P, num_pairs, X + m * ldx, ldx, D + m * ldd, ldd);
  for (; m + 2 <= M; m += 2) outer_tile<2, V>(P, num_pairs, X + m * ldx, ldx, D + m * ldd, ldd);
  for (; m < M; m++) outer_tile<1, V>(P, num_pairs, X + m * ldx, ldx, D + m * ldd, ldd);
}

template <int V>  // 16 V weight rows for M tokens
void many_rows(const uint8_t *B, const uint8_t *Sc, int nb, const bf16 *x, int64_t ldx, int M,
               const bf16 *bias, float *Y, int64_t ldy, bf16 *P, float *D) {
  const int64_t row = (int64_t)nb * 16;
  const int chunks = (nb + 3) / 4;
  memset(D, 0, sizeof(float) * M * V * 16);
  for (int c = 0; c < chunks; c++) {
    int blocks = blocks_in(c, nb);
    int64_t ahead = c + 1 < chunks ? 64 : V * 16 * row - c * 64;
    for (int v = 0; v < V; v++)
      unpack16(B + v * 16 * row + c * 64, Sc + (int64_t)v * 16 * nb + c * 4, nb, blocks,
               P + v * 32, V, ahead);
    outer<V>(P, blocks * 16, x + (int64_t)c * CHUNK, ldx, M, D, V * 16);
  }
  for (int m = 0; m < M; m++)
    for (int n = 0; n < V * 16; n++)
      Y[m * ldy + n] = D[m * V * 16 + n] + (bias ? to_float(bias[n]) : 0.f);
}

void many(int M, const uint8_t *B, const uint8_t *Sc, int nb, const bf16 *x, int64_t ldx,
          const bf16 *bias, int num_rows, float *Y, int64_t ldy, bf16 *P, float *D) {
  for (int r = 0; r < num_rows;) {
    const uint8_t *b = B + (int64_t)r * nb * 16, *s = Sc + (int64_t)r * nb;
    const bf16 *with = bias ? bias + r : nullptr;
    int left = num_rows - r;
    if (left >= 128) many_rows<8>(b, s, nb, x, ldx, M, with, Y + r, ldy, P, D), r += 128;
    else if (left >= 64) many_rows<4>(b, s, nb, x, ldx, M, with, Y + r, ldy, P, D), r += 64;
    else many_rows<1>(b, s, nb, x, ldx, M, with, Y + r, ldy, P, D), r += 16;
  }
}

struct Task {
  int expert, first, last, from, to;  // weight rows; routed rows
};

std::vector<Task> plan(const int32_t *offsets, int E, int N) {
  std::vector<Task> tasks;
  for (int e = 0; e < E; e++) {
    int rows = offsets[e + 1] - offsets[e];
    int step = rows <= FEW ? 192 : 128, far = rows <= FEW ? FEW : FAR;
    if (rows > FAR) far = ((rows + (rows + FAR - 1) / FAR - 1) / ((rows + FAR - 1) / FAR) + 5) / 6 * 6;
    for (int n = 0; n < N && rows; n += step)
      for (int s = offsets[e]; s < offsets[e + 1]; s += far)
        tasks.push_back({e, n, std::min(N, n + step), s, std::min(offsets[e + 1], s + far)});
  }
  return tasks;
}

void linear(const bf16 *x, const int32_t *rows, const int32_t *offsets, Packed w, float *Y,
            int threads) {
  const int S = offsets[w.num_experts], nb = w.K / 32, N = w.N;
  const int64_t ldx = (int64_t)num_chunks(w.K) * CHUNK;
  Buffer permuted((size_t)S * ldx * 2);
  const std::vector<Task> tasks = plan(offsets, w.num_experts, N);
#pragma omp parallel num_threads(threads)
  {
    Buffer P(CHUNK / 2 * 8 * 32 * 2), D(sizeof(float) * (FAR + 6) * 128);
#pragma omp for schedule(static)
    for (int e = 0; e < w.num_experts; e++)
      for (int s = offsets[e]; s < offsets[e + 1]; s++) {
        const bf16 *from = x + (int64_t)(rows ? rows[s] : s) * w.K;
        auto permute = offsets[e + 1] - offsets[e] <= FEW ? permute_by_four : permute_by_pairs;
        permute(from, w.K, permuted.half() + s * ldx);
      }
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < tasks.size(); i++) {
      const Task t = tasks[i];
      const int64_t at = (int64_t)t.expert * N + t.first;
      const uint8_t *B = w.blocks + at * nb * 16, *Sc = w.scales + at * nb;
      const bf16 *xs = permuted.half() + t.from * ldx, *bias = w.bias ? w.bias + at : nullptr;
      float *y = Y + (int64_t)t.from * N + t.first;
      if (offsets[t.expert + 1] - offsets[t.expert] <= FEW)
        few(t.to - t.from, B, Sc, nb, xs, ldx, bias, t.last - t.first, y, N);
      else
        many(t.to - t.from, B, Sc, nb, xs, ldx, bias, t.last - t.first, y, N, P.half(), D.single());
    }
  }
}

// ---- transposed: dX = dY @ W. Pairs of weight rows, 128 columns at a time ----

inline __m512i exponents(const uint8_t *Sc, int blocks) {  // of 128 columns, 32 words
  const __m512i spread = _mm512_set_epi16(3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1,
                                          1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)((1u << blocks) - 1), Sc);
  __m512i wide = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(bytes));
  return exponent_of(_mm512_permutexvar_epi16(spread, wide));
}

inline void unpack_pair(const uint8_t *B, const uint8_t *Sc, int nb, int blocks, bf16 *P) {
  const __m512i codes = table();
  const __mmask64 mask = bytes_of(blocks);
  __m512i a = _mm512_maskz_loadu_epi8(mask, B), ea = exponents(Sc, blocks);
  __m512i b = _mm512_maskz_loadu_epi8(mask, B + (int64_t)nb * 16), eb = exponents(Sc + nb, blocks);
  for (int v = 0; v < 4; v++) {
    __m512i x = scaled(_mm512_permutexvar_epi16(a, codes), ea);
    __m512i y = scaled(_mm512_permutexvar_epi16(b, codes), eb);
    _mm512_store_si512(P + v * 64, _mm512_unpacklo_epi16(x, y));
    _mm512_store_si512(P + v * 64 + 32, _mm512_unpackhi_epi16(x, y));
    a = _mm512_srli_epi16(a, 4);
    b = _mm512_srli_epi16(b, 4);
  }
}

// Where column k of a chunk lies in the accumulator that unpack_pair's order leads to.
inline int place(int k) {
  int v = k % 4, i = k / 4, group = i / 8, j = i % 8;
  return (j < 4 ? 2 * v : 2 * v + 1) * 16 + group * 4 + j % 4;
}

void transposed(const bf16 *dY, const int32_t *offsets, Packed w, float *dX, int threads) {
  const int nb = w.K / 32, chunks = num_chunks(w.K), PAIRS = 64, N = w.N, K = w.K;
  std::vector<Task> tasks;
  for (int e = 0; e < w.num_experts; e++)
    for (int s = offsets[e]; s < offsets[e + 1]; s += FAR)
      for (int c = 0; c < chunks; c++)
        tasks.push_back({e, c, 0, s, std::min(offsets[e + 1], s + FAR)});
#pragma omp parallel num_threads(threads)
  {
    Buffer P((size_t)PAIRS * 256 * 2), D(sizeof(float) * FAR * CHUNK);
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < tasks.size(); i++) {
      const Task t = tasks[i];
      const int M = t.to - t.from, blocks = blocks_in(t.first, nb);
      const int64_t at = (int64_t)t.expert * N;
      const uint8_t *B = w.blocks + at * nb * 16 + t.first * 64, *Sc = w.scales + at * nb + t.first * 4;
      memset(D.at, 0, sizeof(float) * M * CHUNK);
      for (int n = 0; n < N; n += 2 * PAIRS) {
        int num_pairs = std::min(PAIRS, (N - n) / 2);
        for (int p = 0; p < num_pairs; p++) {
          int64_t r = n + 2 * p;
          for (int ahead = 128; ahead < 130; ahead++) {
            _mm_prefetch((const char *)(B + (r + ahead) * nb * 16), _MM_HINT_T0);
            _mm_prefetch((const char *)(B + (r + ahead) * nb * 16 + 63), _MM_HINT_T0);
          }
          unpack_pair(B + r * nb * 16, Sc + r * nb, nb, blocks, P.half() + (int64_t)p * 256);
        }
        outer<8>(P.half(), num_pairs, dY + (int64_t)t.from * N + n, N, M, D.single(), CHUNK);
      }
      for (int m = 0; m < M; m++)
        for (int k = 0; k < blocks * 32; k++)
          dX[(int64_t)(t.from + m) * K + t.first * CHUNK + k] = D.single()[m * CHUNK + place(k)];
    }
  }
}

void unpack(const uint8_t *blocks, const uint8_t *scales, int64_t num_rows, int K, bf16 *out,
            int threads) {
  const __m512i codes = table();
  const int64_t num_blocks = num_rows * (K / 32);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t b = 0; b < num_blocks; b++) {
    __m512i w = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(blocks + b * 16)));
    w = _mm512_or_si512(w, _mm512_slli_epi32(w, 12));  // the high nibble into the upper word
    __m512i e = exponent_of(_mm512_set1_epi16(scales[b]));
    _mm512_storeu_si512(out + b * 32, scaled(_mm512_permutexvar_epi16(w, codes), e));
  }
}

// ---- what step.inc needs: rows as `few` reads them, and pieces of a packed matrix ----

typedef bf16 Prepared;
int64_t prepared_size(int64_t K) { return (int64_t)num_chunks((int)K) * CHUNK; }
void prepare(const bf16 *x, int64_t K, Prepared *out) { permute_by_four(x, (int)K, out); }
void prepare(const float *, int64_t, Prepared *) {}  // packed weights are for bf16 alone

void packed_piece(const Linear &w, int64_t e, int64_t first, int64_t last, const Prepared *x, int M,
                  float *Y, int64_t ldy) {
  const int nb = (int)(w.K / 32);
  const int64_t at = e * w.N + first, ldx = prepared_size(w.K);
  for (int m = 0; m < M; m += FEW)
    few(std::min(FEW, M - m), w.blocks + at * nb * 16, w.scales + at * nb, nb, x + m * ldx, ldx,
        nullptr, (int)(last - first), Y + m * ldy, ldy);
}

namespace by_rows {
using avx512::dense_piece;
const bool TURNS = false;
void turn_rows(const bf16 *, int64_t, int, bf16 *) {}
void unpacked_piece(const Linear &, int64_t, int64_t, int64_t, const bf16 *, int, float *, int64_t) {}
#include "step.inc"
}  // namespace by_rows

namespace by_tiles {
using amx::attend_together;
using amx::dense_piece;
using amx::turn_rows;
const bool TURNS = true;

// Rows first..last of expert e as bf16, 32 at a time: they stay in the cache for all tokens.
void unpacked_piece(const Linear &w, int64_t e, int64_t first, int64_t last, const bf16 *turned,
                    int M, float *Y, int64_t ldy) {
  const int ROWS = 32;
  static thread_local std::vector<bf16> rows;
  rows.resize(ROWS * w.K);
  for (int64_t n = first; n < last; n += ROWS) {
    const int64_t at = e * w.N + n, count = std::min<int64_t>(ROWS, last - n);
    unpack(w.blocks + at * (w.K / 2), w.scales + at * (w.K / 32), count, (int)w.K, rows.data(), 1);
    dense_piece(rows.data(), 0, count, w.K, turned, M, Y + n - first, ldy);
  }
}
#include "step.inc"
}  // namespace by_tiles

}  // namespace

extern const Kernels kernels_avx512, kernels_amx;
const Kernels kernels_avx512 = {"avx512-bf16", linear, transposed, unpack,
                                dense, swiglu, activation, attend, by_rows::step, 16};
const Kernels kernels_amx = {"amx-bf16", linear, transposed, unpack,
                             amx::dense, swiglu, activation, attend, by_tiles::step, 512};
