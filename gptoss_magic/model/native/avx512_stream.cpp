// Matrix-vector products for few rows: each weight byte is read once, at the memory's speed.
// A tile's R weight rows lie a whole share of the task apart, so that each is a sequential stream
// of its own: neighbouring rows read side by side defeat the hardware's prefetching, and software
// prefetches cost more than they bring (measured on Zen 4: 21 against 34 GB/s on two cores).
#include "avx512.h"

namespace avx512 {

// k = 4i + v of each 128-column chunk goes to place 32v + i.
void permute_by_four(const bf16 *x, int K, bf16 *out) {
  alignas(64) static const uint16_t FOURTH[32] = {0,  4,  8,  12, 16, 20, 24, 28, 32, 36, 40,
                                                  44, 48, 52, 56, 60, 0,  4,  8,  12, 16, 20,
                                                  24, 28, 32, 36, 40, 44, 48, 52, 56, 60};
  const __m512i fourth = _mm512_load_si512(FOURTH);
  for (int c = 0; c < num_chunks(K); c++) {
    __m512i part[4];
    for (int j = 0; j < 4; j++) {
      int k = c * CHUNK + 32 * j;
      part[j] = k < K ? _mm512_loadu_si512(x + k) : _mm512_setzero_si512();
    }
    for (int v = 0; v < 4; v++) {
      __m512i index = _mm512_add_epi16(fourth, _mm512_set1_epi16((short)v));
      __m512i low = _mm512_permutex2var_epi16(part[0], index, part[1]);
      __m512i high = _mm512_permutex2var_epi16(part[2], index, part[3]);
      __m512i both = _mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1);
      _mm512_storeu_si512(out + c * CHUNK + 32 * v, both);
    }
  }
}

