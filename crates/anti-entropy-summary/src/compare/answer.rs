//! The answering side of a comparison, which keeps no state between answers.

use alloc::vec;
use alloc::vec::Vec;

use crate::KeyHash;
use crate::node::FAN_OUT;
use crate::view::View;
use crate::{HashFunction, Snapshot, Width};

use super::packed::Packed;
use super::prefix::Prefix;
use super::wire::{Answer, Ask, MAX_LEVELS, MAX_LISTED, Part};

/// Up to so many prefixes, round trips are what counts; above, bytes do.
const FEW: usize = 32;
/// Nearly all, or all, of the 64 parts of a first answer: there are hundreds of differences, if not more, and few of the
/// parts three levels below are the same.
const NEARLY_ALL: core::ops::RangeInclusive<usize> = 60..=64;
/// From so many prefixes on, the descent goes one level at a time, which moves the fewest bytes.
const MANY: usize = 1024;
/// Entries listed where bytes count: about as long as asking for and getting the next level.
const MANY_LISTED: usize = 8;
/// No part is encoded in more than this and its content: a tag, the levels, the mask and the content's length.
const PART_OVERHEAD: usize = 1 + 1 + 10 + 3;
/// The number of parts.
const ANSWER_OVERHEAD: usize = 5;

/// Answers the prefixes of a question in order, as many as fit into `max_bytes`. Answers at least one, which takes at
/// most 160 bytes whatever the limit: one level of digests, or two entries.
///
/// The more prefixes are asked for, the fewer levels the answer descends: a few differences should take few round
/// trips, many should take few bytes. A question for nearly all parts of a first answer is an exception, since it shows
/// that very many keys differ.
///
/// O(depth) for each prefix answered; hashes at most 64 buckets.
pub fn answer<D: HashFunction>(snapshot: &Snapshot<D>, ask: &Ask, max_bytes: usize) -> Answer {
    let mut room = max_bytes.saturating_sub(ANSWER_OVERHEAD);
    let plan = Plan::new(ask.len(), ask.width());
    let mut parts = Packed::new();
    for prefix in ask.prefixes() {
        let prefix = &prefix;
        let view = snapshot.under(prefix.start(), prefix.bits());
        let (choice, bytes) = plan.choose(view, prefix);
        match room.checked_sub(bytes) {
            Some(left) => {
                parts.push(&plan.part::<D>(view, prefix, choice));
                room = left;
            }
            None if parts.len() == 0 => {
                // There must be progress, whatever the limit.
                parts.push(&plan.part::<D>(view, prefix, plan.squeeze(view, prefix, room)));
                break;
            }
            None => break,
        }
    }
    Answer { parts }
}

/// The answer to the question for all keys, with which every comparison starts. It can be sent before it is asked for.
pub fn first_answer<D: HashFunction>(snapshot: &Snapshot<D>, width: Width, max_bytes: usize) -> Answer {
    answer(snapshot, &Ask::new([Prefix::ALL], width), max_bytes)
}

/// How far one answer goes.
struct Plan {
    width: Width,
    levels: u8,
    listed: u64,
}

/// What is said about one prefix.
#[derive(Clone, Copy)]
enum Choice {
    List,
    Digests { levels: u8 },
}

impl Plan {
    fn new(asked: usize, width: Width) -> Self {
        let (levels, listed) = if asked <= FEW || NEARLY_ALL.contains(&asked) {
            (MAX_LEVELS, MAX_LISTED)
        } else if asked <= MANY {
            (2, MANY_LISTED)
        } else {
            (1, MANY_LISTED)
        };
        Self { width, levels, listed: listed as u64 }
    }

    /// The best that can be said, and how many bytes it takes at most.
    fn choose(&self, view: View<'_>, prefix: &Prefix) -> (Choice, usize) {
        let count = view.count();
        let possible = (Prefix::MAX_BITS - prefix.bits()) / 2;
        if count <= self.listed || possible == 0 {
            return (Choice::List, self.list_bytes(count, prefix));
        }
        // Parts of fewer than two entries or so are not worth a digest each.
        let mut levels = self.levels.min(possible);
        while levels > 1 && 2 << (2 * levels) > count {
            levels -= 1;
        }
        (Choice::Digests { levels }, self.digests_bytes(levels))
    }

    /// The best that can be said in `room` bytes; one level of digests if nothing can.
    fn squeeze(&self, view: View<'_>, prefix: &Prefix, room: usize) -> Choice {
        match self.choose(view, prefix) {
            (choice, bytes) if bytes <= room => choice,
            (Choice::List, _) if view.count() <= 2 => Choice::List,
            (Choice::List, _) => Choice::Digests { levels: 1 },
            (Choice::Digests { levels }, _) => {
                let fits = (1..levels).rev().find(|&levels| self.digests_bytes(levels) <= room);
                Choice::Digests { levels: fits.unwrap_or(1) }
            }
        }
    }

    fn list_bytes(&self, count: u64, prefix: &Prefix) -> usize {
        let entry = KeyHash::LEN - prefix.whole_bytes() + self.width.bytes();
        // Called for at most MAX_LISTED entries.
        PART_OVERHEAD + usize::try_from(count).map_or(usize::MAX / 2, |count| count * entry)
    }

    fn digests_bytes(&self, levels: u8) -> usize {
        PART_OVERHEAD + (self.width.bytes() << (2 * levels))
    }

    fn part<D: HashFunction>(&self, view: View<'_>, prefix: &Prefix, choice: Choice) -> Part {
        match choice {
            Choice::List => Part::Entries(self.list(view, prefix)),
            Choice::Digests { levels } => self.digests::<D>(view, prefix, levels),
        }
    }

    fn list(&self, view: View<'_>, prefix: &Prefix) -> Vec<u8> {
        let mut bytes = Vec::new();
        view.for_each_leaf(&mut |items| {
            for item in items {
                bytes.extend_from_slice(&item.key.as_bytes()[prefix.whole_bytes()..]);
                bytes.extend_from_slice(&item.fingerprint.as_bytes()[..self.width.bytes()]);
            }
        });
        bytes
    }

    fn digests<D: HashFunction>(&self, view: View<'_>, prefix: &Prefix, levels: u8) -> Part {
        let (mut empty, mut digests) = (0, Vec::new());
        for (index, part) in split(view, prefix.bits(), levels).into_iter().enumerate() {
            if part.is_empty() {
                empty |= 1 << index;
            } else {
                digests.extend_from_slice(&part.digest::<D>()[..self.width.bytes()]);
            }
        }
        Part::Digests { levels, empty, digests }
    }
}

/// The `4^levels` parts of what is under a prefix of `bits` bits, in ascending order.
pub(super) fn split(view: View<'_>, bits: u8, levels: u8) -> Vec<View<'_>> {
    let mut parts = vec![view];
    for depth in (bits..bits + 2 * levels).step_by(2) {
        parts = parts.iter().flat_map(|part| (0..FAN_OUT).map(move |slot| part.child(depth, slot))).collect();
    }
    parts
}
