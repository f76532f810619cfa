//! Every field that has a range refuses what is outside of it, by name.

use core::num::{NonZeroU64, NonZeroUsize};

use anti_entropy::PushRoute;

use super::*;

/// A field, and what puts it outside of its range.
type Outside<T> = (&'static str, fn(&mut T));

const TOO_MUCH: u64 = u64::MAX;

/// Every setting of gossip, without `..`, so that a new one does not go unnoticed here.
fn full_gossip() -> Gossip {
    Gossip {
        preset: Preset::Wan,
        interval_ms: Some(2),
        min_interval_ms: Some(1),
        fanout: Some(1),
        push: Some(true),
        push_route: Some(PushRoute::Tree),
        push_fanout: Some(1),
        push_delay_ms: Some(1),
        max_queued_pushes: Some(1),
        max_buffered_pushes: Some(1),
        max_buffered_bytes: Some(1),
        bytes_per_second: Some(NonZeroU64::MIN),
        burst_bytes: Some(NonZeroU64::MIN),
        max_transfers: Some(NonZeroUsize::MIN),
        max_sessions: NonZeroUsize::new(2),
        busy_retry_ms: Some(1),
        transfer_turn_ms: Some(1),
        backoff_min_ms: Some(1),
        backoff_max_ms: Some(2),
        announce_ms: Some(1),
        announcement_lifetime_ms: Some(1),
        certify_every: Some(1),
        frame_bytes: Some(512),
        batch_entries: Some(NonZeroUsize::MIN),
        batch_bytes: Some(1),
        bulk_after: Some(1),
        answer_bytes: Some(1),
        resend_after_ms: Some(1),
        idle_timeout_ms: Some(1),
        context_pieces: Some(NonZeroUsize::MIN),
        clock_replicas: Some(1),
        new_replicas: Some(1),
        first_message_bytes: Some(4096),
        sketches: Sketches::On,
        sketch_cells: Some(1),
        first_cells: Some(1),
        clock_counters: Some(1),
    }
}

/// Likewise every property of links.
fn full_links() -> Links {
    Links {
        loss_permille: 1,
        duplicate_permille: 1,
        replay_permille: 1,
        reorder_permille: 1,
        corrupt_permille: 1,
        truncate_permille: 1,
        clog_permille: 1,
        clog_ms: 1,
        delay_min_us: 1,
        delay_mean_us: 1,
        bytes_per_second: 1,
    }
}

/// The names of the fields that are numbers.
fn numbers(of: &impl serde::Serialize) -> Vec<String> {
    let table = toml::Table::try_from(of).unwrap();
    table.into_iter().filter(|(_, value)| value.is_integer()).map(|(name, _)| name).collect()
}

/// Checks that each change is refused by the name of its field, and that all fields are among them.
fn all_refused<T: Clone + serde::Serialize>(
    full: &T,
    place: &str,
    outside: &[Outside<T>],
    scenario: impl Fn(T) -> Scenario,
) {
    scenario(full.clone()).check().unwrap();
    for (field, change) in outside {
        let mut changed = full.clone();
        change(&mut changed);
        let error = scenario(changed).check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{place}: {field}")), "{error}, and not of {field}");
    }
    let missing: Vec<_> =
        numbers(full).into_iter().filter(|name| outside.iter().all(|(field, _)| field != name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_setting_of_gossip_has_its_range() {
    const ALL_BITS: NonZeroUsize = NonZeroUsize::MAX;
    let outside: &[Outside<Gossip>] = &[
        ("interval_ms", |gossip| gossip.interval_ms = Some(0)),
        ("interval_ms", |gossip| gossip.interval_ms = Some(TOO_MUCH)),
        ("min_interval_ms", |gossip| gossip.min_interval_ms = Some(0)),
        ("min_interval_ms", |gossip| gossip.min_interval_ms = Some(3)),
        ("fanout", |gossip| gossip.fanout = Some(0)),
        ("push_fanout", |gossip| gossip.push_fanout = Some(usize::MAX)),
        ("push_delay_ms", |gossip| gossip.push_delay_ms = Some(TOO_MUCH)),
        ("max_queued_pushes", |gossip| gossip.max_queued_pushes = Some(usize::MAX)),
        ("max_buffered_pushes", |gossip| gossip.max_buffered_pushes = Some(usize::MAX)),
        ("max_buffered_bytes", |gossip| gossip.max_buffered_bytes = Some(usize::MAX)),
        ("bytes_per_second", |gossip| gossip.bytes_per_second = Some(NonZeroU64::MAX)),
        ("burst_bytes", |gossip| gossip.burst_bytes = Some(NonZeroU64::MAX)),
        ("max_transfers", |gossip| gossip.max_transfers = Some(ALL_BITS)),
        ("max_sessions", |gossip| gossip.max_sessions = Some(ALL_BITS)),
        ("busy_retry_ms", |gossip| gossip.busy_retry_ms = Some(0)),
        ("transfer_turn_ms", |gossip| gossip.transfer_turn_ms = Some(0)),
        ("backoff_min_ms", |gossip| gossip.backoff_min_ms = Some(0)),
        ("backoff_min_ms", |gossip| gossip.backoff_min_ms = Some(3)),
        ("backoff_max_ms", |gossip| gossip.backoff_max_ms = Some(0)),
        ("announce_ms", |gossip| gossip.announce_ms = Some(0)),
        ("announcement_lifetime_ms", |gossip| gossip.announcement_lifetime_ms = Some(0)),
        ("certify_every", |gossip| gossip.certify_every = Some(0)),
        ("frame_bytes", |gossip| gossip.frame_bytes = Some(511)),
        ("batch_entries", |gossip| gossip.batch_entries = Some(ALL_BITS)),
        ("batch_bytes", |gossip| gossip.batch_bytes = Some(0)),
        ("bulk_after", |gossip| gossip.bulk_after = Some(TOO_MUCH)),
        ("answer_bytes", |gossip| gossip.answer_bytes = Some(0)),
        ("resend_after_ms", |gossip| gossip.resend_after_ms = Some(0)),
        ("idle_timeout_ms", |gossip| gossip.idle_timeout_ms = Some(0)),
        ("context_pieces", |gossip| gossip.context_pieces = Some(ALL_BITS)),
        ("clock_replicas", |gossip| gossip.clock_replicas = Some(0)),
        ("new_replicas", |gossip| gossip.new_replicas = Some(0)),
        ("first_message_bytes", |gossip| gossip.first_message_bytes = Some(4095)),
        ("sketch_cells", |gossip| gossip.sketch_cells = Some(usize::MAX)),
        ("first_cells", |gossip| gossip.first_cells = Some(usize::MAX)),
        ("clock_counters", |gossip| gossip.clock_counters = Some(usize::MAX)),
    ];
    all_refused(&full_gossip(), "gossip", outside, |gossip| Scenario::new("", 2).gossip(gossip));
}

#[test]
fn a_shorter_interval_shortens_the_presets_shortest_but_none_that_is_set() {
    let gossip = |min_interval_ms| Gossip { interval_ms: Some(200), min_interval_ms, ..Gossip::default() };
    Scenario::new("", 2).gossip(gossip(None)).check().unwrap();
    assert_eq!(gossip(None).config().min_interval, gossip(None).config().interval);
    let error = Scenario::new("", 2).gossip(gossip(Some(201))).check().unwrap_err().to_string();
    assert_eq!(error, "gossip: min_interval_ms, 201ms, is more than interval_ms, 200ms");
}

#[test]
fn every_property_of_links_has_its_range() {
    let outside: &[Outside<Links>] = &[
        ("loss_permille", |links| links.loss_permille = 1_001),
        ("duplicate_permille", |links| links.duplicate_permille = 1_001),
        ("replay_permille", |links| links.replay_permille = 1_001),
        ("reorder_permille", |links| links.reorder_permille = 1_001),
        ("corrupt_permille", |links| links.corrupt_permille = 1_001),
        ("truncate_permille", |links| links.truncate_permille = 1_001),
        ("clog_permille", |links| links.clog_permille = u16::MAX),
        ("clog_ms", |links| links.clog_ms = 3_600_001),
        ("delay_min_us", |links| links.delay_min_us = 3_600_000_001),
        ("delay_mean_us", |links| links.delay_mean_us = TOO_MUCH),
        ("bytes_per_second", |links| links.bytes_per_second = TOO_MUCH),
    ];
    all_refused(&full_links(), "links", outside, |links| Scenario::new("", 2).links(links));
    all_refused(&full_links(), "healed_links", outside, |links| Scenario::new("", 2).healed_links(links));
    let degraded = |links| Scenario::new("", 2).step(5, 9, [], Fault::Degrade { links });
    all_refused(&full_links(), "step 1 (degrade)", outside, degraded);
}

#[test]
fn every_number_of_a_fault_has_its_range() {
    let flapping = |period_ms| Fault::Flapping { groups: vec![vec![0], vec![1]], period_ms };
    let errors = |reads_permille, commits_permille, syncs_permille| Fault::DiskErrors {
        reads_permille,
        commits_permille,
        syncs_permille,
    };
    let refused = [
        (flapping(1), "period_ms is 1"),
        (flapping(5), "period_ms is 5"),
        (Fault::Cascade { every_ms: 0 }, "2 nodes 0 ms"),
        (Fault::Cascade { every_ms: 4 }, "2 nodes 4 ms"),
        (Fault::SlowDisk { commit_ms: 0 }, "commit_ms is 0"),
        (Fault::SlowDisk { commit_ms: TOO_MUCH }, "commit_ms is"),
        (errors(1_001, 0, 0), "reads_permille"),
        (errors(0, 501, 500), "reads_permille, and commits_permille with syncs_permille"),
        (Fault::ClockJump { by_ms: 0 }, "by_ms is 0"),
        (Fault::ClockJump { by_ms: i64::MIN }, "by_ms is"),
        (Fault::ClockDrift { ppm: 0 }, "ppm is 0"),
        (Fault::ClockDrift { ppm: -500_001 }, "ppm is -500001"),
    ];
    for (fault, problem) in refused {
        let place = format!("step 1 ({}): ", fault.name());
        let error = Scenario::new("", 2).step(5, 9, [], fault).check().unwrap_err().to_string();
        assert!(error.starts_with(&(place + problem)), "{error}, and not {problem}");
    }
}

#[test]
fn a_workload_without_weights_is_refused() {
    let mut scenario = Scenario::new("", 2).operations(1);
    scenario.workload.mix = Mix { write: 0, delete: 0, read: 0, write_seen: 0, delete_seen: 0, transaction: 0 };
    let error = scenario.check().unwrap_err().to_string();
    assert!(error.starts_with("workload.mix: every weight is 0"), "{error}");
}
