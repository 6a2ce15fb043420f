// The C interface: picks the kernels for this processor, and the whole MoE layer for inference.
#include <vector>

#include "kernels.h"
#include "step.h"

static const Kernels *choose(const char *name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool tiles = avx512 && amx::is_there();
  const Kernels *able[] = {tiles ? &kernels_amx : nullptr, avx512 ? &kernels_avx512 : nullptr,
                           avx2 ? &kernels_avx2 : nullptr, &kernels_generic};
#else
  const Kernels *able[] = {&kernels_generic};
#endif
  for (const Kernels *k : able)
    if (k && (!name || !*name || !strcmp(name, k->name))) return k;
  return nullptr;
}

static const Kernels *chosen = choose(nullptr);

namespace {

// Routes sorted by expert: the token of each row, and the row of each route.
struct Routes {
  std::vector<int32_t> offsets, row_of, token_of;

  Routes(const int32_t *ids, int num_routes, int top_k, int E)
      : offsets(E + 1, 0), row_of(num_routes), token_of(num_routes) {
    for (int i = 0; i < num_routes; i++) offsets[ids[i] + 1]++;
    for (int e = 0; e < E; e++) offsets[e + 1] += offsets[e];
    std::vector<int32_t> next(offsets.begin(), offsets.end() - 1);
    for (int i = 0; i < num_routes; i++) {
      row_of[i] = next[ids[i]]++;
      token_of[row_of[i]] = i / top_k;
    }
  }
};

// out bf16 [T, H] = sum_j weights[t, j] * row_of[t, j] of Y fp32 [S, H]
void combine(const float *Y, const Routes &routes, const float *weights, int T, int top_k, int H,
             bf16 *out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (T > 8)
  for (int t = 0; t < T; t++) {
    for (int n = 0; n < H; n++) {
      float sum = 0.f;
      for (int j = 0; j < top_k; j++)
        sum += weights[t * top_k + j] * Y[(int64_t)routes.row_of[t * top_k + j] * H + n];
      out[(int64_t)t * H + n] = to_bf16(sum);
    }
  }
}

// Y fp32 [S, N] = x @ W_e^T + bias_e of bf16 matrices [E, N, K], expert by expert
void dense_experts(const bf16 *x, const Routes &routes, const bf16 *W, const bf16 *bias, int E,
                   int64_t N, int64_t K, float *Y, int threads) {
  for (int e = 0; e < E; e++) {
    const int first = routes.offsets[e], rows = routes.offsets[e + 1] - first;
    if (!rows) continue;
    chosen->dense(W + e * N * K, N, K, x + first * K, rows, Y + first * N, threads);
    for (int s = first; s < first + rows; s++)
      for (int64_t n = 0; n < N; n++) Y[s * N + n] += to_float(bias[e * N + n]);
  }
}

}  // namespace

extern "C" {

int gm_version() { return 7; }

// Use the kernels of that name; 0 where this processor cannot run them.
int gm_select(const char *name) {
  const Kernels *found = choose(name);
  if (found) chosen = found;
  return found != nullptr;
}

const char *gm_name() { return chosen->name; }

int gm_most_tokens() { return chosen->most_tokens; }

void gm_linear(const bf16 *x, const int32_t *offsets, const uint8_t *blocks, const uint8_t *scales,
               const bf16 *bias, int E, int N, int K, float *Y, int threads) {
  chosen->linear(x, nullptr, offsets, Packed{blocks, scales, bias, E, N, K}, Y, threads);
}

void gm_linear_transposed(const bf16 *dY, const int32_t *offsets, const uint8_t *blocks,
                          const uint8_t *scales, int E, int N, int K, float *dX, int threads) {
  chosen->transposed(dY, offsets, Packed{blocks, scales, nullptr, E, N, K}, dX, threads);
}

void gm_unpack(const uint8_t *blocks, const uint8_t *scales, int64_t num_rows, int K, bf16 *out,
               int threads) {
  chosen->unpack(blocks, scales, num_rows, K, out, threads);
}

// out bf16 [M, N]; bias [N] or null
void gm_dense(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, const bf16 *bias,
              bf16 *out, int threads) {
  std::vector<float> Y(M * N);
  chosen->dense(W, N, K, x, M, Y.data(), threads);
  for (int64_t i = 0; i < M * N; i++) out[i] = to_bf16(Y[i] + (bias ? to_float(bias[i % N]) : 0.f));
}

// The activation of g, or where dh is given its gradient; see struct Activation
void gm_activation(const void *g, const void *dh, int64_t S, int64_t I, int64_t is_wide, float alpha,
                   float limit, void *out, int threads) {
  chosen->activation({g, dh, S, I, is_wide, alpha, limit, out}, threads);
}

// sizes: batch, heads, groups, keys, size, batch_step, group_step, key_step of struct Attention
void gm_attend(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *sinks, const uint8_t *seen,
               const int64_t *sizes, float scaling, bf16 *out, int threads) {
  const int64_t *s = sizes;
  chosen->attend({q, k, v, sinks, seen, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], scaling},
                 out, threads);
}

