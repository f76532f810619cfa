use std::vec;
use std::vec::Vec;

use crate::Violation;
use anti_entropy::value::{Encoded, Part};

/// At how many places an encoding is changed, at most; the beginning and the end are always among them.
const PLACES: usize = 96;
/// At how many places it is changed at least, however long it is.
const LEAST_PLACES: usize = 6;
/// Long encodings are changed at so few places that no more than this is copied for each kind of change.
const BYTES_PER_CHANGE: usize = 4 << 20;

/// Hands `visit` encodings that differ a little from this one: cut off, with bits flipped, bytes left out, put in or
/// swapped, numbers in a longer form, bytes left over, parts missing, repeated, swapped or changed.
pub(super) fn each_mutation(
    encoded: &Encoded,
    visit: &mut dyn FnMut(&Encoded) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(11);
    for body in bodies(&encoded.body, &mut random) {
        visit(&Encoded { body, parts: encoded.parts.clone() })?;
    }
    for parts in part_lists(&encoded.parts, &mut random) {
        visit(&Encoded { body: encoded.body.clone(), parts })?;
    }
    Ok(())
}

fn bodies(body: &[u8], random: &mut fastrand::Rng) -> impl Iterator<Item = Vec<u8>> {
    let original = body.to_vec();
    let longer = [0, b' ', 0xff].map(|byte| [body, &[byte]].concat());
    let doubled = [body, body].concat();
    let mut noise = vec![0; body.len().min(64)];
    random.fill(&mut noise);
    let twice: Vec<Vec<u8>> = (0..effort(body.len())).filter_map(|_| changed_twice(body, random)).collect();
    let changed = places(body.len(), random).into_iter().flat_map(move |at| changed_at(&original, at));
    changed.chain(longer).chain([Vec::new(), doubled, noise]).chain(twice)
}

fn effort(length: usize) -> usize {
    (BYTES_PER_CHANGE / length.max(1)).clamp(LEAST_PLACES, PLACES)
}

fn places(length: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    if length <= PLACES {
        return (0..length).collect();
    }
    let third = effort(length) / 3;
    let within = (0..third).map(|_| random.usize(0..length));
    (0..third).chain(within).chain(length - third..length).collect()
}

fn changed_at(body: &[u8], at: usize) -> Vec<Vec<u8>> {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = body.to_vec();
        change(&mut changed);
        changed
    };
    let mut changed: Vec<Vec<u8>> = (0..8).map(|bit| with(&|bytes| bytes[at] ^= 1 << bit)).collect();
    // A space is what lenient readers of text leave out; the others are the ends of what a byte holds.
    changed.extend([0, b' ', 0xff].map(|byte| with(&|bytes| bytes[at] = byte)));
    changed.push(with(&|bytes| bytes.truncate(at)));
    changed.push(with(&|bytes| bytes[at] = bytes[at].wrapping_add(1)));
    changed.push([&body[..at], &body[at + 1..]].concat());
    changed.push(with(&|bytes| bytes.insert(at, 0)));
    changed.push(with(&|bytes| bytes.insert(at, bytes[at])));
    // The same number in a longer form, where a number of variable length ends here.
    changed.push(with(&|bytes| {
        bytes[at] |= 0x80;
        bytes.insert(at + 1, 0);
    }));
    if at + 1 < body.len() {
        changed.push(with(&|bytes| bytes.swap(at, at + 1)));
    }
    changed
}

fn changed_twice(body: &[u8], random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let mut changed = body.to_vec();
    for _ in 0..2 {
        let at = random.choice(0..changed.len())?;
        changed[at] = random.u8(..);
    }
    Some(changed)
}

fn part_lists(parts: &[Part], random: &mut fastrand::Rng) -> Vec<Vec<Part>> {
    let mut lists = vec![[parts, &[Part::from(&b"surplus"[..])]].concat(), Vec::new()];
    for at in 0..parts.len() {
        let with = |part: Vec<u8>| {
            let mut changed = parts.to_vec();
            changed[at] = Part::from(part);
            changed
        };
        let bytes = parts[at].as_bytes();
        lists.extend(bodies(bytes, random).map(with));
        lists.push([&parts[..at], &parts[at + 1..]].concat());
        lists.push([&parts[..=at], &parts[at..]].concat());
        if at > 0 {
            let mut swapped = parts.to_vec();
            swapped.swap(at - 1, at);
            lists.push(swapped);
        }
    }
    lists
}
