// One decode step of the whole layer stack: what it is given. All memory belongs to the caller.
//
// T is bf16, or float where `is_wide`. Legend: R new tokens, B rows (sequences) that they belong to,
// H hidden size, E experts, k experts a token, I intermediate size, N outputs, K inputs, r rank.
#pragma once
#include <cstdint>

// y += scaling * B (A x), fp32: A [n, r, K] and B [n, N, r], n chosen experts, or n = 1
struct Branch {
  const float *A, *B;
  const int32_t *index;  // [E]: an expert's place in n, -1 where it has none; null: n = 1
  int64_t rank;
  float scaling;
};

// y = W x + bias, or one such for each expert; W [E, N, K] of T, or packed in MXFP4
struct Linear {
  const void *W, *bias;            // W null where packed; bias [E, N] or null
  const uint8_t *blocks, *scales;  // see kernels.h
  int64_t N, K;
  const Branch *branches;
  int64_t num_branches;
};

struct StepLayer {
  const void *input_norm, *post_norm, *sinks;  // [H], [H], [heads]
  Linear q, k, v, o, router, up, down;
  int64_t window;  // 0: all keys are seen
};

struct StepModel {
  const StepLayer *layers;
  int64_t num_layers, hidden, heads, groups, size, experts, top_k, inner, is_wide;
  const void *embedding, *norm;
  Linear head;
  float eps, alpha, limit, scaling;
};

// Of one row in one layer: [groups, capacity, size]; `group_step` in values
struct StepCache {
  void *keys, *values;
  int64_t group_step;
};

// What a query sees: keys first..last, and a sink
struct Seen {
  int64_t first, last;
  float sink;
};

struct StepTokens {
  int64_t num_tokens, num_rows, num_logits;
  const int64_t *ids, *places;      // [R]: a token, and where it stands in its row
  const int64_t *first;             // [B + 1]: which tokens belong to a row
  const int64_t *wanted;            // [num_logits]: the tokens whose logits are asked for
  const void *cosine, *sine;        // [places, size / 2] of T
  const StepCache *cache;           // [layers, B]; grows by the new tokens
  void *logits;                     // [num_logits, vocabulary] of T; null: not asked for
  void *states;                     // [num_logits, H] of T: what the head would read; or null
  int32_t *experts;                 // [layers, R, k]: where the tokens went; or null
  float *weights;                   // the same, with which weight
};
