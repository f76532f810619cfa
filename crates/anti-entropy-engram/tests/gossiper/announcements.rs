//! Root announcements, whole and damaged, rare and frequent.

use std::time::Duration;

use anti_entropy::summary::Root;
use anti_entropy::{GossipConfig, PeerId};
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::{AnnouncementOutcome, MalformedAnnouncement, RootAnnouncement};
use proptest::prelude::*;

use crate::cluster::{Cluster, alone, held, name, pattern, snapshot, space, start};

#[test]
fn golden_vectors() {
    let hex = |announcement: RootAnnouncement| {
        announcement.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    };
    let root = Root::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    assert_eq!(
        hex(RootAnnouncement::new(&MemorySpace::new("default"), root, 258)),
        "011fc0e70f2a56982818f084c43a2c3116000102030405060708090a0b0c0d0e0f00000000000001020a017f8000bc4867"
    );
    let long = RootAnnouncement::new(&MemorySpace::new("s".repeat(255)), root, u64::MAX);
    assert_eq!(
        hex(long),
        "0169c30dd734ede1fd5936c1062c922fa3000102030405060708090a0b0c0d0e0fffffffffffffffff6c4e75fd49f7652c"
    );
}

#[test]
fn an_announcement_fits_beside_a_ping_however_long_the_name_of_the_space() {
    let announcement =
        RootAnnouncement::new(&MemorySpace::new("é".repeat(127) + "s"), Root::from_bytes([7; 32]), u64::MAX);
    assert!(announcement.to_bytes().len() <= 64);
    assert_eq!(RootAnnouncement::from_bytes(&announcement.to_bytes()), Ok(announcement));
}

#[test]
fn damaged_announcements_are_told_from_whole_ones() {
    let mut node = alone();
    let (bytes, from) = (node.root_announcement().to_bytes(), name(1));
    for found in 0..RootAnnouncement::LEN {
        let malformed = MalformedAnnouncement::Length { found };
        assert_eq!(
            node.handle_root_announcement(&from, &bytes[..found], start()),
            AnnouncementOutcome::Malformed(malformed)
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    let malformed = MalformedAnnouncement::Length { found: RootAnnouncement::LEN + 1 };
    assert_eq!(node.handle_root_announcement(&from, &longer, start()), AnnouncementOutcome::Malformed(malformed));
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => MalformedAnnouncement::OtherVersion { found: flipped[0] },
            _ => MalformedAnnouncement::Checksum,
        };
        assert_eq!(node.handle_root_announcement(&from, &flipped, start()), AnnouncementOutcome::Malformed(expected));
    }
    let next = MalformedAnnouncement::OtherVersion { found: 2 };
    assert_eq!(node.handle_root_announcement(&from, &[2], start()), AnnouncementOutcome::Malformed(next));
    assert!(next.to_string().contains("upgrade the older node"), "{next}");
    assert_eq!(node.handle_root_announcement(&from, &bytes, start()), AnnouncementOutcome::Equal);
}

proptest! {
    #[test]
    fn arbitrary_bytes_begin_nothing(mut bytes in prop::collection::vec(any::<u8>(), 0..80), versioned: bool) {
        let mut node = alone();
        node.engine_mut().add_peer(name(1), None);
        if let (Some(first), true) = (bytes.first_mut(), versioned) {
            *first = RootAnnouncement::VERSION;
        }
        let announced = node.handle_root_announcement(&name(1), &bytes, start());
        prop_assert!(matches!(announced, AnnouncementOutcome::Malformed(_)));
        prop_assert_eq!(node.engine().sessions_len(), 0);
    }

    #[test]
    fn what_is_announced_comes_back(schema_id: u64, generation: u64, channel: u64, root_prefix: [u8; 16]) {
        let announcement = RootAnnouncement { channel, schema_id, root_prefix, generation };
        prop_assert_eq!(RootAnnouncement::from_bytes(&announcement.to_bytes()), Ok(announcement));
    }
}

/// A cluster of two whose rounds and pushes do nothing for long.
fn without_rounds() -> Cluster {
    let never = Duration::from_secs(1_000_000);
    Cluster::new(
        2,
        GossipConfig::lan().with(|config| {
            config.push = false;
            config.interval = never;
            config.min_interval = never;
        }),
    )
}

fn announce(cluster: &mut Cluster, from: usize, to: usize) -> AnnouncementOutcome {
    let (bytes, now) = (cluster.nodes[from].root_announcement().to_bytes(), cluster.now);
    cluster.nodes[to].handle_root_announcement(&name(from), &bytes, now)
}

#[test]
fn an_announcement_of_another_root_begins_a_comparison() {
    let mut cluster = without_rounds();
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Equal);
    cluster.rebuild(0, &snapshot([pattern("a", 10)]));
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Differs);
    assert!(cluster.run(Duration::from_secs(1), Cluster::equal));
    assert_eq!(held(&cluster.nodes[0]), held(&cluster.nodes[1]));
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Equal);
}

#[test]
fn repeated_announcements_begin_one_comparison_in_each_pause() {
    let mut cluster = without_rounds();
    cluster.rebuild(0, &snapshot([pattern("a", 10)]));
    let pause = GossipConfig::default().announcement_pause;
    // Nothing that is sent arrives, so that the two go on differing.
    cluster.lost_percent = 100;
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Differs);
    for percent in 0..100 {
        // Also if the peer has something new each time.
        cluster.rebuild(0, &snapshot([pattern("a", percent)]));
        assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::DiffersStill);
    }
    assert_eq!(cluster.nodes[1].engine().stats().sessions_opened, 1);
    cluster.run(pause, |_| false);
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Differs);
    // The session is still under way.
    assert_eq!(cluster.nodes[1].engine().stats().sessions_opened, 1);
    // It times out, and the peer is left alone for a while.
    cluster.run(Duration::from_millis(4100), |_| false);
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::DiffersStill);
    cluster.lost_percent = 0;
    cluster.run(Duration::from_secs(2), |_| false);
    assert_eq!(announce(&mut cluster, 0, 1), AnnouncementOutcome::Differs);
    assert!(cluster.run(Duration::from_secs(1), Cluster::equal));
    assert_eq!(cluster.nodes[1].engine().stats().sessions_opened, 2);
}

#[test]
fn strangers_begin_nothing() {
    let mut node = alone();
    let other = RootAnnouncement::new(&space(), Root::from_bytes([9; 32]), 1).to_bytes();
    assert_eq!(
        node.handle_root_announcement(&PeerId::from("stranger"), &other, start()),
        AnnouncementOutcome::UnknownPeer
    );
    let elsewhere = RootAnnouncement::new(&MemorySpace::new("elsewhere"), Root::from_bytes([9; 32]), 1).to_bytes();
    assert_eq!(node.handle_root_announcement(&name(1), &elsewhere, start()), AnnouncementOutcome::OtherSpace);
    assert_eq!(node.engine().stats().sessions_opened, 0);
}
