//! Drawing the settings that hold for the whole scenario.

use core::num::{NonZeroU64, NonZeroUsize};
use core::ops::RangeInclusive;

use anti_entropy::{GossipConfig, ReplicaConfig};

use super::Random;
use crate::history::NodeIndex;
use crate::scenario::{Gossip, Links, Mix, Scenario, Sketches};

/// A scenario whose faults last 20 to 35 seconds, and of which at least a minute is simulated.
pub(super) fn scenario(random: &mut Random, name: String, nodes: NodeIndex) -> Scenario {
    // Few keys for bugs of concurrent writes, many for long sketches.
    let keys = random.one_of(&[1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 60]);
    let operations = u32::try_from(random.strength(20..=150)).expect("at most 150");
    let mut scenario = Scenario::new(name, nodes)
        .keys(keys)
        .duration_ms(random.strength(20_000..=35_000))
        .at_least_ms(60_000)
        .operations(operations)
        .healed_links(healed_links(random));
    scenario.workload.mix = mix(random);
    scenario
}

/// Weights of operations. Any kind except writes may be missing or be much more frequent.
fn mix(random: &mut Random) -> Mix {
    let usual = Mix::default();
    let mut some = |weight: u16| weight * random.one_of(&[0, 1, 1, 4]);
    Mix {
        write: usual.write,
        delete: some(usual.delete),
        read: some(usual.read),
        write_seen: some(usual.write_seen),
        delete_seen: some(usual.delete_seen),
        transaction: some(usual.transaction),
    }
}

/// Links with any faults, of any strength.
pub(super) fn links(random: &mut Random) -> Links {
    let mut some = |most: u16| if random.permille(500) { random.strength_permille(most) } else { 0 };
    let mut links = Links {
        loss_permille: some(300),
        duplicate_permille: some(500),
        replay_permille: some(500),
        reorder_permille: some(200),
        corrupt_permille: some(200),
        truncate_permille: some(200),
        clog_permille: some(20),
        ..Links::default()
    };
    if links.clog_permille > 0 {
        links.clog_ms = random.strength(0..=5_000);
    }
    if random.permille(250) {
        links.bytes_per_second = random.strength(20_000..=10_000_000);
    }
    if random.permille(500) {
        links.delay_min_us = random.strength(0..=1_000);
        links.delay_mean_us = 1_000;
        return links;
    }
    let slow = if random.permille(100) { 10 } else { 1 };
    links.delay_min_us = slow * random.strength(0..=30_000);
    links.delay_mean_us = slow * random.strength(30_000..=100_000);
    links
}

/// Links with weak faults.
pub(super) fn mild_links(random: &mut Random) -> Links {
    let mut some = |most: u16| if random.permille(500) { random.strength_permille(most) } else { 0 };
    Links {
        loss_permille: some(50),
        duplicate_permille: some(50),
        reorder_permille: some(50),
        delay_min_us: random.strength(0..=1_000),
        delay_mean_us: random.strength(500..=10_000),
        ..Links::default()
    }
}

/// Links after healing: one of four networks still loses a fifth of all frames.
fn healed_links(random: &mut Random) -> Links {
    if !random.permille(250) {
        return Links::default();
    }
    Links {
        loss_permille: 200,
        delay_min_us: random.strength(0..=2_000),
        delay_mean_us: random.strength(100..=8_000),
        ..Links::default()
    }
}

/// Gossip settings with rounds every one to ten seconds, as on a local network.
pub(super) fn gossip(random: &mut Random) -> Gossip {
    let interval = random.one_of(&[1_000, 2_000, 5_000, 10_000]);
    let min_interval = (interval / random.one_of(&[1, 2, 5, 10])).max(100);
    Gossip {
        interval_ms: Some(interval),
        min_interval_ms: Some(min_interval),
        // The preset's value could be longer than the longest backoff.
        backoff_min_ms: Some(min_interval),
        backoff_max_ms: Some(random.strength(interval..=3 * interval)),
        // So that a session with a dead peer ends within a few rounds.
        idle_timeout_ms: Some(random.strength(1_000..=5_000).min(3 * interval)),
        resend_after_ms: Some(random.strength(100..=500)),
        sketches: random.one_of(&[Sketches::On, Sketches::On, Sketches::Off, Sketches::Mixed, Sketches::Failing]),
        // So few entries only become bulk transfers if the limit is this low.
        bulk_after: random.one_of(&[None, None, Some(0), Some(3), Some(20)]),
        sketch_cells: random.one_of(&[None, None, Some(8), Some(16), Some(40)]),
        first_cells: random.one_of(&[None, None, Some(1), Some(8), Some(20)]),
        clock_counters: random.one_of(&[None, None, Some(0), Some(6)]),
        // From less than a message takes to longer than the run.
        transfer_turn_ms: random.one_of(&[None, None, Some(5), Some(1_000), Some(3_600_000)]),
        ..Gossip::default()
    }
}

/// Pings with announcements in three of five clusters, up to ten in a round.
pub(super) fn announcements(random: &mut Random, gossip: &mut Gossip) {
    let Some(interval) = gossip.interval_ms else { return };
    gossip.announce_ms = random.one_of(&[None, None, Some(interval / 10), Some(interval / 3), Some(interval)]);
    gossip.announcement_lifetime_ms = random.one_of(&[None, Some(interval), Some(5 * interval)]);
}

/// What may be sent a second, how many sessions exchange entries at a time, and how many early pushes wait: the preset's, or
/// so little that it is used up.
pub(super) fn budgets(random: &mut Random, gossip: &mut Gossip) {
    if random.permille(250) {
        gossip.bytes_per_second = NonZeroU64::new(random.strength(50_000..=1_000_000));
        // One frame takes it below zero.
        gossip.burst_bytes = NonZeroU64::new(random.strength(1..=10_000));
    }
    if random.permille(250) {
        let most = gossip.max_sessions.map_or(8, |sessions| sessions.get().min(8));
        gossip.max_transfers = NonZeroUsize::new(random.one_of(&[2, most.div_ceil(2), most]));
    }
    gossip.max_buffered_pushes = random.one_of(&[None, None, Some(0), Some(1), Some(4)]);
    gossip.max_buffered_bytes = random.one_of(&[None, None, None, Some(0), Some(500)]);
}

/// Limits down to a 600th of the preset's, so that rare events happen often.
pub(super) fn limits(random: &mut Random, gossip: &mut Gossip) {
    let usual = GossipConfig::lan();
    let session = usual.session;
    let pieces = ReplicaConfig::default().max_context_pieces;
    gossip.push = random.permille(200).then_some(false);
    gossip.max_queued_pushes = shrunk(random, 1..=usual.max_queued_pushes);
    gossip.max_sessions = shrunk(random, 4..=usual.max_sessions.get()).and_then(NonZeroUsize::new);
    gossip.frame_bytes = shrunk(random, 512..=session.max_frame_bytes);
    gossip.batch_entries = shrunk(random, 1..=session.batch_entries.get()).and_then(NonZeroUsize::new);
    gossip.batch_bytes = shrunk(random, 1..=session.batch_bytes);
    gossip.answer_bytes = shrunk(random, 1..=session.answer_bytes);
    gossip.context_pieces = shrunk(random, 1..=pieces.get()).and_then(NonZeroUsize::new);
}

/// A limit from the least that is possible to the preset's; `None` for the preset's.
fn shrunk(random: &mut Random, range: RangeInclusive<usize>) -> Option<usize> {
    let times = random.one_of(&[2, 6, 20, 60, 200, 600]);
    random.permille(500).then(|| (range.end() / times).max(*range.start()))
}
