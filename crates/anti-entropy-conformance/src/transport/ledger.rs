use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::vec;
use std::vec::Vec;

/// What became of a frame when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    Refused,
}

/// Stands for a frame: its length and hash.
pub(super) type Key = (usize, u64);

/// The frames that were sent one way, by hash, so that a flood of them takes little room.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    fates: HashMap<Key, Fate>,
    made: u64,
}

impl Ledger {
    /// A frame of this length, different from all earlier ones if it has the eight bytes that this takes.
    pub(super) fn make(&mut self, bytes: usize) -> Vec<u8> {
        self.made += 1;
        let mut frame = vec![0xA5; bytes];
        for (byte, number) in frame.iter_mut().zip(self.made.to_be_bytes()) {
            *byte ^= number;
        }
        // The far end differs too, so that a frame joined from two does not pass for either.
        if let Some(tail) = bytes.checked_sub(8).filter(|start| *start >= 8) {
            frame[tail..].copy_from_slice(&self.made.to_le_bytes());
        }
        frame
    }

    /// Notes what became of a frame. A short frame may be equal to an earlier one; accepted once is accepted.
    pub(super) fn note(&mut self, key: Key, fate: Fate) {
        let known = self.fates.entry(key).or_insert(fate);
        if fate == Fate::Accepted {
            *known = fate;
        }
    }

    pub(super) fn fate(&self, key: Key) -> Option<Fate> {
        self.fates.get(&key).copied()
    }
}

pub(super) fn key_of(frame: &[u8]) -> Key {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    (frame.len(), hasher.finish())
}
