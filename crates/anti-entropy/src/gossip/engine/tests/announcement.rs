//! What announcements start, and what they spare.

use core::time::Duration;

use super::{Cluster, Item, name};
use crate::gossip::*;
use crate::replica::LastWriterWins;
use crate::sync::SessionConfig;
use crate::sync::wire::tests::messages::bytes;

const MINUTE: Duration = Duration::from_secs(60);

/// No pushes, so that only sessions are of help.
fn rounds_only() -> GossipConfig {
    GossipConfig { push: false, ..GossipConfig::lan() }
}

/// Rounds are no help, and pushes neither.
fn announcements_only() -> GossipConfig {
    let never = 1_000_000 * MINUTE;
    GossipConfig { interval: never, min_interval: never, push: false, ..GossipConfig::lan() }
}

impl Cluster<Item> {
    /// What a node says of another's announcement.
    fn announce(&mut self, from: usize, to: usize) -> Announced {
        let (theirs, now) = (self.engine(from).announcement(), self.now);
        self.engine(to).handle_announcement(&name(from), theirs, now)
    }

    /// Somebody says in a node's name that it holds what the receiver holds.
    fn forge_equality(&mut self, of: usize, to: usize) {
        let (state, now) = (self.engine(to).announcement(), self.now);
        assert_eq!(self.engine(to).handle_announcement(&name(of), state, now), Announced::Equal);
    }

    /// Runs until a session has certified that the two are equal.
    fn certify(&mut self) {
        let certified = |cluster: &mut Self| [0, 1].iter().all(|node| cluster.peer(*node).certified_lag.is_some());
        assert!(self.run(MINUTE, certified));
    }

    /// What a node of two knows of the other one.
    fn peer(&mut self, of: usize) -> PeerStatus {
        let now = self.now;
        self.engine(of).status(now).peers.remove(0)
    }

    fn opened(&self) -> u64 {
        self.engines.values().map(|engine| engine.stats().sessions_opened).sum()
    }
}

/// Worked out from docs/protocol.md by a separate program.
#[test]
fn a_state_has_this_digest() {
    let first = |digest: StateDigest| u64::from_be_bytes(*digest.as_bytes().first_chunk().unwrap());
    for (schema_id, digest) in [
        (0, "3413e20960a704cf484b17e518c438402e432ec2779809a4af8f1ce9d9e2d57d"),
        (300, "7286797db687ad9ee1fb90ffd37bb7adcd8a614896ac669b2d76eb9e3855e726"),
    ] {
        let session = SessionConfig { schema_id, ..SessionConfig::default() };
        let config = GossipConfig { session, ..GossipConfig::default() };
        let mut cluster = Cluster::<Item>::new(1, &LastWriterWins, &config, 1);
        assert_eq!(cluster.engine(0).announcement().as_bytes()[..], bytes(digest));
    }
    let mut cluster = Cluster::<Item>::new(1, &LastWriterWins, &GossipConfig::default(), 1);
    cluster.write(0, 7, "value");
    assert_eq!(first(cluster.engine(0).announcement()), 0x7b32_f8fe_2614_17f0);
}

#[test]
fn whatever_two_replicas_could_tell_each_other_is_in_the_digest() {
    let mut cluster = Cluster::<Item>::new(2, &LastWriterWins, &announcements_only(), 1);
    assert_eq!(cluster.announce(0, 1), Announced::Equal);
    // A write and its delete leave nothing but that they are known.
    cluster.write(0, 7, "value");
    let now = cluster.now;
    cluster.engine(0).delete(&7, now).unwrap();
    assert_eq!(cluster.engine(0).replica.len(), 0);
    assert_eq!(cluster.announce(0, 1), Announced::Differs);

    let session = SessionConfig { schema_id: 1, ..SessionConfig::default() };
    let other = GossipConfig { session, ..announcements_only() };
    let mut others = Cluster::<Item>::new(2, &LastWriterWins, &other, 1);
    let mut same = Cluster::<Item>::new(2, &LastWriterWins, &announcements_only(), 1);
    assert_ne!(same.engine(0).announcement(), others.engine(0).announcement());
}

#[test]
fn one_that_differs_is_compared_with_at_once() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &announcements_only(), 1);
    cluster.write(0, 7, "value");
    assert!(!cluster.run(MINUTE, Cluster::equal), "nothing else compares them");
    assert_eq!(cluster.announce(0, 1), Announced::Differs);
    assert!(cluster.run(Duration::from_millis(20), Cluster::equal));
    assert_eq!(cluster.announce(0, 1), Announced::Equal);
}

#[test]
fn equal_ones_send_nothing_for_as_long_as_they_say_so() {
    let config = GossipConfig { announcement_lifetime: 2 * MINUTE, ..GossipConfig::lan() };
    let mut cluster = Cluster::<Item>::new(2, &LastWriterWins, &config, 1);
    cluster.certify();
    let opened = cluster.opened();
    for _ in 0..30 {
        assert_eq!([cluster.announce(0, 1), cluster.announce(1, 0)], [Announced::Equal, Announced::Equal]);
        cluster.run(MINUTE, |_| false);
    }
    assert_eq!(cluster.opened(), opened);
    let peer = cluster.peer(0);
    assert_eq!(peer.lag, Some(MINUTE), "as long ago as the last announcement");
    assert!(peer.certified_lag > Some(29 * MINUTE), "as long ago as the session");
    // What was announced is too old to count, and the rounds compare again.
    cluster.run(2 * MINUTE, |_| false);
    assert!(cluster.opened() > opened);
}

