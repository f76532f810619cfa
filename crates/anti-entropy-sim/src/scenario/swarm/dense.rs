//! Few nodes and keys, and many operations over slow links: sessions get in each other's way.
//!
//! What a run of the swarm does in a minute happens here in a few seconds, at the same few keys. Hunts for planted bugs use
//! the same scenarios, each kind by itself.

use core::num::{NonZeroU64, NonZeroUsize};
use core::ops::RangeInclusive;

use crate::random::stream;
#[cfg(feature = "mutants")]
use crate::scenario::Abuse;
use crate::scenario::{Fault, Gossip, Links, Mix, Scenario, Sketches};

/// How many nodes there are.
pub(super) const NODES: RangeInclusive<u32> = 3..=5;

/// A dense scenario of any kind.
pub(super) fn any(seed: u64) -> Scenario {
    let mut random = stream(seed, &[9]);
    let mut scenario = dense(seed);
    if random.u8(0..3) == 0 {
        scenario = without_pushes(scenario);
    }
    scenario = match random.u8(0..14) {
        0 => compacting(scenario),
        7 => with_few_pieces(scenario),
        8 => with_budgets(scenario),
        9 => with_bad_disks(scenario),
        10 => with_trees(scenario),
        11 => return with_left_markers(scenario),
        12 => return with_jumps(scenario, seed),
        13 => with_clocks_by_cells(scenario),
        1 => with_queues(scenario),
        2 => with_bulk(scenario),
        3 => with_announcements(scenario),
        4 => with_poison(scenario),
        5 => stale_deletes(scenario),
        _ => busier(stale_deletes(scenario)),
    };
    if random.u8(0..3) == 0 { with_crashes(scenario, seed) } else { scenario }
}

pub(crate) const DURATION_MS: u64 = 8_000;

/// Three to five nodes that hold few keys and change them often.
pub(crate) fn dense(seed: u64) -> Scenario {
    let mut random = stream(seed, &[7]);
    let nodes = random.u32(NODES);
    let links = Links {
        loss_permille: random.u16(0..150),
        duplicate_permille: random.u16(0..300),
        replay_permille: random.u16(0..100),
        reorder_permille: random.u16(0..200),
        delay_min_us: random.u64(0..20_000),
        delay_mean_us: random.u64(1_000..60_000),
        ..Links::default()
    };
    let scenario = Scenario::new("dense", nodes).keys(random.u32(1..=8)).duration_ms(DURATION_MS);
    scenario.operations(150).links(links).gossip(Gossip {
        push_fanout: Some(random.u8(1..4).into()),
        interval_ms: Some(1_000),
        min_interval_ms: Some(100),
        backoff_min_ms: Some(100),
        backoff_max_ms: Some(500),
        resend_after_ms: Some(150),
        idle_timeout_ms: Some(1_000),
        batch_entries: NonZeroUsize::new(random.u8(1..3).into()),
        transfer_turn_ms: [None, Some(5), Some(3_600_000)][random.usize(0..3)],
        ..Gossip::default()
    })
}

pub(crate) fn without_pushes(mut scenario: Scenario) -> Scenario {
    scenario.gossip.push = Some(false);
    scenario
}

/// The last node does this, and goes on while the others, which were parted, have to exchange what they hold.
#[cfg(feature = "mutants")]
pub(crate) fn beset(scenario: Scenario, does: Abuse, from_ms: u64) -> Scenario {
    let member = scenario.nodes - 1;
    let groups = vec![vec![0], (1..member).collect()];
    let scenario = scenario.links(Links::default()).step(from_ms, DURATION_MS, [], Fault::Split { groups });
    scenario.step(from_ms, DURATION_MS, [member], Fault::Hostile { does: vec![does] })
}

/// The first node does this, and so little may be sent that all entries in one batch take seconds.
#[cfg(feature = "mutants")]
pub(crate) fn beset_by_the_first(mut scenario: Scenario, does: Abuse) -> Scenario {
    scenario.gossip.bytes_per_second = NonZeroU64::new(30_000);
    scenario.gossip.burst_bytes = Some(NonZeroU64::MIN);
    scenario.gossip.frame_bytes = Some(2_048);
    scenario.gossip.batch_entries = NonZeroUsize::new(60);
    scenario.gossip.idle_timeout_ms = Some(2_000);
    let groups = vec![vec![1], (2..scenario.nodes).collect()];
    let scenario = scenario.keys(60).links(Links::default()).step(500, DURATION_MS, [], Fault::Split { groups });
    scenario.step(500, DURATION_MS, [0], Fault::Hostile { does: vec![does] })
}

/// Hardly any new ids may come in from one peer.
#[cfg(feature = "mutants")]
pub(crate) fn with_few_new_replicas(mut scenario: Scenario) -> Scenario {
    scenario.gossip.new_replicas = Some(8);
    scenario
}

/// Three nodes of which the first takes only short messages, and values that get longer than that after some time.
#[cfg(feature = "mutants")]
pub(crate) fn with_short_messages(mut scenario: Scenario) -> Scenario {
    scenario.nodes = 3;
    scenario.gossip.first_message_bytes = Some(64 << 10);
    scenario.links(Links::default())
}

pub(crate) fn with_poison(mut scenario: Scenario) -> Scenario {
    scenario.gossip.sketches = Sketches::Failing;
    scenario.keys(40)
}

