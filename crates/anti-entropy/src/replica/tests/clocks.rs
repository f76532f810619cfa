//! Wall clocks that jump by ten years, over restarts and new ids.

use alloc::string::{String, ToString};
use core::time::Duration;

use super::disk::Disk;
use crate::clock::{Now, Seed, Timestamp};
use crate::mutant::{Mutant, with};
use crate::replica::*;

type Item = Keyed<String, u32>;

const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;
const TODAY_MS: i64 = 1_700_000_000_000;

fn at(offset_ms: i64) -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: u64::try_from(TODAY_MS + offset_ms).unwrap() }
}

/// A replica that is opened anew before each write, under a new id or the one before.
struct Life {
    disk: Disk,
    openings: u8,
    continuity: Continuity,
}

impl Life {
    fn open(&mut self) -> Replica<Item> {
        self.openings += 1;
        let seed = Seed::from_bytes([self.openings; 32]);
        let opening = Opening::from(seed).with(|opening| opening.continuity = self.continuity);
        Replica::open(self.disk.clone(), LastWriterWins, opening).unwrap()
    }

    /// Writes in a life of its own, and says when that was by the replica's clock.
    fn write(&mut self, key: &str, now: Now) -> Timestamp {
        let mut replica = self.open();
        replica.write(Keyed::new(key.to_string(), u32::from(self.openings)), now).unwrap();
        let read = replica.read(&key.to_string()).unwrap();
        let [version] = read.siblings() else { panic!("one version: {read:?}") };
        version.timestamp
    }
}

fn lives() -> [Life; 2] {
    [Continuity::Unproven, Continuity::Vouched].map(|continuity| Life {
        disk: Disk::default(),
        openings: 0,
        continuity,
    })
}

#[test]
fn after_a_jump_of_ten_years_either_way_new_writes_go_by_the_wall_clock() {
    for jump in [YEARS_MS, -YEARS_MS] {
        for mut life in lives() {
            assert_eq!(life.write("before", at(0)).wall_ms, at(0).unix_ms);
            assert_eq!(life.write("meanwhile", at(jump)).wall_ms, at(jump).unix_ms);
            for minute in 1..5 {
                let now = at(minute * 60_000);
                assert_eq!(life.write(&minute.to_string(), now).wall_ms, now.unix_ms, "{jump}");
            }
        }
    }
}

#[test]
fn what_a_write_replaces_is_earlier_whatever_the_wall_clock_did() {
    for mut life in lives() {
        let mut last = Timestamp::MIN;
        for offset in [0, YEARS_MS, 1, -YEARS_MS, 2, 2, -60_000] {
            let written = life.write("key", at(offset));
            assert!(written > last, "{written:?} after {last:?}");
            last = written;
        }
        // To be rid of the years ahead, delete: a delete has no timestamp.
        life.open().delete(&"key".to_string(), at(0)).unwrap();
        assert_eq!(life.write("key", at(1_000)).wall_ms, at(1_000).unix_ms);
    }
}

#[test]
fn a_peer_replaces_what_was_written_years_ahead_with_a_sane_timestamp() {
    let mut life = lives().into_iter().next().unwrap();
    let mut ahead = life.open();
    let written = ahead.write(Keyed::new("key".to_string(), 1), at(YEARS_MS)).unwrap();
    let push = ahead.push_of(&written).unwrap().unwrap();
    let mut peer = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([99; 32])).unwrap();
    peer.receive_push(push, at(0)).unwrap();
    peer.write(Keyed::new("key".to_string(), 2), at(0)).unwrap();
    let read = peer.read(&"key".to_string()).unwrap();
    assert_eq!(read.siblings().len(), 1);
    assert_eq!(read.siblings()[0].timestamp.wall_ms, at(0).unix_ms);
}

#[test]
fn a_write_is_later_than_its_own_version_also_where_it_replaces_one_that_the_clock_refused() {
    let mut life = lives().into_iter().next().unwrap();
    let mut replica = life.open();
    let mut ahead = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([99; 32])).unwrap();
    let written = ahead.write(Keyed::new("key".to_string(), 1), at(YEARS_MS)).unwrap();
    let push = ahead.push_of(&written).unwrap().unwrap();
    replica.write(Keyed::new("key".to_string(), 2), at(3_600_000)).unwrap();
    replica.receive_push(push, at(3_600_000)).unwrap();
    let siblings = replica.read(&"key".to_string()).unwrap().siblings().len();
    replica.write(Keyed::new("key".to_string(), 3), at(0)).unwrap();
    let read = replica.read(&"key".to_string()).unwrap();
    let timestamp = read.siblings()[0].timestamp;
    assert_eq!((siblings, timestamp), (2, Timestamp { wall_ms: at(3_600_000).unix_ms, logical: 1 }));
}

#[test]
fn a_clock_that_is_not_carried_over_makes_writes_earlier_than_what_they_replace() {
    with(Some(Mutant::ClockNotCarriedOver), || {
        let mut life = lives().into_iter().next().unwrap();
        assert!(life.write("key", at(60_000)) > life.write("key", at(0)));
    });
}
