// Packed MXFP4 and bf16 matrix kernels behind a plain C interface.
//
// Weights keep the gpt-oss checkpoint layout: blocks u8 [E, N, K/32, 16], scales u8 [E, N, K/32],
// low nibble first, value = e2m1[code] * 2^(scale - 127). K % 32 == 0, N % 16 == 0, scales in
// 2..252: the caller checks. Legend: T tokens, S routed rows sorted by expert, E experts,
// N outputs, K inputs. offsets [E + 1] delimits the rows of each expert.
#pragma once
#include <cstdint>
#include <cstring>

typedef uint16_t bf16;

static inline float to_float(bf16 v) {
  uint32_t u = (uint32_t)v << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline float to_float(float v) { return v; }

static inline bf16 to_bf16(float f) {  // round to nearest even; NaN stays NaN
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return (bf16)((u >> 16) | 0x40);
  return (bf16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

static inline void put(bf16 *at, float v) { *at = to_bf16(v); }
static inline void put(float *at, float v) { *at = v; }

struct Packed {
  const uint8_t *blocks, *scales;
  const bf16 *bias;  // [E, N] or null
  int num_experts, N, K;
};

// Y[s] = x[rows ? rows[s] : s] @ W_e^T + bias_e, fp32 [S, N]
typedef void (*LinearFn)(const bf16 *x, const int32_t *rows, const int32_t *offsets, Packed w,
                         float *Y, int threads);
// dX = dY @ W_e, dY bf16 [S, N], dX fp32 [S, K]
typedef void (*TransposedFn)(const bf16 *dY, const int32_t *offsets, Packed w, float *dX,
                             int threads);
// out bf16 [num_rows, K]
typedef void (*UnpackFn)(const uint8_t *blocks, const uint8_t *scales, int64_t num_rows, int K,
                         bf16 *out, int threads);
// Y fp32 [M, N] = x bf16 [M, K] @ W bf16 [N, K]^T, K % 32 == 0
typedef void (*DenseFn)(const bf16 *W, int64_t N, int64_t K, const bf16 *x, int M, float *Y,
                        int threads);
// H bf16 [S, I] = clamped swiglu of G fp32 [S, 2I] (gate and up interleaved)
typedef void (*SwigluFn)(const float *G, int64_t S, int I, float alpha, float limit, bf16 *H,
                         int threads);

// g [S, 2I], gate and up interleaved; out [S, I] is the clamped swiglu, or of a gradient dh [S, I] that
// of g, out [S, 2I]. All fp32 where `is_wide`, else bf16.
struct Activation {
  const void *g, *dh;
  int64_t S, I, is_wide;
  float alpha, limit;
  void *out;
};
typedef void (*ActivationFn)(const Activation &a, int threads);

struct Attention {
  const bf16 *q, *k, *v, *sinks;  // q [batch, heads, size]; k and v by their steps; sinks [heads]
  const uint8_t *seen;            // [batch, keys], 0 where a key is padding; or null
  int64_t batch, heads, groups, keys, size, batch_step, group_step, key_step;  // steps in values
  float scaling;
};

// out [batch, heads, size]: one query a head; heads / groups of them share keys and values
typedef void (*AttendFn)(const Attention &a, bf16 *out, int threads);

struct StepModel;
struct StepTokens;
// see step.h
typedef void (*StepFn)(const StepModel &model, const StepTokens &tokens, int threads);

struct Kernels {
  const char *name;
  LinearFn linear;
  TransposedFn transposed;
  UnpackFn unpack;
  DenseFn dense;
  SwigluFn swiglu;
  ActivationFn activation;
  AttendFn attend;
  StepFn step;
  int most_tokens;  // of a step in bf16: more are better off with torch's products
};

extern const Kernels kernels_generic;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512, kernels_amx;

namespace amx {
bool is_there();  // asks the system for it, once is enough
}
#endif