pub(crate) fn with_announcements(mut scenario: Scenario) -> Scenario {
    scenario.gossip.announce_ms = Some(50);
    (scenario.gossip.interval_ms, scenario.gossip.min_interval_ms) = (Some(3_000), Some(1_000));
    // Sessions would soon certify what is announced, and hide what is wrong with it.
    scenario.gossip.certify_every = Some(u32::MAX);
    // What was written and deleted between two comparisons leaves nothing but that it is known. So few operations that
    // sessions certify in between: before the first one, nothing that is announced is believed.
    scenario.workload.mix = Mix { write: 40, delete: 80, read: 0, ..Mix::default() };
    scenario.workload.operations = 30;
    scenario.keys(4)
}

pub(crate) fn with_bulk(mut scenario: Scenario) -> Scenario {
    scenario.gossip.bulk_after = Some(0);
    scenario.workload.mix = Mix { write: 40, delete: 80, read: 0, ..Mix::default() };
    scenario.workload.operations = 400;
    scenario.keys(12)
}

pub(crate) fn with_queues(mut scenario: Scenario) -> Scenario {
    scenario.gossip.push_delay_ms = Some(2_500);
    scenario.gossip.push_fanout = Some(4);
    scenario.gossip.max_queued_pushes = Some(2);
    scenario
}

/// A resolver that writes back what it decides, over links that take longer than a round: what one node writes, others do not
/// know when their next round begins.
pub(crate) fn compacting(mut scenario: Scenario) -> Scenario {
    scenario.compacts = true;
    scenario.gossip.batch_entries = None;
    scenario.healed_links = Links { delay_min_us: 150_000, delay_mean_us: 20_000, ..Links::default() };
    scenario
}

/// Twelve nodes with several transfers at a time of one entry a batch, which often break off, each at another place, between
/// contexts with room for two cuts: together they have more places than any of them takes.
pub(crate) fn with_few_pieces(mut scenario: Scenario) -> Scenario {
    scenario.nodes = 12;
    scenario.gossip.context_pieces = NonZeroUsize::new(3);
    scenario.gossip.max_transfers = NonZeroUsize::new(4);
    scenario.gossip.batch_entries = Some(NonZeroUsize::MIN);
    scenario.gossip.idle_timeout_ms = Some(400);
    scenario.links.loss_permille = 250;
    scenario.workload.operations = 600;
    scenario.keys(60)
}

/// Clocks that are told by cells, however short they are.
pub(crate) fn with_clocks_by_cells(mut scenario: Scenario) -> Scenario {
    scenario.gossip.clock_counters = Some(0);
    scenario
}

/// Trees that are compared in many small steps, while entries change.
pub(crate) fn with_trees(mut scenario: Scenario) -> Scenario {
    scenario.gossip.sketches = Sketches::Off;
    scenario.gossip.answer_bytes = Some(60);
    scenario.workload.operations = 400;
    scenario.keys(60)
}

/// Every node is closed in order, and later put back to a backup of the time after that.
pub(crate) fn with_left_markers(mut scenario: Scenario) -> Scenario {
    for node in 0..scenario.nodes {
        let start = 200 + u64::from(node) * 300;
        scenario = scenario.step(start, start + 200, [node], Fault::Crash { in_order: true, vouched: false });
        scenario = scenario.step(start + 1_000, start + 4_000, [node], Fault::Restore { vouched: false });
    }
    scenario
}

/// One frame uses up what may be sent at once, and several sessions exchange entries at a time.
pub(crate) fn with_budgets(mut scenario: Scenario) -> Scenario {
    scenario.gossip.bytes_per_second = NonZeroU64::new(50_000);
    scenario.gossip.burst_bytes = Some(NonZeroU64::MIN);
    scenario.gossip.max_transfers = NonZeroUsize::new(4);
    scenario.gossip.max_buffered_pushes = Some(1);
    scenario
}

/// Every tenth sync fails, and nobody knows what was kept.
pub(crate) fn with_bad_disks(scenario: Scenario) -> Scenario {
    let fault = Fault::DiskErrors { reads_permille: 0, commits_permille: 50, syncs_permille: 100 };
    scenario.step(100, DURATION_MS - 1_000, [], fault)
}

pub(crate) fn stale_deletes(mut scenario: Scenario) -> Scenario {
    scenario.workload.mix = Mix { write: 30, delete: 0, read: 35, write_seen: 10, delete_seen: 25, transaction: 0 };
    scenario.workload.operations = 250;
    scenario
}

pub(crate) fn busier(mut scenario: Scenario) -> Scenario {
    scenario.workload.operations = 700;
    scenario.links.delay_mean_us = 100_000;
    scenario
}

pub(crate) fn with_crashes(mut scenario: Scenario, seed: u64) -> Scenario {
    let mut random = stream(seed, &[8]);
    for turn in 0..6 {
        let start = 500 + turn * 1_200;
        let fault = match random.u8(0..4) {
            0 => Fault::Wipe,
            1 => Fault::Restore { vouched: false },
            2 => Fault::Crash { in_order: true, vouched: false },
            _ => Fault::Crash { in_order: false, vouched: random.bool() },
        };
        let node = random.u32(0..scenario.nodes);
        scenario = scenario.step(start, start + 900, [node], fault);
    }
    scenario
}

/// Wall clocks that jump by up to an hour either way, and processes that end while they are wrong.
pub(crate) fn with_jumps(mut scenario: Scenario, seed: u64) -> Scenario {
    const HOUR_MS: i64 = 3_600_000;
    let mut random = stream(seed, &[9]);
    for turn in 0..6 {
        let (start, node) = (500 + turn * 1_200, random.u32(0..scenario.nodes));
        let jump = Fault::ClockJump { by_ms: random.i64(-HOUR_MS..=HOUR_MS) };
        let crash = Fault::Crash { in_order: random.bool(), vouched: random.bool() };
        scenario = scenario.step(start, start + 600, [node], jump).step(start + 300, start + 900, [node], crash);
    }
    scenario
}
