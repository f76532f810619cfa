//! What the targets share: an item with a part, a deterministic replica, and what a set of writes must leave alive.
#![allow(dead_code, reason = "no target uses all of it")]

use std::collections::BTreeSet;
use std::time::Duration;

use anti_entropy::clock::{Dot, Now, Seed};
use anti_entropy::session::{Finished, Frame, Session, SessionOutput};
use anti_entropy::value::{DecodeError, Encoded, Part};
use anti_entropy::{
    Digest, LastWriterWins, MemoryStore, Opening, Replica, ReplicaConfig, Replicated, SessionConfig, Written,
};

/// A body, and a part that often stays when the body changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: u8,
    pub body: Vec<u8>,
    pub part: Part,
}

impl Digest for Item {
    fn digest<H: digest::Update>(&self, hash: &mut H) {
        hash.update(&(self.body.len() as u64).to_be_bytes());
        hash.update(&self.body);
        hash.update(self.part.hash().as_bytes());
    }
}

impl Replicated for Item {
    type Key = u8;

    fn key(&self) -> u8 {
        self.key
    }

    fn encode(&self) -> Encoded {
        Encoded { body: self.body.clone(), parts: vec![self.part.clone()] }
    }

    fn decode(key: &u8, encoded: &Encoded) -> Result<Self, DecodeError> {
        match encoded.parts.as_slice() {
            [part] => Ok(Self { key: *key, body: encoded.body.clone(), part: part.clone() }),
            _ => Err(DecodeError::new("an item has one part")),
        }
    }
}

pub fn item(key: u8, body: u8, part: u8) -> Item {
    Item { key, body: vec![body; usize::from(body % 40)], part: Part::from(vec![part; usize::from(part % 90)]) }
}

pub fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

pub fn replica(seed: u8, config: ReplicaConfig) -> Replica<Item> {
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|changed| changed.config = config);
    Replica::open(MemoryStore::new(), LastWriterWins, opening).expect("an empty store opens")
}

/// All writes and deletes that were acknowledged.
#[derive(Default)]
pub struct History {
    written: BTreeSet<(u8, Dot)>,
    replaced: BTreeSet<Dot>,
}

impl History {
    pub fn note(&mut self, key: u8, written: &Written) {
        if !written.deleted {
            self.written.insert((key, written.dot));
        }
        self.replaced.extend(&written.seen);
    }

    /// Panics unless the replica holds every write that no other write or delete saw, and nothing else.
    pub fn check(&self, replica: &mut Replica<Item>) {
        let alive: BTreeSet<_> = self.written.iter().filter(|(_, dot)| !self.replaced.contains(dot)).copied().collect();
        let mut held = BTreeSet::new();
        for key in 0..=u8::MAX {
            let read = replica.read(&key).expect("memory does not fail");
            held.extend(read.siblings().iter().map(|version| (key, version.dot)));
        }
        assert_eq!(held, alive);
        sound(replica);
    }
}

/// Panics unless the store holds what the replica thinks it holds.
pub fn sound(replica: &mut Replica<Item>) {
    let audit = replica.audit().expect("memory does not fail");
    assert_eq!(audit.discrepancies, []);
}

/// All frames that a session wants to send now, and its end.
pub fn collect(session: &mut Session) -> (Vec<Vec<u8>>, Option<Finished>) {
    let mut frames = Vec::new();
    loop {
        match session.poll_output() {
            SessionOutput::Send(frame) => frames.push(frame),
            SessionOutput::Done(finished) => return (frames, Some(finished)),
            SessionOutput::Wait(_) => return (frames, None),
        }
    }
}

/// A whole session over a perfect link.
pub fn clean_session(a: &mut Replica<Item>, b: &mut Replica<Item>, config: SessionConfig, nonce: u64) -> Finished {
    let mut opener = Session::open(nonce, a, config, now()).expect("the settings are valid");
    let mut answerer = None;
    for _ in 0..100_000 {
        let (frames, finished) = collect(&mut opener);
        for bytes in frames {
            let frame = Frame::decode(&bytes, &config).expect("an own frame");
            let answerer = answerer.get_or_insert_with(|| {
                Session::accept(&frame, !nonce, config, now())
                    .expect("the settings are valid")
                    .expect("the first frame opens a session")
            });
            answerer.handle_frame(frame, b, now()).expect("memory does not fail");
        }
        if let Some(finished) = finished {
            return finished;
        }
        for bytes in answerer.as_mut().map(|answerer| collect(answerer).0).unwrap_or_default() {
            let frame = Frame::decode(&bytes, &config).expect("an own frame");
            opener.handle_frame(frame, a, now()).expect("memory does not fail");
        }
    }
    panic!("a session over a perfect link does not end");
}
