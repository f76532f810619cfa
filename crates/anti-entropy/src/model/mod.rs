//! The replica's real code under random histories, against ghosts that know what each replica has taken in.
//!
//! Two to six replicas write, delete, read, synchronise in interrupted and interleaved sessions, push, crash, are wiped and
//! put back to backups. After each step the replica that moved is checked:
//!
//! - G1: what it holds is what the events it knows make: nothing lost, nothing stale.
//! - G2: its clock for a key covers a write or delete made there if and only if it knows it.
//! - G3: what has been replaced or deleted here never comes back.
//! - G4: its context only grows, except where its store is put back; pieces are canonical; a dot names one event.
//!
//! In the end, with the network healed, all replicas have to be equal in every respect, and know every event that did not
//! go down with the only store that had it. [`planted`] shows that these checks find bugs.

#[allow(unused_extern_crates, reason = "without the feature std, it is not there of itself")]
extern crate std;

mod delivery;
mod disk;
mod exchange;
mod ghost;
mod odds;
mod ops;
mod planted;
mod session;
mod world;

use alloc::format;
use alloc::string::String;
use core::cell::Cell;
use core::ops::Range;
use std::{env, eprintln, time::Instant};

use self::ghost::Violation;
use self::odds::{Boost, Bug, Op};
use crate::replica::{DecodeError, Digest, Encoded, Part, Replicated};
use crate::sync::wire::Push;

std::thread_local! {
    /// Whether the replica that takes something in now reads values of the new release.
    static READS_NEW: Cell<bool> = const { Cell::new(true) };
}

/// Has a replica take something in, as its release reads it.
fn reading<T>(new: bool, take_in: impl FnOnce() -> T) -> T {
    let before = READS_NEW.replace(new);
    let taken = take_in();
    READS_NEW.set(before);
    taken
}

/// A value that says which event wrote it, with a part that others have too.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    key: u8,
    event: u8,
    /// Whether only the new release can read it.
    new: bool,
    part: Part,
}

impl Digest for Item {
    fn digest<H: digest::Update>(&self, hash: &mut H) {
        hash.update(&[self.event, self.new.into()]);
        hash.update(self.part.hash().as_bytes());
    }
}

impl Replicated for Item {
    type Key = u8;

    fn key(&self) -> u8 {
        self.key
    }

    fn encode(&self) -> Encoded {
        let body = if self.new { alloc::vec![self.event, 1] } else { alloc::vec![self.event] };
        Encoded { body, parts: alloc::vec![self.part.clone()] }
    }

    fn decode(key: &u8, encoded: &Encoded) -> Result<Self, DecodeError> {
        match (encoded.body.as_slice(), encoded.parts.as_slice()) {
            ([event], [part]) => Ok(Self { key: *key, event: *event, new: false, part: part.clone() }),
            ([event, 1], [part]) if READS_NEW.get() => {
                Ok(Self { key: *key, event: *event, new: true, part: part.clone() })
            }
            _ => Err(DecodeError::new("not an item")),
        }
    }
}

/// A push on its way, and the event that it brings.
#[derive(Clone)]
struct PushMessage {
    to: usize,
    key: usize,
    event: usize,
    push: Push,
}

/// What happened in a run: a run in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Stats {
    joined: u64,
    joined_whole: u64,
    /// Keys that changed since a whole batch did not list them.
    died_unlisted: u64,
    uncertified: u64,
    content_missing: u64,
    pushes_taken: u64,
    pushes_ignored: u64,
    reads_refused: u64,
    alarms: u64,
    /// Versions that were written anew after an alarm, and writes and deletes that left nothing but the first new name.
    named_anew: u64,
    names_given_up: u64,
    most_pieces: usize,
    cuts_for_good: u64,
    too_many_pieces: u64,
    /// Keys that were left out since they could not be read, and the most at one replica in the end.
    left_out: u64,
    most_holes: usize,
}

impl Stats {
    fn add(&mut self, other: &Self) {
        self.joined += other.joined;
        self.joined_whole += other.joined_whole;
        self.died_unlisted += other.died_unlisted;
        self.uncertified += other.uncertified;
        self.content_missing += other.content_missing;
        self.pushes_taken += other.pushes_taken;
        self.pushes_ignored += other.pushes_ignored;
        self.reads_refused += other.reads_refused;
        self.alarms += other.alarms;
        self.named_anew += other.named_anew;
        self.names_given_up += other.names_given_up;
        self.most_pieces = self.most_pieces.max(other.most_pieces);
        self.cuts_for_good += other.cuts_for_good;
        self.too_many_pieces += other.too_many_pieces;
        self.left_out += other.left_out;
        self.most_holes = self.most_holes.max(other.most_holes);
    }

