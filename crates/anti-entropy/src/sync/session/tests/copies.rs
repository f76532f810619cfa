//! Replicas of which there are two: put back to an earlier state of their memory or their disk, or copied.
//!
//! What was acknowledged is everywhere in the end, or was reported by its key.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::adversary::converge;
use crate::clock::{Now, Seed};
use crate::mutant::{Mutant, with};
use crate::refusal::Refusal;
use crate::replica::tests::disk::Disk;
use crate::replica::{Continuity, Keyed, LastWriterWins, Notice, Opening, Replica};
use crate::sync::Outcome;

type Item = Keyed<u32, String>;

fn now() -> Now {
    Now { unix_ms: 1_700_000_000_000, ..Now::default() }
}

fn open(disk: &Disk, seed: u8, continuity: Continuity) -> Replica<Item> {
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|opening| opening.continuity = continuity);
    Replica::open(disk.clone(), LastWriterWins, opening).unwrap()
}

fn new(seed: u8) -> Replica<Item> {
    open(&Disk::default(), seed, Continuity::Unproven)
}

fn write(replica: &mut Replica<Item>, keys: Range<u32>) {
    keys.for_each(|key| drop(replica.write(Keyed::new(key, key.to_string()), now()).unwrap()));
}

fn holds(replica: &Replica<Item>) -> Vec<u32> {
    (0..1_000).filter(|key| replica.read(key).unwrap().value().is_some()).collect()
}

/// Sessions until two are equal, opened by the one or the other. Says how many it took.
fn meet(one: &mut Replica<Item>, other: &mut Replica<Item>, one_opens: bool) -> usize {
    for sessions in 1..5 {
        let outcome = if one_opens { converge(one, other) } else { converge(other, one) };
        if outcome == Outcome::Converged {
            return sessions;
        }
    }
    panic!("they never converge");
}

fn renamings(replica: &mut Replica<Item>) -> Vec<Vec<u32>> {
    let notices = core::iter::from_fn(|| replica.poll_notice());
    let reissued = notices.filter_map(|notice| match notice {
        Notice::Renamed { mut reissued, .. } => {
            reissued.sort_unstable();
            Some(reissued)
        }
        _ => None,
    });
    reissued.collect()
}

/// A node whose memory is put back: what it wrote since is at other keys, under names that `b` knows for other writes.
struct PutBack {
    /// The writes in the snapshot, and whether `b` had seen them then.
    before: Range<u32>,
    confirmed: bool,
    /// The writes that `b` saw, and the snapshot does not have.
    forgotten: Range<u32>,
    /// The writes since.
    after: Range<u32>,
}

impl PutBack {
    fn run(&self, it_opens: bool) -> (Replica<Item>, Replica<Item>) {
        let disk = Disk::default();
        let (mut a, mut b) = (open(&disk, 1, Continuity::Unproven), new(2));
        write(&mut a, self.before.clone());
        if self.confirmed {
            meet(&mut a, &mut b, true);
        }
        let mut back = a.fork(disk.copy(), LastWriterWins);
        write(&mut a, self.forgotten.clone());
        meet(&mut a, &mut b, true);
        write(&mut back, self.after.clone());
        meet(&mut back, &mut b, it_opens);
        (back, b)
    }
}

/// Row "a node put back by a memory snapshot".
#[test]
fn of_a_node_put_back_by_a_memory_snapshot_nothing_is_lost() {
    for it_opens in [true, false] {
        for after in 1..=9 {
            let row = PutBack { before: 0..0, confirmed: false, forgotten: 10..15, after: 20..20 + after };
            let (mut back, b) = row.run(it_opens);
            let all: Vec<u32> = (10..15).chain(20..20 + after).collect();
            assert_eq!((holds(&back), holds(&b)), (all.clone(), all));
            assert_eq!(renamings(&mut back), [(20..20 + after).collect::<Vec<_>>()]);
            assert!(back.audit().unwrap().discrepancies.is_empty());
        }
    }
}

