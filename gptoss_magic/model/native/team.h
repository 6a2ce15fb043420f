// Threads that work through one list of stages together, and do not wait for each other's sleep.
//
// A stage is a number of pieces. Whoever is free takes the next one, so a thread that comes late, or
// that the system takes off its processor, holds up the one piece it has in hand. Those that wait
// for it spin shortly, then sleep: the processor that becomes idle is where it goes on.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

static inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True as soon as `is_met()`; false after some 50 microseconds.
template <class Condition>
bool spun_until(Condition is_met) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 32; i++) {
      if (is_met()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

class Stages {
 public:
  explicit Stages(int64_t num_stages) : stages(new Stage[num_stages]) {}

  // Take pieces of stage `number` until none is left, and come back when all are done. `prepare()`
  // comes before this thread's first piece, and not at all where it gets none.
  template <class Prepare, class Work>
  void run(int64_t number, int64_t pieces, Prepare prepare, Work work) {
    Stage &stage = stages[number];
    int64_t num_mine = 0;
    for (int64_t piece; (piece = stage.next.fetch_add(1)) < pieces; num_mine++) {
      if (!num_mine) prepare();
      work(piece);
    }
    auto is_done = [&] { return stage.done.load() == pieces; };
    if (num_mine && stage.done.fetch_add(num_mine) + num_mine == pieces) {
      if (num_asleep.load()) {
        { std::lock_guard<std::mutex> lock(mutex); }
        woken.notify_all();
      }
    } else if (!spun_until(is_done)) {
      std::unique_lock<std::mutex> lock(mutex);
      num_asleep++;
      woken.wait(lock, is_done);
      num_asleep--;
    }
  }

 private:
  struct alignas(64) Stage {
    std::atomic<int64_t> next{0}, done{0};
  };
  std::unique_ptr<Stage[]> stages;
  std::atomic<int> num_asleep{0};
  std::mutex mutex;
  std::condition_variable woken;
};

struct Job {
  virtual void work() = 0;  // by each thread that takes part; ends when all of it is done
  virtual ~Job() = default;
};

// Work through `job` on up to `threads` threads, this one among them; alone where another job is
// under way. The others sleep between jobs.
void run_together(Job &job, int threads);
