// What the AVX-512 files share.
//
// A 16-bit word of a packed row holds codes k = 4i..4i+3. _mm512_permutexvar_epi16 looks up the
// low five bits of each word in a table that repeats after 16 entries, so shifting the word right
// by 0, 4, 8, 12 bits yields the values of k = 4i, 4i+1, 4i+2, 4i+3. Activations are permuted alike.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdlib>

#include "kernels.h"
#include "step.h"

namespace avx512 {

const int FEW = 6, CHUNK = 128;  // rows of the streaming kernel; columns of 64 packed bytes

#define E2M1 0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4040, 0x4080, 0x40C0, \
             0x8000, 0xBF00, 0xBF80, 0xBFC0, 0xC000, 0xC040, 0xC080, 0xC0C0
alignas(64) static const uint16_t TABLE[32] = {E2M1, E2M1};

inline __m512bh pairs(__m512i v) { return (__m512bh)v; }
inline __m512i table() { return _mm512_load_si512(TABLE); }
inline int num_chunks(int K) { return (K / 32 + 3) / 4; }
inline int blocks_in(int chunk, int nb) { return std::min(4, nb - 4 * chunk); }
inline __mmask64 bytes_of(int blocks) { return blocks == 4 ? ~0ull : (1ull << (16 * blocks)) - 1; }

struct Buffer {
  void *at;
  explicit Buffer(size_t bytes) : at(aligned_alloc(64, (bytes + 63) / 64 * 64 + 64)) {}
  ~Buffer() { free(at); }
  bf16 *half() { return (bf16 *)at; }
  float *single() { return (float *)at; }
};

// 16 x 16 words of 32 bits
inline void transpose16(__m512i *r) {
  __m512i t[16];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

void permute_by_four(const bf16 *x, int K, bf16 *out);

// Y[m * ldy + r] for M <= FEW rows x[m * ldx] (permuted by four) and num_rows % 16 == 0 weight rows
void few(int M, const uint8_t *B, const uint8_t *Sc, int nb, const bf16 *x, int64_t ldx,
         const bf16 *bias, int num_rows, float *Y, int64_t ldy);

// Y[m * ldy + n - first] = W[n] x[m] for rows first..last of W
void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, int M,
                 float *Y, int64_t ldy);

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads);

}  // namespace avx512

// The same by tiles, of rows that `turn_rows` has brought into their order; see amx.cpp.
namespace amx {

void turn_rows(const bf16 *x, int64_t K, int M, bf16 *out);

void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *turned, int M,
                 float *Y, int64_t ldy);

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads);

// out [M, size] of queries q [M, size] that share keys and values [.., size]; size % 32 == 0
void attend_together(const bf16 *q, const Seen *seen, int M, const bf16 *keys, const bf16 *values,
                     int64_t size, float scaling, bf16 *out);

}  // namespace amx
