/// The counters of one sender that were accepted, so that each datagram is accepted once.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    /// One more than the highest that was accepted.
    end: u64,
    /// One bit for each of the counters below `end`, at the counter's place modulo the width.
    taken: [u64; Self::WORDS],
}

/// Why a counter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// It was accepted before.
    Already,
    /// It is so old that this is no longer known.
    Forgotten,
}

impl ReplayWindow {
    /// How far back a late datagram is distinguished from a repeated one. At two datagrams per second this is minutes.
    /// A node counts the datagrams to all its peers together, so it is less in practice, but no network delays a
    /// datagram by so many others.
    pub(super) const WIDTH: u64 = 1_024;
    const WORDS: usize = (Self::WIDTH / 64) as usize;

    /// A window that accepted this counter, and accepts none before it.
    pub(super) fn starting_with(counter: u64) -> Self {
        Self { end: counter.saturating_add(1), taken: [u64::MAX; Self::WORDS] }
    }

    /// One more than the highest counter that was accepted.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Accepts a counter, once.
    pub(super) fn take(&mut self, counter: u64) -> Result<(), Used> {
        self.check(counter)?;
        if counter >= self.end {
            let fresh = (counter - self.end).min(Self::WIDTH - 1);
            for skipped in counter - fresh..=counter {
                self.set(skipped, false);
            }
            // The counter u64::MAX is never sent, see `Sealer`. If a member sends it all the same, nothing can follow
            // it.
            self.end = counter.saturating_add(1);
        }
        self.set(counter, true);
        Ok(())
    }

    /// Whether a counter could be accepted.
    fn check(&self, counter: u64) -> Result<(), Used> {
        if counter >= self.end {
            Ok(())
        } else if self.end - counter > Self::WIDTH {
            Err(Used::Forgotten)
        } else if self.taken[Self::word(counter)] >> (counter % 64) & 1 == 1 {
            Err(Used::Already)
        } else {
            Ok(())
        }
    }

    fn set(&mut self, counter: u64, taken: bool) {
        let word = &mut self.taken[Self::word(counter)];
        *word = *word & !(1 << (counter % 64)) | u64::from(taken) << (counter % 64);
    }

    fn word(counter: u64) -> usize {
        // Less than WORDS, so it fits any usize.
        (counter % Self::WIDTH / 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_taken_once_in_any_order_within_the_width() {
        let mut random = fastrand::Rng::with_seed(1);
        for start in [0, 5_000, u64::MAX - 10_000] {
            let mut window = ReplayWindow::starting_with(start);
            let mut counters: Vec<u64> = (start + 1..start + 4_001).collect();
            for block in counters.chunks_mut(500) {
                random.shuffle(block);
            }
            for &counter in &counters {
                assert_eq!(window.take(counter), Ok(()), "{counter}");
                assert_eq!(window.take(counter), Err(Used::Already), "{counter}");
            }
            assert_eq!(window.take(start + 4_001 - ReplayWindow::WIDTH), Err(Used::Already));
            assert_eq!(window.take(start + 4_000 - ReplayWindow::WIDTH), Err(Used::Forgotten));
        }
    }

    #[test]
    fn a_jump_forgets_what_lies_further_back_and_nothing_else() {
        let mut window = ReplayWindow::starting_with(0);
        assert_eq!([0, 1, 1_500].map(|counter| window.take(counter)), [Err(Used::Already), Ok(()), Ok(())]);
        assert_eq!(window.take(476), Err(Used::Forgotten));
        // 477 shares no bit with 1,500, and 1,024 shares one with 0.
        assert_eq!([477, 1_024, 1_025].map(|counter| window.take(counter)), [Ok(()); 3]);
        assert_eq!(window.take(u64::MAX - 1), Ok(()));
        assert_eq!(window.take(1_499), Err(Used::Forgotten));
    }

    #[test]
    fn what_came_before_the_first_is_not_taken() {
        let mut window = ReplayWindow::starting_with(5_000);
        assert_eq!([4_999, 3_977].map(|counter| window.take(counter)), [Err(Used::Already); 2]);
        assert_eq!(window.take(3_976), Err(Used::Forgotten));
        assert_eq!(window.take(5_001), Ok(()));
        assert_eq!([5_000, 4_999].map(|counter| window.take(counter)), [Err(Used::Already); 2]);
    }
}