namespace {

// One chunk of a weight row: four lookups, and M dot products by blocks of 32 columns.
template <int M>
inline void dot_chunk(__m512i w, const bf16 *x, int64_t ldx, __m512 scale, __m512 *acc) {
  const __m512i codes = table();
  const __m512bh w0 = pairs(_mm512_permutexvar_epi16(w, codes));
  const __m512bh w1 = pairs(_mm512_permutexvar_epi16(_mm512_srli_epi16(w, 4), codes));
  const __m512bh w2 = pairs(_mm512_permutexvar_epi16(_mm512_srli_epi16(w, 8), codes));
  const __m512bh w3 = pairs(_mm512_permutexvar_epi16(_mm512_srli_epi16(w, 12), codes));
  for (int m = 0; m < M; m++, x += ldx) {
    __m512 t = _mm512_dpbf16_ps(_mm512_setzero_ps(), w0, pairs(_mm512_loadu_si512(x)));
    __m512 u = _mm512_dpbf16_ps(_mm512_setzero_ps(), w1, pairs(_mm512_loadu_si512(x + 32)));
    t = _mm512_dpbf16_ps(t, w2, pairs(_mm512_loadu_si512(x + 64)));
    u = _mm512_dpbf16_ps(u, w3, pairs(_mm512_loadu_si512(x + 96)));
    acc[m] = _mm512_fmadd_ps(_mm512_add_ps(t, u), scale, acc[m]);
  }
}

// R weight rows, `gap` rows apart, times M tokens.
template <int R, int M>
inline void few_tile(const uint8_t *B, const uint8_t *Sc, int nb, int64_t gap, const bf16 *x,
                     int64_t ldx, const bf16 *bias, float *Y, int64_t ldy) {
  const __m512i spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  __m512i lane[4];
  for (int q = 0; q < 4; q++) lane[q] = _mm512_add_epi32(spread, _mm512_set1_epi32(4 * q));
  __m512 acc[R][M];
  for (int r = 0; r < R; r++)
    for (int m = 0; m < M; m++) acc[r][m] = _mm512_setzero_ps();
  for (int g = 0; g < nb; g += 16) {
    const int left = nb - g;
    const __mmask16 valid = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
    __m512i scale[R];
    for (int r = 0; r < R; r++) {
      __m128i bytes = _mm_maskz_loadu_epi8(valid, Sc + r * gap * nb + g);
      scale[r] = _mm512_slli_epi32(_mm512_cvtepu8_epi32(bytes), 23);
    }
    auto chunk = [&](int q, auto load) __attribute__((always_inline)) {
      for (int r = 0; r < R; r++)
        dot_chunk<M>(load(B + ((r * gap) * nb + g + 4 * q) * 16), x + (g + 4 * q) * 32, ldx,
                     _mm512_castsi512_ps(_mm512_permutexvar_epi32(lane[q], scale[r])), acc[r]);
    };
    if (left >= 16) {
      for (int q = 0; q < 4; q++) chunk(q, [](const uint8_t *at) { return _mm512_loadu_si512(at); });
    } else {
      for (int q = 0; 4 * q < left; q++) {
        const __mmask64 mask = bytes_of(std::min(4, left - 4 * q));
        chunk(q, [=](const uint8_t *at) { return _mm512_maskz_loadu_epi8(mask, at); });
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int m = 0; m < M; m++)
      Y[m * ldy + r * gap] =
          _mm512_reduce_add_ps(acc[r][m]) + (bias ? to_float(bias[r * gap]) : 0.f);
}

template <int M>
void few_rows(const uint8_t *B, const uint8_t *Sc, int nb, const bf16 *x, int64_t ldx,
              const bf16 *bias, int num_rows, float *Y, int64_t ldy) {
  constexpr int R = M <= 2 ? 4 : 2;  // divides 16, and so num_rows
  const int64_t gap = num_rows / R;
  for (int64_t r = 0; r < gap; r++)
    few_tile<R, M>(B + r * nb * 16, Sc + r * nb, nb, gap, x, ldx, bias ? bias + r : nullptr, Y + r,
                   ldy);
}

template <int M>
void dense_rows(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, float *Y,
                int64_t ldy) {
  constexpr int R = 4;
  const int64_t gap = (last - first + R - 1) / R;
  for (int64_t n = first; n < first + gap; n++) {
    __m512 acc[R][M];
    const bf16 *at[R];
    for (int r = 0; r < R; r++) {
      at[r] = W + std::min(n + r * gap, last - 1) * K;
      for (int m = 0; m < M; m++) acc[r][m] = _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < K; k += 32) {
      __m512bh w[R];
      for (int r = 0; r < R; r++) w[r] = pairs(_mm512_loadu_si512(at[r] + k));
      for (int m = 0; m < M; m++) {
        __m512bh xm = pairs(_mm512_loadu_si512(x + m * K + k));
        for (int r = 0; r < R; r++) acc[r][m] = _mm512_dpbf16_ps(acc[r][m], w[r], xm);
      }
    }
    for (int r = 0; r < R; r++)
      for (int m = 0; m < M; m++)
        Y[m * ldy + std::min(n + r * gap, last - 1) - first] = _mm512_reduce_add_ps(acc[r][m]);
  }
}

}  // namespace

void few(int M, const uint8_t *B, const uint8_t *Sc, int nb, const bf16 *x, int64_t ldx,
         const bf16 *bias, int num_rows, float *Y, int64_t ldy) {
  switch (M) {
    case 1: return few_rows<1>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
    case 2: return few_rows<2>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
    case 3: return few_rows<3>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
    case 4: return few_rows<4>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
    case 5: return few_rows<5>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
    default: return few_rows<6>(B, Sc, nb, x, ldx, bias, num_rows, Y, ldy);
  }
}

void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, int M,
                 float *Y, int64_t ldy) {
  for (int m = 0; m < M; m += 4) {
    const bf16 *xs = x + m * K;
    float *y = Y + m * ldy;
    switch (std::min(4, M - m)) {
      case 1: dense_rows<1>(W, first, last, K, xs, y, ldy); break;
      case 2: dense_rows<2>(W, first, last, K, xs, y, ldy); break;
      case 3: dense_rows<3>(W, first, last, K, xs, y, ldy); break;
      default: dense_rows<4>(W, first, last, K, xs, y, ldy);
    }
  }
}

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads) {
  const int64_t STEP = 128;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t n = 0; n < N; n += STEP)
    dense_piece(W, n, std::min(N, n + STEP), K, x, M, Y + n, N);
}

}  // namespace avx512
