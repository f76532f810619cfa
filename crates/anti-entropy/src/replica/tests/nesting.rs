//! A value that nests too deep arrives from a peer.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Now, Seed};
use crate::replica::*;
use crate::sync::transfer::PushOutcome;

#[derive(Clone, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

type Item = Keyed<u8, Tree>;

fn open(seed: u8) -> Replica<Item> {
    Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

#[test]
fn a_push_of_twenty_kilobytes_of_nesting_is_refused() {
    let now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };
    let (mut sender, mut receiver) = (open(1), open(2));
    let written = sender.write(Keyed::new(1, Tree(Vec::new())), now).unwrap();
    let mut push = sender.push_of(&written).unwrap().unwrap();
    let body = [alloc::vec![1; 20_000], alloc::vec![0]].concat();
    push.write.as_mut().unwrap().value.body = body;
    let outcome = receiver.receive_push(push, now).unwrap();
    assert!(matches!(outcome, PushOutcome::Rejected(_)), "{outcome:?}");
    assert!(receiver.is_empty());
}