#[test]
fn what_no_session_has_ever_certified_is_compared_whatever_is_announced() {
    let mut cluster = Cluster::<Item>::new(2, &LastWriterWins, &rounds_only(), 1);
    assert_eq!([cluster.announce(0, 1), cluster.announce(1, 0)], [Announced::Equal, Announced::Equal]);
    let peer = cluster.peer(0);
    assert_eq!((peer.lag, peer.certified_lag, peer.root), (Some(Duration::ZERO), None, None));
    cluster.certify();
    assert!(cluster.peer(0).root.is_some());
}

/// How many sessions are opened while equality is announced once a second, for so many announcements.
fn opened_during(announcements: u32, certify_every: u32) -> u64 {
    let certify_every = certify_every.try_into().unwrap();
    let mut cluster = Cluster::<Item>::new(2, &LastWriterWins, &GossipConfig { certify_every, ..rounds_only() }, 1);
    cluster.certify();
    let opened = cluster.opened();
    for _ in 0..announcements {
        assert_eq!([cluster.announce(0, 1), cluster.announce(1, 0)], [Announced::Equal, Announced::Equal]);
        cluster.run(Duration::from_secs(1), |_| false);
    }
    cluster.opened() - opened
}

#[test]
fn a_session_certifies_what_was_announced_so_often() {
    assert_eq!(opened_during(99, 100), 0);
    // In the next round of either side; and of the other one too, if that comes before the first session has ended.
    assert!((1..=2).contains(&opened_during(115, 100)));
    assert!((2..=4).contains(&opened_during(230, 100)));
    // Announcements that count for nothing spare nothing: there is a session in each round of ten seconds.
    assert!(opened_during(100, 1) >= 9);
}

/// The real announcements do not arrive, and somebody who cannot open sessions announces in their place.
#[test]
fn forged_equality_hides_a_difference_no_longer_than_it_is_believed() {
    let period = Duration::from_secs(30);
    for seed in 0..5 {
        let mut cluster = Cluster::new(2, &LastWriterWins, &rounds_only(), seed);
        cluster.certify();
        cluster.write(0, 7, "value");
        let mut forged = 0;
        while !cluster.equal() {
            forged += 1;
            cluster.forge_equality(0, 1);
            cluster.forge_equality(1, 0);
            cluster.run(period, Cluster::equal);
            assert!(forged <= rounds_only().certify_every.get() + 1, "still hidden");
        }
        assert!(forged > 1, "it is believed for a while");
    }
}

#[test]
fn an_announcement_changes_neither_the_certificate_nor_what_differed() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &rounds_only(), 1);
    cluster.write(0, 7, "value");
    assert!(cluster.run(MINUTE, Cluster::equal));
    cluster.certify();
    let before = cluster.peer(1);
    cluster.forge_equality(0, 1);
    assert_eq!(cluster.peer(1), PeerStatus { lag: Some(Duration::ZERO), ..before });
}

#[test]
fn what_a_peer_announced_counts_for_nothing_once_this_replica_has_changed() {
    let config = GossipConfig { announcement_lifetime: 1_000 * MINUTE, ..rounds_only() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    cluster.certify();
    assert_eq!([cluster.announce(0, 1), cluster.announce(1, 0)], [Announced::Equal, Announced::Equal]);
    cluster.write(0, 7, "value");
    assert!(cluster.run(MINUTE, Cluster::equal));
}

#[test]
fn comparisons_are_begun_once_in_a_pause_and_not_with_those_that_fail() {
    let config = GossipConfig { announcement_pause: Duration::from_secs(3), ..announcements_only() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    cluster.split(&[0], &[1]);
    cluster.write(0, 7, "value");
    assert_eq!(cluster.announce(0, 1), Announced::Differs);
    cluster.run(Duration::from_millis(2_900), |_| false);
    assert_eq!(cluster.announce(0, 1), Announced::DiffersStill, "within the pause");
    cluster.run(Duration::from_millis(2_500), |_| false);
    assert_eq!(cluster.announce(0, 1), Announced::DiffersStill, "its session has timed out, and it is left alone");
    cluster.run(MINUTE, |_| false);
    assert_eq!(cluster.announce(0, 1), Announced::Differs);
    assert_eq!(cluster.opened(), 2);
}

#[test]
fn strangers_announce_nothing() {
    let mut cluster = Cluster::<Item>::new(1, &LastWriterWins, &announcements_only(), 1);
    let now = cluster.now;
    let announced = cluster.engine(0).handle_announcement(&"stranger".into(), StateDigest::from_bytes([1; 32]), now);
    assert_eq!(announced, Announced::UnknownPeer);
    assert_eq!(cluster.engine(0).handle_difference(&"stranger".into(), now), Announced::UnknownPeer);
}