    fn assert_that_much_happened(&self) {
        assert!(self.joined > 10_000 && self.pushes_taken > 2_000 && self.pushes_ignored > 2_000, "{self:?}");
        assert!(self.joined_whole > 3_000 && self.died_unlisted > 40, "{self:?}");
        assert!(self.uncertified > 50 && self.content_missing > 200 && self.reads_refused > 20, "{self:?}");
        assert!(self.alarms > 5 && self.most_pieces > 4 && self.cuts_for_good > 5, "{self:?}");
    }
}

/// The seeds to run: those of the environment variable `ANTI_ENTROPY_SEEDS=start..end`, or the usual ones.
pub(crate) fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = env::var("ANTI_ENTROPY_SEEDS") else { return usual };
    let parse = |text: &str| text.trim().parse().ok();
    let range = text.split_once("..").and_then(|(start, end)| Some(parse(start)?..parse(end)?));
    range.expect("ANTI_ENTROPY_SEEDS is start..end")
}

fn replay(test: &str, seed: u64) -> String {
    format!("ANTI_ENTROPY_SEEDS={seed}..{} cargo test -p anti-entropy --lib model_tests::{test}", seed + 1)
}

#[test]
fn the_rules_hold_in_random_histories() {
    const USUAL: Range<u64> = 0..1500;
    let seeds = seeds(USUAL);
    let total = run_clean("the_rules_hold_in_random_histories", seeds.clone(), &Boost::NONE);
    if seeds == USUAL {
        total.assert_that_much_happened();
    }
}

/// Every batch lists all that its sender holds, and much of what its receiver holds is deleted there.
#[test]
fn the_rules_hold_where_all_batches_are_whole() {
    const USUAL: Range<u64> = 0..300;
    let boost = Boost { against_nothing: Some(1.0), weights: &[(Op::Delete, 8.0)], ..Boost::NONE };
    let seeds = seeds(USUAL);
    let total = run_clean("the_rules_hold_where_all_batches_are_whole", seeds.clone(), &boost);
    if seeds == USUAL {
        assert!(total.joined_whole == total.joined && total.died_unlisted > 60, "{total:?}");
    }
}

/// Batches have to end where a context is cut already, once it is cut into as many pieces as it may be.
#[test]
fn the_rules_hold_where_contexts_are_full() {
    for max_pieces in [3, 5] {
        let boost = Boost { max_pieces: Some(max_pieces), ..Boost::NONE };
        run_clean("the_rules_hold_where_contexts_are_full", seeds(0..200), &boost);
    }
}

/// Stores are put back without notice and written to before they meet anybody: nothing of either history is lost.
#[test]
fn the_rules_hold_where_stores_are_put_back_and_written_to() {
    const USUAL: Range<u64> = 0..1_000;
    let weights = &[(Op::Backup, 4.0), (Op::UnnoticedRestore, 4.0), (Op::Full, 3.0)];
    let boost = Boost { weights, ..Boost::NONE };
    let seeds = seeds(USUAL);
    let total = run_clean("the_rules_hold_where_stores_are_put_back_and_written_to", seeds.clone(), &boost);
    if seeds == USUAL {
        assert!(total.alarms > 200 && total.named_anew > 100 && total.names_given_up > 50, "{total:?}");
    }
}

/// Two replicas kept different cuts of a lost writer for good, which together were more than there was room for.
#[test]
fn cuts_that_stay_do_not_keep_full_contexts_apart() {
    let boost = Boost { max_pieces: Some(3), against_nothing: Some(0.0), ..Boost::NONE };
    run_clean("cuts_that_stay_do_not_keep_full_contexts_apart", 5_015_937..5_015_938, &boost);
}

/// Some replicas are of an older release, and cannot read what others write, until all are upgraded in the end.
#[test]
fn the_rules_hold_while_some_replicas_cannot_read_what_others_write() {
    const USUAL: Range<u64> = 0..600;
    let seeds = seeds(USUAL);
    let boost = Boost { old_releases: 0.5, ..Boost::NONE };
    let total = run_clean("the_rules_hold_while_some_replicas_cannot_read_what_others_write", seeds.clone(), &boost);
    if seeds == USUAL {
        assert!(total.left_out > 600 && total.most_holes > 3, "{total:?}");
    }
}

fn run_clean(test: &str, seeds: Range<u64>, boost: &Boost) -> Stats {
    let (count, started) = (seeds.end - seeds.start, Instant::now());
    let mut total = Stats::default();
    for seed in seeds {
        match world::run(seed, boost, Bug::None) {
            Ok(stats) => total.add(&stats),
            Err(Violation { check, detail }) => panic!("{check}: {detail}\nreplay: {}", replay(test, seed)),
        }
    }
    eprintln!("{count} runs in {:?}: {total:?}", started.elapsed());
    total
}
