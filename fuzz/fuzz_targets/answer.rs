//! A comparison that is handed forged answers among honest ones.
#![no_main]

use anti_entropy::KeyHash;
use anti_entropy::summary::Width;
use anti_entropy::summary::compare::{Answer, Ask, Comparison, answer, first_answer};
use anti_entropy::summary::{Fingerprint, MerkleTree, Snapshot};
use libfuzzer_sys::fuzz_target;

// Which entries either side has, and what happens: forged answers, damaged honest ones, honest ones.
type Entries = Vec<(u8, u8, u8)>;

fuzz_target!(|input: (Entries, Entries, bool, u8, Vec<(u8, u8, Vec<u8>)>)| {
    let (ours, theirs, full, room, steps) = input;
    let (ours, theirs) = (snapshot(&ours), snapshot(&theirs));
    let width = if full { Width::Full } else { Width::Short };
    let mut comparison = Comparison::new(ours.clone(), width);
    let mut honest = first_answer(&theirs, width, room.into());
    let mut misled = false;
    for (what, at, bytes) in steps {
        let forged = match what % 3 {
            0 => postcard::from_bytes::<Answer>(&bytes),
            1 => damaged(&honest, at, &bytes),
            _ => Ok(honest.clone()),
        };
        let Ok(forged) = forged else { continue };
        let before = (comparison.resolved_up_to(), comparison.is_complete());
        match comparison.handle_answer(&forged) {
            Err(_) => assert_eq!((comparison.resolved_up_to(), comparison.is_complete()), before, "nothing changed"),
            Ok(()) => {
                misled |= forged != honest;
                let Some(ask) = comparison.next_ask(1 + usize::from(at)) else { break };
                honest = reply(&theirs, &ask, room);
            }
        }
        let encoded = postcard::to_allocvec(&forged).expect("answers encode");
        assert_eq!(postcard::from_bytes::<Answer>(&encoded).as_ref(), Ok(&forged));
    }
    finish(comparison, &ours, &theirs, room, misled);
});

/// Forged digests lead to differences that are none, and hide some; honest answers end the comparison all the same.
fn finish(mut comparison: Comparison, ours: &Snapshot, theirs: &Snapshot, room: u8, misled: bool) {
    let mut rounds = 0;
    let mut found = Vec::new();
    while let Some(ask) = comparison.next_ask(20) {
        comparison.handle_answer(&reply(theirs, &ask, room)).expect("an honest answer fits");
        found.extend(comparison.take_found(None, 3));
        rounds += 1;
        assert!(rounds < 100_000, "the comparison does not end");
    }
    loop {
        let more = comparison.take_found(None, 7);
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    assert!(found.is_sorted_by(|a, b| a.key < b.key), "in order, and each once");
    assert!(found.iter().all(|found| found.ours == ours.get(found.key)));
    if !misled {
        let expected: Vec<_> = ours.diff(theirs).map(|difference| difference.key).collect();
        assert_eq!(found.iter().map(|found| found.key).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|found| match (found.theirs, theirs.get(found.key)) {
            (Some(short), Some(full)) => short.matches(&full),
            (short, full) => short.is_none() && full.is_none(),
        }));
    }
}

fn reply(theirs: &Snapshot, ask: &Ask, room: u8) -> Answer {
    let decoded: Ask =
        postcard::from_bytes(&postcard::to_allocvec(ask).expect("questions encode")).expect("and decode");
    assert_eq!(decoded, *ask);
    answer(theirs, ask, room.into())
}

fn damaged(answer: &Answer, at: u8, bytes: &[u8]) -> Result<Answer, postcard::Error> {
    let mut encoded = postcard::to_allocvec(answer).expect("answers encode");
    for (byte, change) in encoded.iter_mut().skip(at.into()).zip(bytes) {
        *byte ^= change;
    }
    postcard::from_bytes(&encoded)
}

fn snapshot(entries: &Entries) -> Snapshot {
    let key = |place: u8, low: u8| {
        KeyHash::from_u128(u128::from_be_bytes([place; 16]) ^ (u128::from(low) << u32::from(low % 128)))
    };
    let entry = |(place, low, value): &(u8, u8, u8)| (key(*place, *low), Fingerprint::from_bytes([*value; 32]));
    MerkleTree::from_entries(entries.iter().map(entry)).snapshot()
}
