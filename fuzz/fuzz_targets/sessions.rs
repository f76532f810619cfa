//! Two replicas over a link that damages, loses, repeats and reorders frames, within sessions and across them; then a
//! perfect link, over which they converge and have lost nothing. Sketches are small, off, or as usual, and poisoned at times.
#![no_main]

mod common;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::session::{Frame, FrameKind, Outcome, PartialReason, Session};
use anti_entropy::summary::sketch::SketchConfig;
use anti_entropy::{Replica, ReplicaConfig, SessionConfig};
use common::{History, Item, clean_session, collect, item, now, replica, sound};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

// How frames are checked and how many pieces a context may have, and what happens.
fuzz_target!(|input: (u8, Vec<(u8, u8, u8)>)| {
    let (settings, steps) = input;
    // Without checksums, damaged clocks are believed: then only the stores have to stay sound.
    let checksum = settings & 3 != 0;
    let config = SessionConfig::default().with(|config| {
        config.checksum = checksum;
        config.batch_entries = NonZeroUsize::new(1 + usize::from(settings >> 2 & 3)).expect("at least one");
        config.batch_bytes = 200;
        config.answer_bytes = 100;
        config.max_frame_bytes = SessionConfig::MIN_FRAME_BYTES;
        config.bulk_after = if settings & 1 == 0 { 0 } else { 1000 };
        config.max_first_cells = if settings & 32 == 0 { 2900 } else { 3 };
        config.max_sketch_cells = if settings & 64 == 0 { 1 << 16 } else { usize::from(settings & 12) * 2 };
    });
    let pieces = NonZeroUsize::new(if settings & 16 == 0 { 256 } else { 4 }).expect("not zero");
    let some = |number| NonZeroU32::new(number).expect("it is not zero");
    let sketch = if settings & 128 == 0 {
        SketchConfig::default()
    } else {
        SketchConfig::default().with(|config| {
            config.min_cells = some(2);
            config.max_cells = some(16);
            config.entries_per_cell = some(3);
        })
    };
    let limits = ReplicaConfig::default().with(|config| {
        config.max_context_pieces = pieces;
        config.sketch = sketch;
    });
    let mut world = World {
        replicas: [replica(1, limits.clone()), replica(2, limits)],
        history: History::default(),
        sessions: [None, None],
        flying: Vec::new(),
        nonce: 0,
        now: now(),
        config,
    };
    if settings & 32 != 0 {
        (0..60).for_each(|key| world.write(key, key, key));
    }
    for (what, a, b) in steps {
        world.step(what, a, b);
    }
    let World { replicas: [mut a, mut b], history, .. } = world;
    if !checksum {
        sound(&mut a);
        sound(&mut b);
        return;
    }
    // What was cut into too many pieces converges in steps.
    let mut last = None;
    for nonce in 1000..1010 {
        let finished = clean_session(&mut a, &mut b, config, nonce);
        let converged = finished.outcome == Outcome::Converged;
        last = Some(finished);
        if converged {
            break;
        }
    }
    assert!(last.as_ref().is_some_and(|last| last.outcome == Outcome::Converged), "{last:?}");
    assert_eq!((a.root(), a.context_hash()), (b.root(), b.context_hash()));
    history.check(&mut a);
    history.check(&mut b);
});

struct World {
    replicas: [Replica<Item>; 2],
    history: History,
    /// The first replica always opens, the second answers.
    sessions: [Option<Session>; 2],
    /// Frames on their way, and to which side.
    flying: Vec<(usize, Vec<u8>)>,
    nonce: u64,
    now: Now,
    config: SessionConfig,
}

