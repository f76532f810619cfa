//! The peers: what is known of each, and which to talk to next.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{GossipConfig, PeerId, StateDigest};
use crate::summary::Root;

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    pub(super) zone: Option<String>,
    /// When this replica and the peer last certified that they are equal, and with which root.
    pub(super) converged: Option<(Duration, Root)>,
    /// When the session that certified a root last was opened from here, and that root.
    pub(super) asked: Option<(Duration, Root)>,
    pub(super) heard: Option<Duration>,
    pub(super) failures: u32,
    /// Let a session time out and was heard neither meanwhile, for as long as that takes, nor since.
    pub(super) silent: bool,
    /// How often in a row it, or this replica, was in another transfer.
    pub(super) busy: u32,
    /// Left alone until then.
    pub(super) not_before: Duration,
    /// To be talked to again and again until the two have converged.
    pub(super) pursued: bool,
    /// How many keys differed when it was last compared with.
    pub(super) differences: u64,
    /// What it announced last, and when.
    pub(super) announced: Option<(Duration, StateDigest)>,
    /// When a comparison was last begun because of what it announced.
    pub(super) compared: Option<Duration>,
}

/// A peer's state, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub peer: PeerId,
    /// Its zone.
    pub zone: Option<String>,
    /// How long ago this replica and the peer certified that they are equal, or the peer announced so; `None` if never.
    pub lag: Option<Duration>,
    /// The root that both had then.
    pub root: Option<Root>,
    /// How long ago the peer was last heard.
    pub silent: Option<Duration>,
    /// How many attempts have failed since the last one that did not.
    pub failures: u32,
    /// How long the peer is still left alone after failures.
    pub backoff: Duration,
    /// How many keys differed when the two were last compared.
    pub differences: u64,
}

impl Peer {
    pub(super) fn status(&self, peer: &PeerId, now: Duration) -> PeerStatus {
        PeerStatus {
            peer: peer.clone(),
            zone: self.zone.clone(),
            lag: self.converged.map(|(at, _)| now.saturating_sub(at)),
            root: self.converged.map(|(_, root)| root),
            silent: self.heard.map(|at| now.saturating_sub(at)),
            failures: self.failures,
            backoff: self.not_before.saturating_sub(now),
            differences: self.differences,
        }
    }

    /// Whether any frame of it came after that time.
    pub(super) fn is_heard_since(&self, time: Duration) -> bool {
        self.heard.is_some_and(|heard| heard > time)
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = Duration::ZERO;
    }

    pub(super) fn failed(&mut self, config: &GossipConfig, now: Duration) {
        let backoff = config.backoff_min.saturating_mul(1 << self.failures.min(20)).min(config.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(backoff);
    }
}

/// Chooses up to `count` different peers for a round, among those that are not left alone or `excluded`.
pub(super) fn choose(
    peers: &BTreeMap<PeerId, Peer>,
    zone: Option<&str>,
    count: usize,
    config: &GossipConfig,
    random: &mut fastrand::Rng,
    now: Duration,
    excluded: impl Fn(&PeerId) -> bool,
) -> Vec<PeerId> {
    let mut candidates: Vec<(&PeerId, &Peer)> =
        peers.iter().filter(|(id, peer)| peer.not_before <= now && !excluded(id)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count && !candidates.is_empty() {
        let elsewhere = |(_, peer): &(&PeerId, &Peer)| peer.zone.as_deref() != zone;
        let prefers_others = random.u8(0..100) < config.other_zone_percent && candidates.iter().any(elsewhere);
        let eligible: Vec<usize> =
            (0..candidates.len()).filter(|index| !prefers_others || elsewhere(&candidates[*index])).collect();
        let pick = if random.u8(0..100) < config.random_percent {
            eligible[random.usize(0..eligible.len())]
        } else {
            let lag = |index: &usize| candidates[*index].1.converged.map(|(at, _)| at);
            eligible.iter().copied().min_by_key(lag).unwrap_or(eligible[0])
        };
        chosen.push(candidates.swap_remove(pick).0.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> BTreeMap<PeerId, Peer> {
        let peer = |index: u64| {
            let zone = Some(if index < 8 { "near" } else { "far" }.into());
            let converged = (index != 5).then(|| (Duration::from_secs(100 + index), Root::from_bytes([0; 32])));
            (PeerId::from(alloc::format!("peer-{index}").as_str()), Peer { zone, converged, ..Peer::default() })
        };
        (0..10).map(peer).collect()
    }

    fn counts(config: &GossipConfig, rounds: usize) -> BTreeMap<PeerId, usize> {
        let (peers, mut random) = (peers(), fastrand::Rng::with_seed(1));
        let mut counts = BTreeMap::new();
        for _ in 0..rounds {
            let chosen = choose(&peers, Some("near"), 1, config, &mut random, Duration::from_secs(200), |_| false);
            *counts.entry(chosen[0].clone()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_fifth_goes_to_the_peer_that_lags_most() {
        let config = GossipConfig { other_zone_percent: 0, ..GossipConfig::default() };
        let counts = counts(&config, 10_000);
        // 20% of all, and its tenth of the random rest: 28%.
        assert!((2600..3000).contains(&counts[&PeerId::from("peer-5")]), "{counts:?}");
        assert!(counts.values().all(|count| *count > 600), "everybody is talked to: {counts:?}");
    }

    #[test]
    fn other_zones_get_their_share() {
        let config = GossipConfig { other_zone_percent: 50, random_percent: 100, ..GossipConfig::default() };
        let counts = counts(&config, 10_000);
        let far = counts[&PeerId::from("peer-8")] + counts[&PeerId::from("peer-9")];
        // Half of all, and a fifth of the other half: 60%.
        assert!((5700..6300).contains(&far), "{far}");
    }

    #[test]
    fn peers_in_backoff_and_excluded_ones_are_left_alone() {
        let (mut peers, mut random) = (peers(), fastrand::Rng::with_seed(1));
        let (config, now) = (GossipConfig::default(), Duration::from_secs(200));
        let failing = PeerId::from("peer-3");
        peers.get_mut(&failing).unwrap().failed(&config, now);
        let chosen = choose(&peers, None, 20, &config, &mut random, now, |id| id.as_str() == "peer-1");
        assert_eq!(chosen.len(), 8);
        assert!(!chosen.contains(&failing) && !chosen.contains(&PeerId::from("peer-1")));
        let later = now + config.backoff_min;
        assert!(choose(&peers, None, 20, &config, &mut random, later, |_| false).contains(&failing));
    }

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let config = GossipConfig::default();
        let mut peer = Peer::default();
        for _ in 0..100 {
            peer.failed(&config, Duration::ZERO);
        }
        assert_eq!(peer.not_before, config.backoff_max);
        peer.succeeded();
        peer.failed(&config, Duration::ZERO);
        assert_eq!(peer.not_before, config.backoff_min);
    }
}
