use std::collections::VecDeque;

use crate::limits::TransportLimits;
use crate::monitor::Monitor;

/// The frames that one task takes from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Up to `short_frame_bytes`.
    #[cfg(feature = "quic")]
    Short,
    /// Longer ones.
    #[cfg(feature = "quic")]
    Long,
    /// All, in the order in which they were pushed.
    All,
}

/// The frames that wait to be sent to one peer. Any task may push, and one task for each lane pops. The queue is
/// bounded in frames and in bytes.
#[derive(Debug)]
pub(crate) struct SendQueue {
    waiting: Monitor<Waiting>,
    max_frames: usize,
    max_bytes: usize,
    #[cfg(feature = "quic")]
    short_frame_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Shut while the peer cannot be reached, since frames that wait then would be stale when it can.
    shut: bool,
}

/// Why a frame was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    Full,
    Shut,
}

impl SendQueue {
    pub(crate) fn new(limits: &TransportLimits) -> Self {
        Self {
            waiting: Monitor::default(),
            max_frames: limits.send_queue_frames,
            max_bytes: limits.send_queue_bytes,
            #[cfg(feature = "quic")]
            short_frame_bytes: limits.short_frame_bytes,
        }
    }

    pub(crate) fn push(&self, frame: Vec<u8>) -> Result<(), PushError> {
        let mut waiting = self.waiting.lock();
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
        self.waiting.wake();
        Ok(())
    }

    /// Waits for the next frame of a lane. Dropping this before it is ready loses none.
    pub(crate) async fn pop(&self, lane: Lane) -> Vec<u8> {
        self.waiting.wait(|waiting| self.take(waiting, lane)).await
    }

    /// Waits until there is a frame.
    pub(crate) async fn filled(&self) {
        self.waiting.wait(|waiting| (!waiting.frames.is_empty()).then_some(())).await;
    }

    pub(crate) fn is_empty(&self, lane: Lane) -> bool {
        !self.waiting.lock().frames.iter().any(|frame| self.is_in(lane, frame))
    }

    /// Drops the frames that wait, and refuses others until [`open`](Self::open). Returns how many were dropped.
    pub(crate) fn shut(&self) -> u64 {
        let mut waiting = self.waiting.lock();
        let dropped = waiting.frames.len() as u64;
        *waiting = Waiting { shut: true, ..Waiting::default() };
        dropped
    }

    /// Accepts frames again.
    pub(crate) fn open(&self) {
        self.waiting.lock().shut = false;
    }

    fn take(&self, waiting: &mut Waiting, lane: Lane) -> Option<Vec<u8>> {
        let place = waiting.frames.iter().position(|frame| self.is_in(lane, frame))?;
        let frame = waiting.frames.remove(place)?;
        waiting.bytes -= frame.len();
        Some(frame)
    }

    #[cfg(feature = "quic")]
    fn is_in(&self, lane: Lane, frame: &[u8]) -> bool {
        match lane {
            Lane::All => true,
            Lane::Short => frame.len() <= self.short_frame_bytes,
            Lane::Long => frame.len() > self.short_frame_bytes,
        }
    }

    #[cfg(not(feature = "quic"))]
    #[allow(clippy::unused_self, reason = "with QUIC it is used")]
    fn is_in(&self, Lane::All: Lane, _: &[u8]) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SendQueue {
        fn try_pop(&self, lane: Lane) -> Option<Vec<u8>> {
            self.take(&mut self.waiting.lock(), lane)
        }
    }

    fn queue(send_queue_frames: usize, send_queue_bytes: usize) -> SendQueue {
        SendQueue::new(&TransportLimits {
            send_queue_frames,
            send_queue_bytes,
            short_frame_bytes: 4,
            ..TransportLimits::default()
        })
    }

    #[tokio::test]
    async fn bounded_in_frames_and_bytes() {
        let queue = queue(2, 10);
        assert_eq!([6, 5].map(|bytes| queue.push(vec![0; bytes])), [Ok(()), Err(PushError::Full)]);
        assert_eq!([4, 0].map(|bytes| queue.push(vec![0; bytes])), [Ok(()), Err(PushError::Full)]);
        queue.filled().await;
        assert_eq!(queue.try_pop(Lane::All).map(|frame| frame.len()), Some(6));
        assert_eq!(queue.push(vec![0; 6]), Ok(()));
    }

    #[test]
    fn shut_means_empty_and_refusing() {
        let queue = queue(10, 10);
        queue.push(vec![1]).unwrap();
        assert_eq!(queue.shut(), 1);
        assert_eq!((queue.try_pop(Lane::All), queue.push(vec![2])), (None, Err(PushError::Shut)));
        queue.open();
        assert_eq!((queue.push(vec![3; 10]), queue.try_pop(Lane::All)), (Ok(()), Some(vec![3; 10])));
    }

    #[cfg(feature = "quic")]
    #[test]
    fn a_long_frame_is_not_in_the_way_of_short_ones() {
        let queue = queue(10, 100);
        for bytes in [5, 4, 6, 1] {
            queue.push(vec![0; bytes]).unwrap();
        }
        let pop = |lane| queue.try_pop(lane).map(|frame| frame.len());
        assert_eq!([Lane::Short, Lane::Short, Lane::Short].map(pop), [Some(4), Some(1), None]);
        assert_eq!([Lane::Long, Lane::All, Lane::Long].map(pop), [Some(5), Some(6), None]);
    }
}
