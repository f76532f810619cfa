//! What questions and answers of a peer take on the heap. A test of its own, since it counts the bytes of the whole process.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::alloc::System;

use anti_entropy_summary::compare::{Answer, Ask};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ELEMENTS: usize = 100_000;

/// The bytes on the heap.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Decodes a message of so many elements like this one, and checks what it takes.
fn check<T: DeserializeOwned + Serialize>(element: &[u8], rest: &[u8], len: impl Fn(&T) -> usize) {
    let message = [&postcard::to_allocvec(&ELEMENTS).unwrap(), &element.repeat(ELEMENTS)[..], rest].concat();
    let before = live_bytes();
    let decoded: T = postcard::from_bytes(&message).unwrap();
    let taken = live_bytes() - before;
    assert_eq!(len(&decoded), ELEMENTS);
    assert!(taken <= 2 * message.len(), "{taken} bytes for {}", message.len());
    assert_eq!(postcard::to_allocvec(&decoded).unwrap(), message);
}

#[test]
fn messages_of_short_elements_take_no_more_than_twice_their_bytes() {
    // All keys, so often; the width of digests.
    check(&[1, 0x80], &[0], Ask::len);
    // A prefix under which nothing is held.
    check(&[0, 0], &[], Answer::len);
    // Digests of which there are none.
    check(&[1, 1, 0, 0], &[], Answer::len);
}
