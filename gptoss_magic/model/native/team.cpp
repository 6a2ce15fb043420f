#include "team.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>
#include <thread>

namespace {

class Team {
 public:
  static Team &of_this_process() {  // a fork has none of its parent's threads
    static std::mutex mutex;
    static Team *team;
    static pid_t owner;
    std::lock_guard<std::mutex> lock(mutex);
    if (!team || owner != getpid()) team = new Team, owner = getpid();
    return *team;
  }

  void run(Job &job, int helpers) {
    std::unique_lock<std::mutex> mine(turn, std::try_to_lock);
    if (!mine.owns_lock()) return job.work();
    {
      std::lock_guard<std::mutex> lock(mutex);
      while (num_helpers < helpers && begin_helper()) num_helpers++;
      current = &job;
      num_wanted = helpers;
      num_jobs++;
    }
    called.notify_all();
    job.work();
    std::unique_lock<std::mutex> lock(mutex);
    current = nullptr;  // who has not come yet need not
    left.wait(lock, [&] { return num_inside == 0; });
  }

 private:
  bool begin_helper() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the interpreter's
    bool is_there = true;
    try {
      std::thread([this] { help(); }).detach();
    } catch (const std::system_error &) {  // no more threads here: those that there are do it
      is_there = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return is_there;
  }

  void help() {
    std::unique_lock<std::mutex> lock(mutex);
    for (uint64_t last = 0;;) {
      called.wait(lock, [&] { return current && num_jobs != last && num_inside < num_wanted; });
      Job *job = current;
      last = num_jobs;
      num_inside++;
      lock.unlock();
      job->work();
      lock.lock();
      if (!--num_inside) left.notify_all();
    }
  }

  std::mutex turn, mutex;
  std::condition_variable called, left;
  Job *current = nullptr;
  int num_helpers = 0, num_wanted = 0, num_inside = 0;
  uint64_t num_jobs = 0;
};

}  // namespace

void run_together(Job &job, int threads) {
  if (threads > 1)
    Team::of_this_process().run(job, threads - 1);
  else
    job.work();
}
