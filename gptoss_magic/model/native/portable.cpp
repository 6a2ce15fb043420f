// fp32 kernels in GCC/Clang vector extensions: AVX2, NEON, or whatever the target has.
// Each weight row is unpacked once into a scratch row of floats and used for all its tokens.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"
#include "swiglu.inc"
#include "attend.inc"
#include "step.h"
#include "team.h"

#ifndef KERNELS
#define KERNELS kernels_generic
#define NAME "generic"
#endif

namespace {

typedef float vec __attribute__((vector_size(32), aligned(4)));
typedef uint32_t vec_u32 __attribute__((vector_size(32)));
typedef uint16_t vec_u16 __attribute__((vector_size(16), aligned(2)));

struct Pairs {  // both values of a byte
  float value[256][2];
  Pairs() {
    static const float magnitude[8] = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
    for (int byte = 0; byte < 256; byte++)
      for (int half = 0; half < 2; half++) {
        int code = half ? byte >> 4 : byte & 15;
        value[byte][half] = code & 8 ? -magnitude[code & 7] : magnitude[code & 7];
      }
  }
};
const Pairs pairs;

void unpack_row(const uint8_t *blocks, const uint8_t *scales, int K, float *out) {
  for (int g = 0; g < K / 32; g++) {
    uint32_t bits = (uint32_t)scales[g] << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    for (int i = 0; i < 16; i++) {
      const float *pair = pairs.value[blocks[g * 16 + i]];
      out[g * 32 + 2 * i] = pair[0] * scale;
      out[g * 32 + 2 * i + 1] = pair[1] * scale;
    }
  }
}

float sum(vec v) { return v[0] + v[1] + v[2] + v[3] + v[4] + v[5] + v[6] + v[7]; }

float dot(const float *a, const float *b, int K) {
  vec acc[4] = {};
  for (int k = 0; k < K; k += 32)
    for (int j = 0; j < 4; j++) acc[j] += *(const vec *)(a + k + 8 * j) * *(const vec *)(b + k + 8 * j);
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

vec widened(const bf16 *from) {
  return (vec)(__builtin_convertvector(*(const vec_u16 *)from, vec_u32) << 16);
}

float dot(const bf16 *a, const float *b, int K) {
  vec acc[4] = {};
  for (int k = 0; k < K; k += 32)
    for (int j = 0; j < 4; j++) acc[j] += widened(a + k + 8 * j) * *(const vec *)(b + k + 8 * j);
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

void add_scaled(float *y, const float *x, float factor, int K) {
  for (int k = 0; k < K; k += 8) *(vec *)(y + k) += *(const vec *)(x + k) * factor;
}

const int ROWS = 64;  // weight rows a task

void linear(const bf16 *x, const int32_t *rows, const int32_t *offsets, Packed w, float *Y,
            int threads) {
  const int E = w.num_experts, N = w.N, K = w.K, S = offsets[E], steps = (N + ROWS - 1) / ROWS;
  std::vector<float> xs((size_t)S * K);
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(K);
#pragma omp for schedule(static)
    for (int s = 0; s < S; s++) {
      const bf16 *from = x + (int64_t)(rows ? rows[s] : s) * K;
      for (int k = 0; k < K; k++) xs[(size_t)s * K + k] = to_float(from[k]);
    }
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < E * steps; task++) {
      int e = task / steps, first = task % steps * ROWS, last = first + ROWS < N ? first + ROWS : N;
      if (offsets[e] == offsets[e + 1]) continue;
      for (int n = first; n < last; n++) {
        int64_t at = (int64_t)e * N + n;
        unpack_row(w.blocks + at * (K / 2), w.scales + at * (K / 32), K, row.data());
        float bias = w.bias ? to_float(w.bias[at]) : 0.f;
        for (int s = offsets[e]; s < offsets[e + 1]; s++)
          Y[(int64_t)s * N + n] = dot(row.data(), &xs[(size_t)s * K], K) + bias;
      }
    }
  }
}

void transposed(const bf16 *dY, const int32_t *offsets, Packed w, float *dX, int threads) {
  const int E = w.num_experts, N = w.N, K = w.K, CHUNK = 256, steps = (K + CHUNK - 1) / CHUNK;
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(CHUNK);
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < E * steps; task++) {
      int e = task / steps, k = task % steps * CHUNK, width = k + CHUNK < K ? CHUNK : K - k;
      for (int s = offsets[e]; s < offsets[e + 1]; s++)
        memset(dX + (int64_t)s * K + k, 0, sizeof(float) * width);
      if (offsets[e] == offsets[e + 1]) continue;
      for (int n = 0; n < N; n++) {
        int64_t at = (int64_t)e * N + n;
        unpack_row(w.blocks + at * (K / 2) + k / 2, w.scales + at * (K / 32) + k / 32, width,
                   row.data());
        for (int s = offsets[e]; s < offsets[e + 1]; s++)
          add_scaled(dX + (int64_t)s * K + k, row.data(), to_float(dY[(int64_t)s * N + n]), width);
      }
    }
  }
}

