//! Frames that wait, of any number of peers, none of which takes what another has not used up.

use std::collections::{BTreeMap, VecDeque};

use crate::PeerId;

/// What may wait together, of all peers.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) frames: usize,
    /// One frame that waits alone may be longer.
    pub(super) bytes: usize,
}

/// Frames of each peer in the order of their arrival. The peers take turns, by deficit round robin. If there is no room
/// for a frame, the peer that takes most of it loses its newest.
#[derive(Debug)]
pub(super) struct FrameQueue {
    peers: BTreeMap<PeerId, OfPeer>,
    /// The peers of which frames wait, and whose turn it is first.
    turns: VecDeque<PeerId>,
    frames: usize,
    bytes: usize,
    limits: QueueLimits,
}

#[derive(Debug, Default)]
struct OfPeer {
    /// Never empty.
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// What it may still have taken out in this turn.
    credit: i64,
}

/// What a peer may have taken out in a turn: one frame of the usual greatest length.
const QUANTUM: i64 = 64 << 10;
/// What a frame costs besides its bytes: a request of 20 bytes is answered from the store all the same.
const FRAME_COST: i64 = 4 << 10;

impl FrameQueue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self { peers: BTreeMap::new(), turns: VecDeque::new(), frames: 0, bytes: 0, limits }
    }

    pub(super) fn len(&self) -> usize {
        self.frames
    }

    /// Queues a frame. Returns how many had to go for want of room; that may be this one. O(peers) if there is none.
    pub(super) fn push(&mut self, from: PeerId, frame: Vec<u8>) -> u64 {
        let of_peer = self.peers.entry(from.clone()).or_default();
        if of_peer.frames.is_empty() {
            self.turns.push_back(from);
        }
        self.frames += 1;
        self.bytes += frame.len();
        of_peer.bytes += frame.len();
        of_peer.frames.push_back(frame);
        let mut gone = 0;
        while self.frames > 1 && self.drop_from_the_longest() {
            gone += 1;
        }
        gone
    }

    /// Drops the newest frame of the peer that takes most of the room that is short. `false` if none is.
    fn drop_from_the_longest(&mut self) -> bool {
        let longest = if self.bytes > self.limits.bytes {
            self.peers.iter().max_by_key(|(_, of_peer)| of_peer.bytes)
        } else if self.frames > self.limits.frames {
            self.peers.iter().max_by_key(|(_, of_peer)| of_peer.frames.len())
        } else {
            None
        };
        let Some(peer) = longest.map(|(peer, _)| peer.clone()) else { return false };
        let _ = self.take(&peer, VecDeque::pop_back);
        true
    }

    /// Drops all that wait.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The next frame.
    pub(super) fn pop(&mut self) -> Option<(PeerId, Vec<u8>)> {
        let peer = self.next_peer()?;
        let frame = self.take(&peer, VecDeque::pop_front)?;
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            let bytes = i64::try_from(frame.len()).unwrap_or(i64::MAX);
            of_peer.credit = of_peer.credit.saturating_sub(bytes).saturating_sub(FRAME_COST);
        }
        Some((peer, frame))
    }

    /// What [`pop`](Self::pop) returns next.
    pub(super) fn peek(&mut self) -> Option<&[u8]> {
        let peer = self.next_peer()?;
        self.peers.get(&peer)?.frames.front().map(Vec::as_slice)
    }

    /// Whose turn it is. Those before it have had theirs, and get credit for the next one.
    fn next_peer(&mut self) -> Option<PeerId> {
        loop {
            let of_peer = self.peers.get_mut(self.turns.front()?)?;
            if of_peer.credit > 0 {
                return self.turns.front().cloned();
            }
            of_peer.credit = of_peer.credit.saturating_add(QUANTUM);
            self.turns.rotate_left(1);
        }
    }

    fn take(&mut self, peer: &PeerId, end: impl FnOnce(&mut VecDeque<Vec<u8>>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let of_peer = self.peers.get_mut(peer)?;
        let frame = end(&mut of_peer.frames)?;
        of_peer.bytes -= frame.len();
        self.bytes -= frame.len();
        self.frames -= 1;
        if of_peer.frames.is_empty() {
            self.peers.remove(peer);
            if self.turns.front() == Some(peer) {
                self.turns.pop_front();
            } else {
                self.turns.retain(|waiting| waiting != peer);
            }
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(frames: usize, bytes: usize) -> FrameQueue {
        FrameQueue::new(QueueLimits { frames, bytes })
    }

    fn peer(name: &str) -> PeerId {
        PeerId::from(name)
    }

    /// Takes everything out, and says how many bytes of each frame of this peer.
    fn lengths_of(queue: &mut FrameQueue, name: &str) -> Vec<usize> {
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!((queue.len(), queue.bytes, queue.peers.len(), queue.turns.len()), (0, 0, 0, 0));
        all.into_iter().filter(|(from, _)| *from == peer(name)).map(|(_, frame)| frame.len()).collect()
    }

    #[test]
    fn who_floods_loses_its_own_frames_and_no_other() {
        for length in [0, 13, 1000] {
            let mut queue = queue(100, 10_000);
            let honest = [1000, 1, 500, 1000];
            let mut gone = 0;
            for number in 0..4000 {
                gone += queue.push(peer("floods"), vec![0; length]);
                if number % 1000 == 500 {
                    gone += queue.push(peer("honest"), vec![1; honest[number / 1000]]);
                }
                assert!(queue.len() <= 100 && queue.bytes <= 10_000);
            }
            assert_eq!(gone + queue.len() as u64, 4004);
            assert_eq!(lengths_of(&mut queue, "honest"), honest, "and in their order");
        }
    }

    #[test]
    fn peers_take_turns_whatever_waits() {
        let mut queue = queue(10_000, 1 << 30);
        for _ in 0..1000 {
            queue.push(peer("small"), vec![0; 20]);
            queue.push(peer("large"), vec![0; 100_000]);
        }
        let (mut small, mut large) = (0_i64, 0);
        for _ in 0..500 {
            let (from, frame) = queue.pop().unwrap();
            let cost = FRAME_COST + i64::try_from(frame.len()).unwrap();
            if from == peer("small") { small += cost } else { large += cost }
        }
        assert!((small - large).abs() < 2 * QUANTUM, "{small} {large}");
    }

    #[test]
    fn who_waits_alone_may_be_longer_and_what_is_looked_at_comes_next() {
        let mut queue = queue(2, 10);
        assert_eq!(queue.push(peer("a"), vec![0; 11]), 0);
        assert_eq!(queue.push(peer("b"), vec![0; 1]), 1, "the long one goes");
        assert_eq!(queue.push(peer("b"), vec![0; 2]), 0);
        assert_eq!(queue.push(peer("a"), vec![0; 3]), 1, "of who has two waiting");
        while let Some(next) = queue.peek().map(<[u8]>::len) {
            assert_eq!(queue.pop().unwrap().1.len(), next);
        }
    }
}
