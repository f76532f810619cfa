//! Frames that wait, of any number of peers, none of which takes what another has not used up.

use std::collections::{BTreeMap, VecDeque};

use super::contain::Contained;
use crate::PeerId;

/// A frame that waits, and the room that it takes in the transport for as long as this lives.
pub(super) struct Waiting {
    pub(super) frame: Vec<u8>,
    room: Contained<Box<dyn Send>>,
}

impl Waiting {
    pub(super) fn new(frame: Vec<u8>, room: Box<dyn Send>) -> Self {
        Self { frame, room: Contained::new(room) }
    }
}

/// What may wait together, of all peers.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) frames: usize,
    /// One frame that waits alone may be longer.
    pub(super) bytes: usize,
}

/// Frames of each peer in the order of their arrival. The peers take turns, by deficit round robin. If there is no room
/// for a frame, the peer that takes most of it loses its newest.
pub(super) struct FrameQueue {
    peers: BTreeMap<PeerId, OfPeer>,
    /// The peers of which frames wait, and whose turn it is first.
    turns: VecDeque<PeerId>,
    frames: usize,
    bytes: usize,
    limits: QueueLimits,
}

#[derive(Default)]
struct OfPeer {
    /// Never empty.
    frames: VecDeque<Waiting>,
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

    /// Queues a frame. Returns those that had to go for want of room; this may be one of them. O(peers) if there is none.
    ///
    /// A peer's frames keep the room that they take in the transport once it takes more than half of the room here: so a
    /// transport that pushes back does so before any is dropped, and not for what one long message takes.
    pub(super) fn push(&mut self, from: PeerId, mut waiting: Waiting) -> Vec<Waiting> {
        let of_peer = self.peers.entry(from.clone()).or_default();
        if of_peer.frames.is_empty() {
            self.turns.push_back(from);
        }
        let bytes = waiting.frame.len();
        self.frames += 1;
        self.bytes += bytes;
        of_peer.bytes += bytes;
        if of_peer.frames.len() < self.limits.frames / 2 && of_peer.bytes <= self.limits.bytes / 2 {
            waiting.room = Contained::new(Box::new(()));
        }
        of_peer.frames.push_back(waiting);
        let mut gone = Vec::new();
        while self.frames > 1 {
            let Some(newest) = self.take_from_the_longest() else { break };
            gone.push(newest);
        }
        gone
    }

    /// Takes out the newest frame of the peer that takes most of the room that is short. `None` if none is.
    fn take_from_the_longest(&mut self) -> Option<Waiting> {
        let longest = if self.bytes > self.limits.bytes {
            self.peers.iter().max_by_key(|(_, of_peer)| of_peer.bytes)
        } else if self.frames > self.limits.frames {
            self.peers.iter().max_by_key(|(_, of_peer)| of_peer.frames.len())
        } else {
            None
        };
        let peer = longest.map(|(peer, _)| peer.clone())?;
        self.take(&peer, VecDeque::pop_back)
    }

    /// Takes out all that wait.
    pub(super) fn take_all(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.limits))
    }

    /// The next frame.
    pub(super) fn pop(&mut self) -> Option<(PeerId, Waiting)> {
        let peer = self.next_peer()?;
        let waiting = self.take(&peer, VecDeque::pop_front)?;
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            let bytes = i64::try_from(waiting.frame.len()).unwrap_or(i64::MAX);
            of_peer.credit = of_peer.credit.saturating_sub(bytes).saturating_sub(FRAME_COST);
        }
        Some((peer, waiting))
    }

    /// What [`pop`](Self::pop) returns next.
    pub(super) fn peek(&mut self) -> Option<&[u8]> {
        let peer = self.next_peer()?;
        self.peers.get(&peer)?.frames.front().map(|waiting| waiting.frame.as_slice())
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

    fn take(&mut self, peer: &PeerId, end: impl FnOnce(&mut VecDeque<Waiting>) -> Option<Waiting>) -> Option<Waiting> {
        let of_peer = self.peers.get_mut(peer)?;
        let waiting = end(&mut of_peer.frames)?;
        let bytes = waiting.frame.len();
        of_peer.bytes -= bytes;
        self.bytes -= bytes;
        self.frames -= 1;
        if of_peer.frames.is_empty() {
            self.peers.remove(peer);
            if self.turns.front() == Some(peer) {
                self.turns.pop_front();
            } else {
                self.turns.retain(|other| other != peer);
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn queue(frames: usize, bytes: usize) -> FrameQueue {
        FrameQueue::new(QueueLimits { frames, bytes })
    }

    fn peer(name: &str) -> PeerId {
        PeerId::from(name)
    }

    /// Queues a frame, and says how many had to go.
    fn push(queue: &mut FrameQueue, from: PeerId, frame: Vec<u8>) -> u64 {
        queue.push(from, Waiting::new(frame, Box::new(()))).len() as u64
    }

    /// Takes everything out, and says how many bytes of each frame of this peer.
    fn lengths_of(queue: &mut FrameQueue, name: &str) -> Vec<usize> {
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(from, waiting)| (from, waiting.frame)).collect();
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
                gone += push(&mut queue, peer("floods"), vec![0; length]);
                if number % 1000 == 500 {
                    gone += push(&mut queue, peer("honest"), vec![1; honest[number / 1000]]);
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
            push(&mut queue, peer("small"), vec![0; 20]);
            push(&mut queue, peer("large"), vec![0; 100_000]);
        }
        let (mut small, mut large) = (0_i64, 0);
        for _ in 0..500 {
            let (from, Waiting { frame, .. }) = queue.pop().unwrap();
            let cost = FRAME_COST + i64::try_from(frame.len()).unwrap();
            if from == peer("small") { small += cost } else { large += cost }
        }
        assert!((small - large).abs() < 2 * QUANTUM, "{small} {large}");
    }

    #[test]
    fn who_waits_alone_may_be_longer_and_what_is_looked_at_comes_next() {
        let mut queue = queue(2, 10);
        assert_eq!(push(&mut queue, peer("a"), vec![0; 11]), 0);
        assert_eq!(push(&mut queue, peer("b"), vec![0; 1]), 1, "the long one goes");
        assert_eq!(push(&mut queue, peer("b"), vec![0; 2]), 0);
        assert_eq!(push(&mut queue, peer("a"), vec![0; 3]), 1, "of who has two waiting");
        while let Some(next) = queue.peek().map(<[u8]>::len) {
            assert_eq!(queue.pop().unwrap().1.frame.len(), next);
        }
    }

    #[test]
    fn frames_keep_their_room_in_the_transport_once_their_peer_takes_half_of_it_here() {
        for (frames, bytes, length, before) in [(100, 1 << 20, 1, 50), (1 << 20, 100_000, 1000, 50)] {
            let mut queue = queue(frames, bytes);
            let in_transport = Arc::new(());
            let kept = || Arc::strong_count(&in_transport) - 1;
            for number in 1..=90 {
                let gone = queue.push(peer("a"), Waiting::new(vec![0; length], Box::new(Arc::clone(&in_transport))));
                assert!(gone.is_empty());
                assert_eq!(kept(), number - number.min(before));
            }
            for number in 1..=90 {
                drop(queue.pop());
                assert_eq!(kept(), 40 - (number - number.min(before)), "the oldest had none");
            }
        }
    }
}