void unpack(const uint8_t *blocks, const uint8_t *scales, int64_t num_rows, int K, bf16 *out,
            int threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(K);
#pragma omp for schedule(static)
    for (int64_t r = 0; r < num_rows; r++) {
      unpack_row(blocks + r * (K / 2), scales + r * (K / 32), K, row.data());
      for (int k = 0; k < K; k++) out[r * K + k] = to_bf16(row[k]);
    }
  }
}

// Y[m * ldy + n - first] = W[n] x[m] for rows first..last of W
void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const float *x, int M,
                 float *Y, int64_t ldy) {
  std::vector<float> row(M == 1 ? 0 : K);
  for (int64_t n = first; n < last; n++) {
    const bf16 *w = W + n * K;
    if (M == 1) {
      Y[n - first] = dot(w, x, (int)K);
      continue;
    }
    for (int64_t k = 0; k < K; k++) row[k] = to_float(w[k]);
    for (int m = 0; m < M; m++) Y[m * ldy + n - first] = dot(row.data(), x + m * K, (int)K);
  }
}

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads) {
  const int64_t STEP = 64;
  std::vector<float> xs((size_t)M * K);
  for (size_t i = 0; i < xs.size(); i++) xs[i] = to_float(x[i]);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t n = 0; n < N; n += STEP)
    dense_piece(W, n, std::min(N, n + STEP), K, xs.data(), M, Y + n, N);
}

// What step.inc needs: rows of x as floats, and pieces of a matrix.
typedef float Prepared;
int64_t prepared_size(int64_t K) { return K; }
template <class T>
void prepare(const T *x, int64_t K, Prepared *out) {
  for (int64_t k = 0; k < K; k++) out[k] = to_float(x[k]);
}

// Y[m * ldy + n - first] = W[n] x[m], without bias
void packed_piece(const Linear &w, int64_t e, int64_t first, int64_t last, const Prepared *x, int M,
                  float *Y, int64_t ldy) {
  std::vector<float> row(w.K);
  for (int64_t n = first; n < last; n++) {
    const int64_t at = e * w.N + n;
    unpack_row(w.blocks + at * (w.K / 2), w.scales + at * (w.K / 32), (int)w.K, row.data());
    for (int m = 0; m < M; m++) Y[m * ldy + n - first] = dot(row.data(), x + m * w.K, (int)w.K);
  }
}

void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, int M,
                 float *Y, int64_t ldy) {
  std::vector<float> xs(M * K);
  for (int64_t i = 0; i < M * K; i++) xs[i] = to_float(x[i]);
  dense_piece(W, first, last, K, xs.data(), M, Y, ldy);
}

const bool TURNS = false;
void turn_rows(const bf16 *, int64_t, int, bf16 *) {}
void unpacked_piece(const Linear &, int64_t, int64_t, int64_t, const bf16 *, int, float *, int64_t) {}
#include "step.inc"

}  // namespace

extern const Kernels KERNELS;
const Kernels KERNELS = {NAME, linear, transposed, unpack, dense, swiglu, activation, attend, step, 16};