#[test]
fn what_a_peer_had_seen_before_the_snapshot_keeps_its_name() {
    for it_opens in [true, false] {
        for confirmed in [true, false] {
            let row = PutBack { before: 0..2, confirmed, forgotten: 10..15, after: 20..23 };
            let (mut back, b) = row.run(it_opens);
            let all: Vec<u32> = (0..2).chain(10..15).chain(20..23).collect();
            assert_eq!((holds(&back), holds(&b)), (all.clone(), all));
            let reissued = (0..2).filter(|_| !confirmed).chain(20..23);
            assert_eq!(renamings(&mut back), [reissued.collect::<Vec<u32>>()]);
        }
    }
}

/// What was deleted elsewhere stays so: below what a peer had confirmed, what is missing there is dead.
#[test]
fn what_was_deleted_for_good_reason_stays_dead_after_the_alarm() {
    let disk = Disk::default();
    let (mut a, mut b) = (open(&disk, 1, Continuity::Unproven), new(2));
    write(&mut a, 0..3);
    meet(&mut a, &mut b, true);
    let mut back = a.fork(disk.copy(), LastWriterWins);
    b.delete(&1, now()).unwrap();
    write(&mut a, 10..15);
    meet(&mut a, &mut b, true);
    write(&mut back, 20..22);
    meet(&mut back, &mut b, false);
    let all = [0, 2, 10, 11, 12, 13, 14, 20, 21];
    assert_eq!((holds(&back), holds(&b)), (all.to_vec(), all.to_vec()));
}

/// As many writes as the peer has seen, or more: the number says nothing, and the tag of the last one does.
#[test]
fn claims_that_are_numbers_alone_lose_what_was_written_since() {
    let kept = || {
        let disk = Disk::default();
        let (mut a, mut b) = (open(&disk, 1, Continuity::Unproven), new(2));
        let mut back = a.fork(disk.copy(), LastWriterWins);
        write(&mut a, 10..15);
        meet(&mut a, &mut b, true);
        write(&mut back, 20..25);
        (0..3).for_each(|_| drop(converge(&mut back, &mut b)));
        (holds(&back).len(), holds(&b).len())
    };
    assert_eq!(kept(), (10, 10));
    assert_ne!(with(Some(Mutant::ClaimsAreNumbersAlone), kept), (10, 10));
}

/// Whoever is told of a write by another than its writer knows which it is, too.
#[test]
fn a_name_that_was_used_twice_is_found_out_by_one_who_never_met_the_other() {
    let disk = Disk::default();
    let (mut a, mut b, mut c) = (open(&disk, 1, Continuity::Unproven), new(2), new(3));
    write(&mut a, 0..1);
    meet(&mut a, &mut b, true);
    let mut back = a.fork(disk.copy(), LastWriterWins);
    write(&mut a, 10..11);
    meet(&mut a, &mut b, true);
    meet(&mut b, &mut c, true);
    write(&mut back, 20..21);
    meet(&mut back, &mut c, false);
    assert_eq!((holds(&back), holds(&c)), ([0, 10, 20].to_vec(), [0, 10, 20].to_vec()));
}

/// Told at once, it writes under another id from the beginning, so that no name is used twice.
#[test]
fn a_replica_that_is_told_that_it_was_put_back_loses_nothing_however_much_it_writes() {
    for after in [1, 5, 9] {
        let disk = Disk::default();
        let (mut a, mut b) = (open(&disk, 1, Continuity::Unproven), new(2));
        write(&mut a, 0..1);
        let mut back = a.fork(disk.copy(), LastWriterWins);
        write(&mut a, 10..15);
        meet(&mut a, &mut b, true);
        let (from, life) = (back.id(), back.life(now()));
        back.put_back(Seed::from_bytes([9; 32])).unwrap();
        assert!(back.id() != from && back.life(now()).opening != life.opening);
        let notice = back.poll_notice();
        assert_eq!(notice, Some(Notice::PutBack { from, to: back.id(), made: 1, reissued: [0].to_vec() }));
        // More than the peer has seen: no claim would tell.
        write(&mut back, 20..20 + after);
        meet(&mut back, &mut b, true);
        let all: Vec<u32> = (0..1).chain(10..15).chain(20..20 + after).collect();
        assert_eq!((holds(&back), holds(&b)), (all.clone(), all));
        assert_eq!((back.stats().renamings, b.stats().content_clashes), (1, 0));
    }
}

