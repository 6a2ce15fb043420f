// bf16 products by AMX tiles. A tile of 16 weight rows x 32 columns is read as it lies in memory, and
// meets up to 16 tokens whose columns stand in pairs; so a weight is read once for all of them, and
// each token's sums are the same bits however many others are beside it.
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cpuid.h>

#include <vector>

#include "amx.h"

namespace amx {

namespace {

// Tiles 0 and 1: weights [rows, 32] and [16, 32]; 2 and 3: tokens [16 pairs, tokens]; 4 to 7: sums
// [rows, tokens] of 0 with 2, 1 with 2, 0 with 3, 1 with 3.
struct ProductTiles : Tiles {
  ProductTiles(int num_rows, int near, int far) {  // tokens of 2 and of 3
    shape(0, num_rows, COLUMNS / 2), shape(1, ROWS, COLUMNS / 2);
    shape(2, ROWS, near), shape(4, num_rows, near), shape(5, ROWS, near);
    if (far) shape(3, ROWS, far), shape(6, num_rows, far), shape(7, ROWS, far);
    use();
  }
};

// sums [rows, tokens] into Y [tokens, rows]
inline void put_sums(const float *sums, int rows, int tokens, float *Y, int64_t ldy) {
  __m512i r[16];
  for (int i = 0; i < 16; i++)
    r[i] = i < rows ? _mm512_maskz_loadu_epi32(first(tokens), sums + i * tokens)
                    : _mm512_setzero_si512();
  if (tokens > 1) avx512::transpose16(r);
  if (tokens == 1) memcpy(Y, sums, sizeof(float) * rows);
  else
    for (int i = 0; i < tokens; i++) _mm512_mask_storeu_epi32(Y + i * ldy, first(rows), r[i]);
}

#define PUT(tile, at_row, at_token, rows, tokens)                      \
  {                                                                    \
    STORE(tile, sums, 4 * (tokens));                                   \
    put_sums(sums, rows, tokens, Y + (at_token) * ldy + (at_row), ldy); \
  }

struct Block {
  int rows, near, far;  // rows of tile 0, tokens of tiles 2 and 3

  // V tiles of rows (16 V, or `rows`) for G groups of tokens; `next` is read soon
  template <int V, int G>
  void multiply(const bf16 *W, int64_t K, const uint32_t *x, const bf16 *next, float *Y,
                int64_t ldy) const {
    alignas(64) float sums[ROWS * TOKENS];
    const uint32_t *x_far = x + K / 2 * near;
    CLEAR(4);
    CLEAR(5);
    if (G > 1) {
      CLEAR(6);
      CLEAR(7);
    }
    for (int64_t k = 0; k < K; k += COLUMNS) {
      LOAD(0, W + k, 2 * K);
      LOAD(2, x + k / 2 * near, 4 * near);
      MULTIPLY(4, 0, 2);
      if (G > 1) LOAD(3, x_far + k / 2 * far, 4 * far);
      if (G > 1) MULTIPLY(6, 0, 3);
      if (V > 1) LOAD(1, W + ROWS * K + k, 2 * K);
      if (V > 1) MULTIPLY(5, 1, 2);
      if (V > 1 && G > 1) MULTIPLY(7, 1, 3);
      for (int n = 0; next && n < (V > 1 ? V * ROWS : rows); n++)
        _mm_prefetch((const char *)(next + n * K + k), _MM_HINT_T1);
    }
    PUT(4, 0, 0, rows, near)
    if (V > 1) PUT(5, ROWS, 0, ROWS, near)
    if (G > 1) PUT(6, 0, near, rows, far)
    if (V > 1 && G > 1) PUT(7, ROWS, near, ROWS, far)
  }
};

// W's rows for `count` times near + far tokens; G is 1 where `far` is 0
template <int G>
void some_tokens(const bf16 *W, int64_t num_rows, int64_t K, const bf16 *x, int near, int far,
                 int count, float *Y, int64_t ldy) {
  const int step = near + far;
  const int64_t whole = num_rows / ROWS * ROWS;
  auto multiply = [&](const Block &block, int64_t n, int64_t rows) {
    const bf16 *at = W + n * K;
    for (int t = 0; t < count * step; t += step) {
      const bf16 *next = t ? nullptr : at + rows * K;
      const uint32_t *xs = (const uint32_t *)(x + K * t);
      float *y = Y + t * ldy + n;
      if (rows > ROWS) block.multiply<2, G>(at, K, xs, next, y, ldy);
      else block.multiply<1, G>(at, K, xs, next, y, ldy);
    }
  };
  if (whole) {
    const ProductTiles tiles(ROWS, near, far);
    for (int64_t n = 0, rows; n < whole; n += rows) {
      rows = n + 2 * ROWS <= whole ? 2 * ROWS : ROWS;
      multiply({ROWS, near, far}, n, rows);
    }
  }
  if (const int rest = (int)(num_rows - whole)) {
    const ProductTiles tiles(rest, near, far);
    multiply({rest, near, far}, whole, rest);
  }
}

}  // namespace

// Groups of up to 16 rows, one behind the other: [K / 2, rows of the group] pairs.
void turn_rows(const bf16 *x, int64_t K, int M, bf16 *out) {
  for (int m = 0; m < M; m += TOKENS) {
    const int tokens = std::min(TOKENS, M - m);
    const uint32_t *pairs = (const uint32_t *)(x + m * K);
    uint32_t *to = (uint32_t *)(out + m * K);
    if (tokens == 1) {
      memcpy(to, pairs, sizeof(bf16) * K);
      continue;
    }
    for (int64_t p = 0; p < K / 2; p += 16) {
      __m512i r[16];
      for (int i = 0; i < 16; i++)
        r[i] = i < tokens ? _mm512_loadu_si512(pairs + i * (K / 2) + p) : _mm512_setzero_si512();
      avx512::transpose16(r);
      for (int i = 0; i < 16; i++)
        _mm512_mask_storeu_epi32(to + (p + i) * tokens, first(tokens), r[i]);
    }
  }
}

void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, int M,
                 float *Y, int64_t ldy) {
  const int num_pairs = M / (2 * TOKENS), paired = num_pairs * 2 * TOKENS, rest = M - paired;
  const bf16 *at = W + first * K, *xs = x + K * paired;
  float *y = Y + paired * ldy;
  if (paired) some_tokens<2>(at, last - first, K, x, TOKENS, TOKENS, num_pairs, Y, ldy);
  if (rest > TOKENS) some_tokens<2>(at, last - first, K, xs, TOKENS, rest - TOKENS, 1, y, ldy);
  else if (rest) some_tokens<1>(at, last - first, K, xs, rest, 0, 1, y, ldy);
}

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads) {
  const int64_t STEP = 128;
  std::vector<bf16> turned(M * K);
  turn_rows(x, K, M, turned.data());
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t n = 0; n < N; n += STEP)
    dense_piece(W, n, std::min(N, n + STEP), K, turned.data(), M, Y + n, N);
}

// Whether the processor has tiles and the system lets this process use them: it has to be asked.
bool is_there() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool has_tiles = d >> 24 & 1, has_bf16 = d >> 22 & 1;
  const long ASK = 0x1023, TILE_DATA = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
  return has_tiles && has_bf16 && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#else
  return false;
#endif
}

}  // namespace amx