/// Changes what an answer says of differences, cells most of the time, and makes the checksum fit: of `Differs` and
/// `Cells` (docs/protocol.md, "Messages") the latter half. It may mislead an opener, and nothing else.
fn poison(frame: &mut [u8], at: u8, change: u8) {
    const CHECKSUM: usize = 8;
    let Ok(read) = Frame::decode(frame, &SessionConfig::default()) else { return };
    let is_single = read.kind == FrameKind::Reply && read.fragments == 1;
    if is_single && matches!(read.payload.first(), Some(1 | 5)) {
        let end = frame.len() - CHECKSUM;
        let start = end - read.payload.len() / 2;
        if let Some(byte) = frame.get_mut(start + usize::from(at) * (end - start) / 256) {
            *byte ^= change.max(1);
        }
        let checksum = Sha256::digest(&frame[..end]);
        frame[end..].copy_from_slice(&checksum[..CHECKSUM]);
    }
}

impl World {
    fn step(&mut self, what: u8, a: u8, b: u8) {
        let which = |flying: &[_]| usize::from(a) % flying.len();
        match what % 16 {
            0 | 1 => self.write(a, b, b >> 4),
            2 => self.delete(a),
            3 => self.open(),
            4 => self.pass(Duration::from_millis(u64::from(a) * 200)),
            5 => self.give_up(a),
            _ if self.flying.is_empty() => {}
            6 => drop(self.flying.remove(which(&self.flying))),
            7 => {
                let (to, frame) = self.flying[which(&self.flying)].clone();
                self.deliver(to, &frame);
            }
            8 => {
                let (to, frame) = self.flying.remove(which(&self.flying));
                self.deliver(to, &frame);
            }
            9 => {
                let index = which(&self.flying);
                let frame = &mut self.flying[index].1;
                let at = usize::from(b) * frame.len() / 256;
                // It may have been cut to nothing.
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << (what >> 5);
                }
            }
            10 => {
                let index = which(&self.flying);
                let frame = &mut self.flying[index].1;
                frame.truncate(usize::from(b) * frame.len() / 256);
            }
            11 => {
                let index = which(&self.flying);
                poison(&mut self.flying[index].1, b, what >> 4);
            }
            // The usual case: frames arrive, in order.
            _ => {
                let (to, frame) = self.flying.remove(0);
                self.deliver(to, &frame);
            }
        }
        self.collect();
    }

    fn write(&mut self, a: u8, body: u8, part: u8) {
        let written = self.replicas[usize::from(a & 1)].write(item(a >> 1, body, part), self.now);
        self.history.note(a >> 1, &written.expect("memory does not fail"));
    }

    fn delete(&mut self, a: u8) {
        let deleted = self.replicas[usize::from(a & 1)].delete(&(a >> 1), self.now).expect("memory does not fail");
        if let Some(written) = deleted {
            self.history.note(a >> 1, &written);
        }
    }

    fn open(&mut self) {
        self.nonce += 1;
        self.sessions[0] = Some(
            Session::open(self.nonce, &mut self.replicas[0], self.config, self.now).expect("the settings are valid"),
        );
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.sessions.iter_mut().flatten().for_each(|session| session.handle_timeout(self.now));
    }

    fn give_up(&mut self, a: u8) {
        if let Some(session) = &mut self.sessions[usize::from(a & 1)] {
            session.abort(PartialReason::Shutdown, self.now);
        }
    }

    fn deliver(&mut self, to: usize, bytes: &[u8]) {
        let Ok(frame) = Frame::decode(bytes, &self.config) else { return };
        // A new session takes the place of the one before; an old one that is opened again comes to nothing.
        if to == 1 && frame.opens() && self.sessions[1].as_ref().is_none_or(|_| frame.session == self.nonce) {
            let known = self.sessions[1].as_mut().is_some_and(|session| collect(session).1.is_none());
            if !known {
                self.sessions[1] =
                    Session::accept(&frame, !frame.session, self.config, self.now).expect("the settings are valid");
            }
        }
        if let Some(session) = &mut self.sessions[to] {
            session.handle_frame(frame, &mut self.replicas[to], self.now).expect("memory does not fail");
        }
    }

    fn collect(&mut self) {
        for side in 0..2 {
            if let Some(session) = &mut self.sessions[side] {
                self.flying.extend(collect(session).0.into_iter().map(|frame| (1 - side, frame)));
            }
        }
    }
}