/// Two copies draw the same, and have other peers: they do not take the same id.
#[test]
fn two_copies_that_are_renamed_take_different_ids() {
    let ids = || {
        let disk = Disk::default();
        let mut one = open(&disk, 1, Continuity::Unproven);
        let mut other = one.fork(disk.copy(), LastWriterWins);
        one.stir(1);
        other.stir(2);
        one.take_new_id(u64::MAX).unwrap();
        other.take_new_id(u64::MAX).unwrap();
        (one.id(), other.id())
    };
    let (one, other) = ids();
    assert_ne!(one, other);
    let (one, other) = with(Some(Mutant::CopiesMakeOneId), ids);
    assert_eq!(one, other);
}

#[test]
fn an_alarm_that_is_broken_loses_writes_or_brings_them_back() {
    with(Some(Mutant::RenamedWritesKeepTheirNames), || {
        let row = PutBack { before: 0..0, confirmed: false, forgotten: 10..15, after: 20..23 };
        assert_eq!(holds(&row.run(true).1), [13, 14], "what had a name of its own");
    });
    with(Some(Mutant::RenamedWritesAllMadeAnew), || {
        let row = PutBack { before: 0..2, confirmed: true, forgotten: 10..15, after: 20..22 };
        let (mut back, _) = row.run(true);
        assert_eq!(renamings(&mut back), [[0, 1, 20, 21]], "what was confirmed is written anew, dead or not");
    });
}

/// Row "a stopped node cloned with its marker".
#[test]
fn of_two_clones_that_meet_nothing_is_lost() {
    for (one_writes, other_writes) in [(20, 25), (25, 20), (20, 20), (1, 0)] {
        let disk = Disk::default();
        let marker = open(&disk, 1, Continuity::Unproven).close().unwrap();
        let clone = Disk::of(disk.copy());
        let mut one = open(&disk, 2, Continuity::Marker(marker));
        let mut other = open(&clone, 3, Continuity::Marker(marker));
        assert_eq!(one.id(), other.id());
        write(&mut one, 0..one_writes);
        write(&mut other, 100..100 + other_writes);
        meet(&mut one, &mut other, true);
        let all: Vec<u32> = (0..one_writes).chain(100..100 + other_writes).collect();
        assert_eq!((holds(&one), holds(&other)), (all.clone(), all));
        assert_ne!(one.id(), other.id());
        assert_eq!((one.stats().renamings, other.stats().renamings), (1, 0), "the one that opens gives way");
    }
}

/// What two clones and a peer hold in the end, if each clone meets the peer first.
fn clones_over_a_peer(writes: [u32; 2], meet: impl Fn(&mut Replica<Item>, &mut Replica<Item>)) -> [Vec<u32>; 3] {
    let disk = Disk::default();
    let marker = open(&disk, 1, Continuity::Unproven).close().unwrap();
    let clone = Disk::of(disk.copy());
    let mut one = open(&disk, 2, Continuity::Marker(marker));
    let mut other = open(&clone, 3, Continuity::Marker(marker));
    let mut peer = new(4);
    write(&mut one, 0..writes[0]);
    write(&mut other, 100..100 + writes[1]);
    for _ in 0..2 {
        meet(&mut one, &mut peer);
        meet(&mut other, &mut peer);
    }
    meet(&mut one, &mut peer);
    [holds(&one), holds(&other), holds(&peer)]
}

/// Row "a stopped node cloned with its marker", also where the one has made no fewer writes than the peer knows.
#[test]
fn of_two_clones_that_meet_a_peer_nothing_is_lost() {
    for writes in [[20, 25], [25, 20], [20, 20], [1, 1]] {
        for clone_opens in [true, false] {
            let all: Vec<u32> = (0..writes[0]).chain(100..100 + writes[1]).collect();
            let held = clones_over_a_peer(writes, |clone, peer| {
                meet(clone, peer, clone_opens);
            });
            assert_eq!(held, [all.clone(), all.clone(), all]);
        }
    }
}

#[test]
fn of_two_clones_much_is_lost_where_lives_are_not_compared() {
    with(Some(Mutant::LivesNotCompared), || {
        let [_, _, peer] = clones_over_a_peer([20, 25], |clone, peer| drop(converge(clone, peer)));
        assert!(peer.len() < 45, "{peer:?}");
    });
}

