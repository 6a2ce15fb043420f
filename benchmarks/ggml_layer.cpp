// One MoE layer of gpt-oss by ggml, as llama.cpp builds it, timed on request.
//
//   ggml_layer THREADS repacked|plain WEIGHTS INPUTS OUTPUT
//
// WEIGHTS: int32 E, H, I; MXFP4 blocks of gate [E, I, H], up [E, I, H], down [E, H, I]; fp32 biases
// [E, I], [E, I], [E, H]. INPUTS: int32 T, k, R; fp32 x [T, H], weights [T, k]; int32 ids [R, T, k].
// The result of the first routing goes to OUTPUT, fp32 [T, H]. After "ready", each number of calls
// on standard input gives the milliseconds of one call; each call has the next routing.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

static void require(bool good, const char *what) {
  if (good) return;
  std::fprintf(stderr, "ggml_layer: %s\n", what);
  std::exit(1);
}

struct Reader {
  std::ifstream file;
  explicit Reader(const char *path) : file(path, std::ios::binary) { require(file.good(), path); }
  template <class T> std::vector<T> take(size_t count) {
    std::vector<T> values(count);
    file.read(reinterpret_cast<char *>(values.data()), count * sizeof(T));
    require(file.good(), "a file is too short");
    return values;
  }
  void fill(ggml_tensor *tensor) {
    auto bytes = take<char>(ggml_nbytes(tensor));
    ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
  }
};

static ggml_context *context(size_t bytes) { return ggml_init({bytes, nullptr, true}); }

static ggml_backend_buffer_type_t buffer_type(ggml_backend_t backend, bool repacked) {
  if (!repacked) return ggml_backend_cpu_buffer_type();
  auto device = ggml_backend_get_device(backend);
  auto get = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
      ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  for (auto type = get ? get(device) : nullptr; type && *type; ++type)
    if (std::strstr(ggml_backend_buft_name(*type), "REPACK")) return *type;
  require(false, "this processor has no repacked buffers");
  return nullptr;
}

struct Weights {
  ggml_tensor *gate, *up, *down, *gate_bias, *up_bias, *down_bias;
};

static Weights read_weights(const char *path, ggml_backend_t backend, bool repacked) {
  Reader reader(path);
  auto sizes = reader.take<int32_t>(3);
  const int64_t E = sizes[0], H = sizes[1], I = sizes[2];
  auto *packed = context(1 << 20), *plain = context(1 << 20);
  Weights w{ggml_new_tensor_3d(packed, GGML_TYPE_MXFP4, H, I, E),
            ggml_new_tensor_3d(packed, GGML_TYPE_MXFP4, H, I, E),
            ggml_new_tensor_3d(packed, GGML_TYPE_MXFP4, I, H, E),
            ggml_new_tensor_2d(plain, GGML_TYPE_F32, I, E),
            ggml_new_tensor_2d(plain, GGML_TYPE_F32, I, E),
            ggml_new_tensor_2d(plain, GGML_TYPE_F32, H, E)};
  auto *held = ggml_backend_alloc_ctx_tensors_from_buft(packed, buffer_type(backend, repacked));
  require(held && ggml_backend_alloc_ctx_tensors(plain, backend), "no memory for the weights");
  ggml_backend_buffer_set_usage(held, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  for (auto *tensor : {w.gate, w.up, w.down, w.gate_bias, w.up_bias, w.down_bias})
    reader.fill(tensor);
  return w;
}

struct Layer {
  ggml_tensor *x, *ids, *weights, *out;
  ggml_cgraph *graph;
};

// The graph of llama.cpp's gpt-oss: three mul_mat_id with add_id, swiglu_oai, a weighted sum.
static Layer layer_of(const Weights &w, ggml_backend_t backend, int64_t T, int64_t k) {
  const int64_t H = w.gate->ne[0];
  auto *c = context(4 << 20);
  Layer l{ggml_new_tensor_3d(c, GGML_TYPE_F32, H, 1, T), ggml_new_tensor_2d(c, GGML_TYPE_I32, k, T),
          ggml_new_tensor_3d(c, GGML_TYPE_F32, 1, k, T), nullptr, ggml_new_graph(c)};
  auto by_expert = [&](ggml_tensor *weight, ggml_tensor *bias, ggml_tensor *given) {
    return ggml_add_id(c, ggml_mul_mat_id(c, weight, given, l.ids), bias, l.ids);
  };
  auto *up = by_expert(w.up, w.up_bias, l.x), *gate = by_expert(w.gate, w.gate_bias, l.x);
  auto *y = by_expert(w.down, w.down_bias, ggml_swiglu_oai(c, gate, up, 1.702f, 7.0f));
  y = ggml_mul(c, y, l.weights);
  for (int64_t i = 0; i < k; ++i) {
    auto *part = ggml_view_2d(c, y, H, T, y->nb[2], i * y->nb[1]);
    l.out = l.out ? ggml_add(c, l.out, part) : part;
  }
  for (auto *input : {l.x, l.ids, l.weights}) ggml_set_input(input);
  ggml_set_output(l.out);
  ggml_build_forward_expand(l.graph, l.out);
  auto *allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend));
  require(ggml_gallocr_alloc_graph(allocator, l.graph), "no memory for the graph");
  return l;
}

static double now_ms() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(time).count();
}

int main(int argc, char **argv) {
  require(argc == 6, "THREADS repacked|plain WEIGHTS INPUTS OUTPUT are needed");
  ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  auto *backend = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(backend, std::atoi(argv[1]));
  auto weights = read_weights(argv[3], backend, std::string(argv[2]) == "repacked");
  Reader inputs(argv[4]);
  auto sizes = inputs.take<int32_t>(3);
  const size_t T = sizes[0], k = sizes[1], R = sizes[2];
  auto layer = layer_of(weights, backend, T, k);
  inputs.fill(layer.x);
  inputs.fill(layer.weights);
  auto ids = inputs.take<int32_t>(R * T * k);
  size_t number = 0;
  auto call = [&] {
    ggml_backend_tensor_set(layer.ids, &ids[number++ % R * T * k], 0, T * k * sizeof(int32_t));
    require(ggml_backend_graph_compute(backend, layer.graph) == GGML_STATUS_SUCCESS, "no result");
  };
  call();
  std::vector<char> result(ggml_nbytes(layer.out));
  ggml_backend_tensor_get(layer.out, result.data(), 0, result.size());
  std::ofstream(argv[5], std::ios::binary).write(result.data(), result.size());
  std::cout << "ready" << std::endl;
  for (int calls; std::cin >> calls;) {
    const double begin = now_ms();
    for (int i = 0; i < calls; ++i) call();
    std::cout << (now_ms() - begin) / calls << std::endl;
  }
}
