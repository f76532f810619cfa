use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The frames that wait for one peer: many may push, one task pops. Bounded in frames and in bytes.
#[derive(Debug)]
pub(crate) struct SendQueue {
    waiting: Mutex<Waiting>,
    pushed: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Shut while the peer cannot be reached: what waited then would be stale when it can.
    shut: bool,
}

/// Why a frame was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    Full,
    Shut,
}

impl SendQueue {
    pub(crate) fn new(max_frames: usize, max_bytes: usize) -> Self {
        let waiting = Mutex::new(Waiting { frames: VecDeque::new(), bytes: 0, shut: false });
        Self { waiting, pushed: Notify::new(), max_frames, max_bytes }
    }

    pub(crate) fn push(&self, frame: Vec<u8>) -> Result<(), PushError> {
        let mut waiting = self.lock();
        if waiting.shut {
            return Err(PushError::Shut);
        }
        // No overflow: both are at most half of the address space, being lengths of vectors that exist.
        if waiting.frames.len() >= self.max_frames || waiting.bytes + frame.len() > self.max_bytes {
            return Err(PushError::Full);
        }
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        drop(waiting);
        self.pushed.notify_one();
        Ok(())
    }

    fn try_pop(&self) -> Option<Vec<u8>> {
        let mut waiting = self.lock();
        let frame = waiting.frames.pop_front()?;
        waiting.bytes -= frame.len();
        Some(frame)
    }

    /// Waits for the next frame. Dropping this before it is ready loses none.
    pub(crate) async fn pop(&self) -> Vec<u8> {
        loop {
            self.filled().await;
            if let Some(frame) = self.try_pop() {
                return frame;
            }
        }
    }

    /// Waits until there is a frame.
    pub(crate) async fn filled(&self) {
        while self.is_empty() {
            // A push since the look above has left its permit, so it is not missed.
            self.pushed.notified().await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    /// Refuses frames until [`open`](Self::open), and drops those that wait; says how many.
    pub(crate) fn shut(&self) -> u64 {
        let mut waiting = self.lock();
        let dropped = waiting.frames.len() as u64;
        *waiting = Waiting { frames: VecDeque::new(), bytes: 0, shut: true };
        dropped
    }

    /// Takes frames again.
    pub(crate) fn open(&self) {
        self.lock().shut = false;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bounded_in_frames_and_bytes() {
        let queue = SendQueue::new(2, 10);
        assert_eq!([6, 5].map(|bytes| queue.push(vec![0; bytes])), [Ok(()), Err(PushError::Full)]);
        assert_eq!([4, 0].map(|bytes| queue.push(vec![0; bytes])), [Ok(()), Err(PushError::Full)]);
        queue.filled().await;
        assert_eq!(queue.try_pop().map(|frame| frame.len()), Some(6));
        assert_eq!(queue.push(vec![0; 6]), Ok(()));
    }

    #[test]
    fn shut_means_empty_and_refusing() {
        let queue = SendQueue::new(10, 10);
        queue.push(vec![1]).unwrap();
        assert_eq!(queue.shut(), 1);
        assert_eq!((queue.try_pop(), queue.push(vec![2])), (None, Err(PushError::Shut)));
        queue.open();
        assert_eq!((queue.push(vec![3; 10]), queue.try_pop()), (Ok(()), Some(vec![3; 10])));
    }
}
