// AMX tiles, for the files that multiply by them.
//
// The instructions are written out: intrinsics of some compilers do not say that a tile's load reads
// memory, and the stores before it are then left out.
#pragma once
#include "avx512.h"

#define LOAD(tile, at, step) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(at), "r"((int64_t)(step)) : "memory")
#define STORE(tile, at, step) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(at), "r"((int64_t)(step)) : "memory")
#define CLEAR(tile) asm volatile("tilezero %%tmm" #tile ::: "memory")
// sum [a, b] += left [a, 32] right [16 pairs, b]
#define MULTIPLY(sum, left, right) \
  asm volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sum ::: "memory")

namespace amx {

const int ROWS = 16, COLUMNS = 32, TOKENS = 16;  // of a tile, at most

// The shapes of this thread's tiles, as long as it lives: one that keeps none is switched faster.
struct alignas(64) Tiles {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t bytes[16] = {};  // of a row
  uint8_t rows[16] = {};

  Tiles() = default;
  Tiles(const Tiles &) = delete;
  ~Tiles() { asm volatile("tilerelease" ::); }

  void shape(int tile, int num_rows, int num_words) {  // words of 32 bits
    rows[tile] = (uint8_t)num_rows, bytes[tile] = (uint16_t)(4 * num_words);
  }
  void use() const { asm volatile("ldtilecfg %0" ::"m"(*this)); }
};

inline __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }

}  // namespace amx