/// A disk that is put back and vouched for, and has made as many writes again as its peer had seen.
#[test]
fn of_a_disk_that_is_put_back_and_written_to_nothing_is_lost() {
    for after in 1..8 {
        for it_opens in [true, false] {
            let (disk, mut b) = (Disk::default(), new(2));
            let mut a = open(&disk, 1, Continuity::Unproven);
            write(&mut a, 0..2);
            meet(&mut a, &mut b, true);
            let backup = disk.copy();
            write(&mut a, 10..15);
            meet(&mut a, &mut b, true);
            let mut back = open(&Disk::of(backup), 3, Continuity::Vouched);
            write(&mut back, 20..20 + after);
            meet(&mut back, &mut b, it_opens);
            let all: Vec<u32> = (0..2).chain(10..15).chain(20..20 + after).collect();
            assert_eq!((holds(&back), holds(&b)), (all.clone(), all));
        }
    }
}

/// Row "an in-memory node with a constant seed, restarted": only the time of its first write tells the two lives apart.
#[test]
fn of_a_node_in_memory_that_is_restarted_with_the_same_seed_nothing_is_lost() {
    for after in 1..8 {
        for it_opens in [true, false] {
            let (mut a, mut b) = (new(1), new(2));
            write(&mut a, 0..4);
            meet(&mut a, &mut b, true);
            let mut again = new(1);
            for key in 20..20 + after {
                again.write(Keyed::new(key, key.to_string()), now().after(Duration::from_secs(5))).unwrap();
            }
            meet(&mut again, &mut b, it_opens);
            let all: Vec<u32> = (0..4).chain(20..20 + after).collect();
            assert_eq!((holds(&again), holds(&b)), (all.clone(), all));
        }
    }
}

#[test]
fn a_node_that_is_closed_and_opened_again_is_no_copy_of_itself() {
    let (disk, mut b, mut continuity) = (Disk::default(), new(2), Continuity::Unproven);
    for life in 0..5 {
        let mut a = open(&disk, 10 + life, continuity);
        write(&mut a, 0..u32::from(life) + 1);
        assert!(meet(&mut a, &mut b, life % 2 == 0) <= 2);
        write(&mut a, 100..102);
        assert_eq!((a.stats().renamings, b.stats().renamings), (0, 0));
        continuity = Continuity::Marker(a.close().unwrap());
    }
}

#[test]
fn clones_that_are_equal_are_left_alone() {
    let disk = Disk::default();
    let marker = open(&disk, 1, Continuity::Unproven).close().unwrap();
    let clone = Disk::of(disk.copy());
    let mut one = open(&disk, 2, Continuity::Marker(marker));
    let mut other = open(&clone, 3, Continuity::Marker(marker));
    assert_eq!(meet(&mut one, &mut other, true), 1);
    assert_eq!(one.id(), other.id());
}

/// What others have under a name that this replica used for something else comes in, and is reported by its key.
#[test]
fn versions_under_names_that_may_have_been_used_twice_are_reported() {
    let row = PutBack { before: 0..0, confirmed: false, forgotten: 10..15, after: 20..23 };
    let (mut back, _) = row.run(true);
    let notices = core::iter::from_fn(|| back.poll_notice());
    let twice = notices.filter_map(|notice| match notice {
        Notice::NameUsedTwice { key, dot } => Some((dot.counter, key)),
        _ => None,
    });
    let mut twice: Vec<_> = twice.collect();
    twice.sort_unstable();
    assert_eq!(twice, [(1, 10), (2, 11), (3, 12)]);
}

#[test]
fn the_session_with_the_alarm_joins_nothing_on_either_side() {
    for it_opens in [true, false] {
        let disk = Disk::default();
        let (mut a, mut b) = (open(&disk, 1, Continuity::Unproven), new(2));
        let mut back = a.fork(disk.copy(), LastWriterWins);
        write(&mut a, 10..15);
        meet(&mut a, &mut b, true);
        write(&mut back, 20..23);
        let before = b.context_hash();
        let outcome = if it_opens { converge(&mut back, &mut b) } else { converge(&mut b, &mut back) };
        assert!(matches!(
            outcome,
            Outcome::Refused(Refusal::ClaimsMyWrites { claimed: 5, made: 3 } | Refusal::ByPeer(_))
        ));
        assert_eq!((holds(&back), b.context_hash()), (alloc::vec![20, 21, 22], before));
    }
}