// out bf16 [T, H] = sum_j weights[t, j] * expert(ids[t, j])(x[t]); gate_up [E, 2I, H], down [E, H, I]
void gm_moe(const bf16 *x, int T, int top_k, const int32_t *ids, const float *weights,
            const uint8_t *up_blocks, const uint8_t *up_scales, const bf16 *up_bias,
            const uint8_t *down_blocks, const uint8_t *down_scales, const bf16 *down_bias, int E,
            int H, int I, float alpha, float limit, bf16 *out, int threads) {
  const int S = T * top_k;
  const Routes routes(ids, S, top_k, E);
  std::vector<float> G((size_t)S * 2 * I), Y((size_t)S * H);
  std::vector<bf16> h((size_t)S * I);
  const Packed up{up_blocks, up_scales, up_bias, E, 2 * I, H};
  const Packed down{down_blocks, down_scales, down_bias, E, H, I};
  chosen->linear(x, routes.token_of.data(), routes.offsets.data(), up, G.data(), threads);
  chosen->swiglu(G.data(), S, I, alpha, limit, h.data(), threads);
  chosen->linear(h.data(), nullptr, routes.offsets.data(), down, Y.data(), threads);
  combine(Y.data(), routes, weights, T, top_k, H, out, threads);
}

// The same of bf16 matrices up [E, 2I, H] and down [E, H, I]; for a few tokens
void gm_moe_dense(const bf16 *x, int T, int top_k, const int32_t *ids, const float *weights,
                  const bf16 *up, const bf16 *up_bias, const bf16 *down, const bf16 *down_bias,
                  int E, int H, int I, float alpha, float limit, bf16 *out, int threads) {
  const int S = T * top_k;
  const Routes routes(ids, S, top_k, E);
  std::vector<float> G((size_t)S * 2 * I), Y((size_t)S * H);
  std::vector<bf16> h((size_t)S * I), rows((size_t)S * H);
  for (int s = 0; s < S; s++)
    memcpy(&rows[(size_t)s * H], x + (int64_t)routes.token_of[s] * H, sizeof(bf16) * H);
  dense_experts(rows.data(), routes, up, up_bias, E, 2 * I, H, G.data(), threads);
  chosen->swiglu(G.data(), S, I, alpha, limit, h.data(), threads);
  dense_experts(h.data(), routes, down, down_bias, E, H, I, Y.data(), threads);
  combine(Y.data(), routes, weights, T, top_k, H, out, threads);
}

// One decode step of a whole model: see step.h
void gm_step(const StepModel *model, const StepTokens *tokens, int threads) {
  chosen->step(*model, *tokens, threads);
}

// Reads n bytes and returns a checksum: what the memory can give, for the benchmarks.
uint64_t gm_read(const uint64_t *p, int64_t n, int threads) {
  uint64_t total = 0;
  int64_t words = n / 8;
#pragma omp parallel for num_threads(threads) reduction(^ : total) schedule(static)
  for (int64_t i = 0; i < words; i++) total ^= p[i];
  return total;
}
}
