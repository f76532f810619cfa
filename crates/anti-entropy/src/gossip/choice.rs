//! Which peers a round talks to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::config::GossipConfig;
use super::peer::Peer;
use crate::PeerId;

/// Chooses up to [`fanout`](GossipConfig::fanout) different peers, among those that are neither backing off nor
/// `excluded`.
pub(super) fn choose(
    peers: &BTreeMap<PeerId, Peer>,
    zone: Option<&str>,
    config: &GossipConfig,
    random: &mut fastrand::Rng,
    now: Duration,
    excluded: impl Fn(&PeerId) -> bool,
) -> Vec<PeerId> {
    let mut candidates: Vec<(&PeerId, &Peer)> =
        peers.iter().filter(|(id, peer)| !peer.is_backing_off(now) && !excluded(id)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < config.fanout && !candidates.is_empty() {
        let elsewhere = |(_, peer): &(&PeerId, &Peer)| peer.zone() != zone;
        let prefers_others = random.u8(0..100) < config.other_zone_percent && candidates.iter().any(elsewhere);
        let eligible: Vec<usize> =
            (0..candidates.len()).filter(|index| !prefers_others || elsewhere(&candidates[*index])).collect();
        let pick = if random.u8(0..100) < config.random_percent {
            eligible[random.usize(0..eligible.len())]
        } else {
            let lag = |index: &usize| candidates[*index].1.certified_at();
            eligible.iter().copied().min_by_key(lag).unwrap_or(eligible[0])
        };
        chosen.push(candidates.swap_remove(pick).0.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Root;

    fn peers() -> BTreeMap<PeerId, Peer> {
        let peer = |index: u64| {
            let mut peer = Peer::default();
            peer.set_zone(Some(if index < 8 { "near" } else { "far" }.into()));
            if index != 5 {
                let root = Root::from_bytes([0; 32]);
                peer.has_converged(Some(root), 0, None, Duration::from_secs(100 + index));
            }
            (PeerId::from(alloc::format!("peer-{index}").as_str()), peer)
        };
        (0..10).map(peer).collect()
    }

    fn counts(config: &GossipConfig, rounds: usize) -> BTreeMap<PeerId, usize> {
        let (peers, mut random) = (peers(), fastrand::Rng::with_seed(1));
        let mut counts = BTreeMap::new();
        for _ in 0..rounds {
            let chosen = choose(&peers, Some("near"), config, &mut random, Duration::from_secs(200), |_| false);
            *counts.entry(chosen[0].clone()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_fifth_goes_to_the_peer_that_lags_most() {
        let config = GossipConfig { fanout: 1, other_zone_percent: 0, ..GossipConfig::default() };
        let counts = counts(&config, 10_000);
        // 20% of all, and its tenth of the random rest: 28%.
        assert!((2600..3000).contains(&counts[&PeerId::from("peer-5")]), "{counts:?}");
        assert!(counts.values().all(|count| *count > 600), "everybody is talked to: {counts:?}");
    }

    #[test]
    fn other_zones_get_their_share() {
        let config = GossipConfig { fanout: 1, other_zone_percent: 50, random_percent: 100, ..GossipConfig::default() };
        let counts = counts(&config, 10_000);
        let far = counts[&PeerId::from("peer-8")] + counts[&PeerId::from("peer-9")];
        // Half of all, and a fifth of the other half: 60%.
        assert!((5700..6300).contains(&far), "{far}");
    }

    #[test]
    fn peers_in_backoff_and_excluded_ones_are_left_alone() {
        let (mut peers, mut random) = (peers(), fastrand::Rng::with_seed(1));
        let config = GossipConfig { fanout: 20, ..GossipConfig::default() };
        let now = Duration::from_secs(200);
        let failing = PeerId::from("peer-3");
        peers.get_mut(&failing).unwrap().failed(&config, now);
        let chosen = choose(&peers, None, &config, &mut random, now, |id| id.as_str() == "peer-1");
        assert_eq!(chosen.len(), 8);
        assert!(!chosen.contains(&failing) && !chosen.contains(&PeerId::from("peer-1")));
        let later = now + config.backoff_min;
        assert!(choose(&peers, None, &config, &mut random, later, |_| false).contains(&failing));
    }
}
