//! `KeyHash::boundary_before` and the operations of `KeyRange`, against plain `u128` arithmetic.
#![no_main]

use anti_entropy::{KeyHash, KeyRange};
use libfuzzer_sys::fuzz_target;

// Four numbers, and eight bytes that each derive a point from one of them: points then often meet or are neighbours.
fuzz_target!(|input: ([u128; 4], [u8; 8])| {
    let (numbers, choices) = input;
    let points = choices.map(|choice| point(&numbers, choice));
    boundary(points[0], points[1]);
    let a = range(points[2], end(points[3], choices[3]));
    let b = range(points[4], end(points[5], choices[5]));
    if let (Some(a), Some(b)) = (a, b) {
        compare(&a, &b, &points);
    }
});

/// One of the numbers, or one that differs from it a little.
fn point(numbers: &[u128; 4], choice: u8) -> u128 {
    let number = numbers[usize::from(choice % 4)];
    let bit = u32::from(choice >> 5) * 17;
    match choice >> 2 & 0b111 {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => number ^ (1 << bit),
        3 => number & (u128::MAX << bit),
        4 => number | !(u128::MAX << bit),
        _ => number,
    }
}

/// One range in eight reaches the top.
fn end(point: u128, choice: u8) -> Option<u128> {
    (choice >> 5 != 0).then_some(point)
}

/// The boundary is the multiple of the greatest power of two that lies above `low` and not above `high`.
fn boundary(low: u128, high: u128) {
    let found = KeyHash::from_u128(low).boundary_before(KeyHash::from_u128(high)).to_u128();
    let expected = if high <= low {
        high
    } else {
        let mut rounded = (0..u128::BITS).rev().map(|zeros| high >> zeros << zeros);
        rounded.find(|&rounded| rounded > low).expect("with no bit cleared it is `high` itself")
    };
    assert_eq!(found, expected, "between {low:#x} and {high:#x}");
}

/// A range, and its model: the first and the last number in it.
struct Modelled {
    range: KeyRange,
    first: u128,
    last: u128,
}

fn range(lo: u128, hi: Option<u128>) -> Option<Modelled> {
    let range = KeyRange::new(KeyHash::from_u128(lo), hi.map(KeyHash::from_u128));
    let last = hi.map_or(Some(u128::MAX), |hi| hi.checked_sub(1)).filter(|&last| lo <= last);
    assert_eq!(range.is_some(), last.is_some(), "[{lo:#x}, {hi:x?})");
    Some(Modelled { range: range?, first: lo, last: last? })
}

/// The first and the last number in a range.
fn ends(range: &KeyRange) -> (u128, u128) {
    (range.lo().to_u128(), range.hi().map_or(u128::MAX, |hi| hi.to_u128() - 1))
}

fn compare(a: &Modelled, b: &Modelled, points: &[u128]) {
    assert_eq!(ends(&a.range), (a.first, a.last));
    assert_eq!(a.range.includes(&b.range), a.first <= b.first && b.last <= a.last);
    assert_eq!(b.range.includes(&a.range), b.first <= a.first && a.last <= b.last);

    let (first, last) = (a.first.max(b.first), a.last.min(b.last));
    let common = a.range.intersect(&b.range);
    assert_eq!(common, b.range.intersect(&a.range));
    assert_eq!(common.as_ref().map(ends), (first <= last).then_some((first, last)));

    for &point in points {
        let hash = KeyHash::from_u128(point);
        assert_eq!(a.range.contains(hash), a.first <= point && point <= a.last);
        assert_eq!(common.is_some_and(|common| common.contains(hash)), first <= point && point <= last);
    }
}
