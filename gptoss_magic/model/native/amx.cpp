// bf16 products by AMX tiles. A tile of 16 weight rows x 32 columns is read as it lies in memory, and
// meets up to 16 tokens whose columns stand in pairs; so a weight is read once for all of them, and
// each token's sums are the same bits however many others are beside it.
//
// The instructions are written out: intrinsics of some compilers do not say that a tile's load reads
// memory, and the stores before it are then left out.
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cpuid.h>

#include <vector>

#include "avx512.h"

namespace amx {

namespace {

const int ROWS = 16, COLUMNS = 32, TOKENS = 16;  // of a tile

#define LOAD(tile, at, step) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(at), "r"((int64_t)(step)) : "memory")
#define STORE(tile, at, step) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(at), "r"((int64_t)(step)) : "memory")
#define CLEAR(tile) asm volatile("tilezero %%tmm" #tile ::: "memory")
#define MULTIPLY(sum, weights, x) \
  asm volatile("tdpbf16ps %%tmm" #x ", %%tmm" #weights ", %%tmm" #sum ::: "memory")

// Tiles 0 and 1: sums [16 rows, tokens]; 2 and 3: weights [16 rows, 32]; 4: [16 pairs, tokens].
struct alignas(64) Tiles {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t bytes[16] = {};  // of a row
  uint8_t rows[16] = {};

  explicit Tiles(int tokens) {
    for (int tile : {0, 1, 4}) bytes[tile] = (uint16_t)(4 * tokens), rows[tile] = ROWS;
    for (int tile : {2, 3}) bytes[tile] = 2 * COLUMNS, rows[tile] = ROWS;
    asm volatile("ldtilecfg %0" ::"m"(*this));
  }
  ~Tiles() { asm volatile("tilerelease" ::); }  // a thread that keeps none is switched faster
};

// out [16, n] = in [n, 16] transposed, 32-bit words, n <= 16; rows of `in` are `step` words apart
inline void turn(const uint32_t *in, int64_t step, int n, uint32_t *out) {
  const __mmask16 some = (__mmask16)((1u << n) - 1);
  __m512i r[16];
  for (int i = 0; i < 16; i++)
    r[i] = i < n ? _mm512_loadu_si512(in + i * step) : _mm512_setzero_si512();
  avx512::transpose16(r);
  for (int i = 0; i < 16; i++) _mm512_mask_storeu_epi32(out + i * n, some, r[i]);
}

// x [tokens, K] as [K / 2, tokens] pairs; one token's stand so already.
const uint32_t *by_pairs(const bf16 *x, int64_t K, int tokens, std::vector<uint32_t> &held) {
  const uint32_t *pairs = (const uint32_t *)x;
  if (tokens == 1) return pairs;
  held.resize(K / 2 * tokens);
  for (int64_t p = 0; p < K / 2; p += 16) turn(pairs + p, K / 2, tokens, &held[p * tokens]);
  return held.data();
}

// sums [16, tokens] into Y [tokens, 16]
void put_sums(const float *sums, int tokens, float *Y, int64_t ldy) {
  const __mmask16 some = (__mmask16)((1u << tokens) - 1);
  if (tokens == 1) return (void)memcpy(Y, sums, sizeof(float) * ROWS);
  __m512i r[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_maskz_loadu_epi32(some, sums + i * tokens);
  avx512::transpose16(r);
  for (int i = 0; i < tokens; i++) _mm512_storeu_si512(Y + i * ldy, r[i]);
}

void prefetch(const bf16 *W, int64_t K) {
  for (int n = 0; n < ROWS; n++) _mm_prefetch((const char *)(W + n * K), _MM_HINT_T1);
}

// 16 rows of W, or 32 where `V` is 2, for `tokens`; `next` is read soon
template <int V>
void some_rows(const bf16 *W, int64_t K, const uint32_t *x, int tokens, const bf16 *next, float *Y,
               int64_t ldy) {
  alignas(64) float sums[ROWS * TOKENS];
  CLEAR(0);
  CLEAR(1);
  for (int64_t k = 0; k < K; k += COLUMNS) {
    LOAD(4, x + k / 2 * tokens, 4 * tokens);
    LOAD(2, W + k, 2 * K);
    MULTIPLY(0, 2, 4);
    prefetch(next + k, K);
    if (V == 1) continue;
    LOAD(3, W + ROWS * K + k, 2 * K);
    MULTIPLY(1, 3, 4);
    prefetch(next + ROWS * K + k, K);
  }
  STORE(0, sums, 4 * tokens);
  put_sums(sums, tokens, Y, ldy);
  if (V == 1) return;
  STORE(1, sums, 4 * tokens);
  put_sums(sums, tokens, Y + ROWS, ldy);
}

}  // namespace

void dense_piece(const bf16 *W, int64_t first, int64_t last, int64_t K, const bf16 *x, int M,
                 float *Y, int64_t ldy) {
  const int64_t whole = first + (last - first) / ROWS * ROWS;
  static thread_local std::vector<uint32_t> held;
  for (int m = 0; m < M && whole > first; m += TOKENS) {
    const int tokens = std::min(TOKENS, M - m);
    const Tiles tiles(tokens);
    const uint32_t *pairs = by_pairs(x + m * K, K, tokens, held);
    float *y = Y + m * ldy;
    for (int64_t n = first; n < whole;) {
      const bf16 *at = W + n * K;
      if (n + 2 * ROWS <= whole)
        some_rows<2>(at, K, pairs, tokens, at + 2 * ROWS * K, y + n - first, ldy), n += 2 * ROWS;
      else
        some_rows<1>(at, K, pairs, tokens, at + ROWS * K, y + n - first, ldy), n += ROWS;
    }
  }
  if (whole < last) avx512::dense_piece(W, whole, last, K, x, M, Y + whole - first, ldy);
}

void dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y, int threads) {
  const int64_t STEP = 128;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t n = 0; n < N; n += STEP)
    dense_piece(W, n, std::min(N, n + STEP), K, x, M, Y + n, N);
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
