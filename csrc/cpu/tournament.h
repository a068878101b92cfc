// Every pair of blocks, once, where a pair is added to both of its blocks: without locks, and in an order that does not
// depend on the number of threads.
//
// The pairs are ordered as the matches of a round-robin tournament by the circle method. In round 0 each block meets itself,
// in each later round each block meets one other, so that within a round no two pairs share a block. Threads take matches
// in that order; a match begins when both of its blocks have finished the round before. Hence the additions to a block come
// in the order of the rounds, whoever makes them. The match that is first in order never waits, so that some thread goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace smoothswap {

class Tournament {
 public:
  explicit Tournament(int64_t blocks) : blocks_(blocks), seats_(blocks + blocks % 2), rounds_done_(seats_) {}

  // Plays matches until none is left; play(i, j) with i ≥ j, equal in round 0. Called by any number of threads.
  template <class Play>
  void take_part(Play play) {
    const int64_t a_round = seats_ / 2, matches = blocks_ + (seats_ - 1) * a_round;
    for (int64_t match; (match = next_.fetch_add(1, std::memory_order_relaxed)) < matches;) {
      const bool alone = match < blocks_;
      const int64_t round = alone ? 0 : 1 + (match - blocks_) / a_round;
      auto [i, j] = alone ? std::pair(match, match) : pair_of(round - 1, (match - blocks_) % a_round);
      if (i < j) std::swap(i, j);
      const bool bye = i >= blocks_;  // with an odd number of blocks one rests
      if (!bye) wait(i, round);
      if (j != i) wait(j, round);
      if (!bye) play(i, j);
      rounds_done_[j].store(round + 1, std::memory_order_release);
      rounds_done_[i].store(round + 1, std::memory_order_release);
    }
  }

 private:
  // The last seat stays, the others move on around the circle.
  std::pair<int64_t, int64_t> pair_of(int64_t turn, int64_t place) const {
    const int64_t moving = seats_ - 1;
    if (place == 0) return {moving, turn};
    return {(turn + place) % moving, (turn - place + moving) % moving};
  }
  void wait(int64_t block, int64_t round) const {
    while (rounds_done_[block].load(std::memory_order_acquire) != round) std::this_thread::yield();
  }

  const int64_t blocks_, seats_;
  std::atomic<int64_t> next_{0};
  std::vector<std::atomic<int64_t>> rounds_done_;
};

}  // namespace smoothswap
