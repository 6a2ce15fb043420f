// A whole model by llama.cpp, as a process that stays: THREADS MODEL.gguf LOGITS.
//
// A line "NEW ID ID …" is a prompt and the number of greedy tokens behind it; the answer is a line
// "PREFILL_S DECODE_S": seconds to the logits behind the prompt, and of the NEW steps after that.
// LOGITS gets those of the latest prompt, float32 [V], so that two implementations can be compared.

#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

static void require(bool holds, const char *what) {
  if (holds) return;
  std::cerr << what << std::endl;
  std::exit(1);
}

static double now_s() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

// What llama.cpp's own tools set on a CPU: all else is its default.
static llama_context *context_of(llama_model *model, int threads) {
  auto settings = llama_context_default_params();
  settings.n_ctx = 4096;
  settings.n_batch = 2048;
  settings.n_threads = settings.n_threads_batch = threads;
  return llama_init_from_model(model, settings);
}

// Puts `ids` behind what the context holds: logits [V] behind the last.
static const float *step(llama_context *context, std::vector<llama_token> ids) {
  auto batch = llama_batch_get_one(ids.data(), static_cast<int32_t>(ids.size()));
  require(llama_decode(context, batch) == 0, "llama_decode failed");
  return llama_get_logits_ith(context, -1);
}

int main(int argc, char **argv) {
  require(argc == 4, "THREADS MODEL.gguf LOGITS are needed");
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_backend_init();
  auto *model = llama_model_load_from_file(argv[2], llama_model_default_params());
  require(model, "the model cannot be loaded");
  auto *context = context_of(model, std::atoi(argv[1]));
  require(context, "there is no memory for the context");
  const int size = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream numbers(line);
    int num_new;
    numbers >> num_new;
    std::vector<llama_token> prompt;
    for (llama_token id; numbers >> id;) prompt.push_back(id);
    llama_memory_clear(llama_get_memory(context), true);
    const double begin = now_s();
    const float *logits = step(context, prompt);
    const double prefill_s = now_s() - begin;
    std::ofstream(argv[3], std::ios::binary)
        .write(reinterpret_cast<const char *>(logits), size * sizeof(float));
    const double first = now_s();
    for (int i = 0; i < num_new; ++i) {
      auto id = static_cast<llama_token>(std::max_element(logits, logits + size) - logits);
      logits = step(context, {id});
    }
    std::cout << prefill_s << ' ' << now_s() - first << std::endl;
  }
}
