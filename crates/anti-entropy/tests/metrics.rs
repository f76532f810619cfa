//! What a driver tells of two nodes that converge, to a recorder that keeps it all.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod recorder;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::{
    Clock, DriverConfig, GossipConfig, Handle, KeepAll, Keyed, MemoryNetwork, MemoryStore, PeerId, Replica,
    SessionConfig, Status, SystemClock, describe_metrics,
};
use futures::executor::block_on;

use recorder::{Recorder, recorder};

type Item = Keyed<u32, String>;

fn start(network: &MemoryNetwork, space: &str, index: u8, gossip: GossipConfig) -> Handle<Item> {
    recorder(); // there before anything is told
    let (seed, clock) = (Seed::from_bytes([index; 32]), SystemClock::new());
    let replica = Replica::open(MemoryStore::new(), KeepAll, seed).unwrap();
    let mut engine = Engine::new(replica, gossip, index.into(), clock.now()).unwrap();
    engine.set_space(space);
    engine.add_peer(name(3 - index), None);
    let (handle, driver) = drive(engine, network.join(name(index)), clock, DriverConfig::default()).unwrap();
    std::thread::spawn(|| block_on(driver));
    handle
}

fn name(index: u8) -> PeerId {
    PeerId::from(format!("node-{index}").as_str())
}

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

/// No rounds and no pushes: what happens is what is asked for.
fn quiet() -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    GossipConfig::test().with(|config| {
        config.interval = never;
        config.min_interval = never;
        config.push = false;
    })
}

/// Waits until a gauge is as it should be; the recorder is told once a second.
fn await_gauge(metric: &str, right: impl Fn(f64) -> bool) {
    let began = Instant::now();
    while !recorder().gauge(metric).is_some_and(&right) {
        assert!(began.elapsed() < Duration::from_secs(60), "{metric} is {:?}", recorder().gauge(metric));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn shut_down(handle: &Handle<Item>) -> Status {
    let status = block_on(handle.status()).unwrap();
    block_on(handle.shutdown(Duration::from_secs(30))).unwrap();
    status
}

/// Two writes to the same key on two nodes, and one more on each, meet by a session.
fn converge(network: &MemoryNetwork, spaces: [&str; 2]) -> (Handle<Item>, Handle<Item>) {
    let (a, b) = (start(network, spaces[0], 1, quiet()), start(network, spaces[1], 2, quiet()));
    block_on(async {
        a.commit(anti_entropy::Transaction::new().write(item(0, "a")).write(item(1, "a"))).await.unwrap();
        b.commit(anti_entropy::Transaction::new().write(item(0, "b")).write(item(2, "b"))).await.unwrap();
        a.wait_converged([name(2)]).await.unwrap();
    });
    // The opener's last word may still be on its way.
    let began = Instant::now();
    while [&a, &b].iter().any(|node| block_on(node.status()).unwrap().sessions > 0) {
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    (a, b)
}

#[test]
fn what_is_told_of_two_nodes_that_converged_is_right() {
    let (a, b) = converge(&MemoryNetwork::new(1), ["left", "right"]);
    await_gauge("anti_entropy_entries{space=left}", |entries| entries.to_bits() == 3_f64.to_bits());
    await_gauge("anti_entropy_conflicts{space=right}", |conflicts| conflicts.to_bits() == 1_f64.to_bits());
    await_gauge("anti_entropy_clock_replicas{space=left}", |replicas| replicas.to_bits() == 2_f64.to_bits());
    await_gauge("anti_entropy_peers{space=left}", |peers| peers.to_bits() == 1_f64.to_bits());
    await_gauge("anti_entropy_peer_lag_seconds{peer=node-2,space=left}", |lag| (0.0..60.0).contains(&lag));
    await_gauge("anti_entropy_peer_certified_lag_seconds{peer=node-2,space=left}", |lag| (0.0..60.0).contains(&lag));
    await_gauge("anti_entropy_peer_differences{peer=node-2,space=left}", |keys| keys.to_bits() == 3_f64.to_bits());
    await_gauge("anti_entropy_overstream_ratio{space=left}", |ratio| ratio.to_bits() == 1_f64.to_bits());
    let (a, b) = (shut_down(&a), shut_down(&b));
    let count = |metric: &str| recorder().counter(metric).unwrap_or_else(|| panic!("no {metric}"));
    for (space, status) in [("left", &a), ("right", &b)] {
        let engine = status.engine;
        assert_eq!(count(&format!("anti_entropy_changed_keys_total{{space={space}}}")), 2, "{engine:?}");
        let by = |by: &str| count(&format!("anti_entropy_sent_bytes_total{{by={by},space={space}}}"));
        assert_eq!((by("session"), by("push")), (engine.bytes_sent, 0));
        let content =
            |content: &str| count(&format!("anti_entropy_sent_content_bytes_total{{content={content},space={space}}}"));
        assert_eq!(content("body"), engine.value_bytes_sent);
        assert_eq!(content("body") + content("part") + content("overhead"), engine.bytes_sent);
        assert!(content("body") > 0 && content("overhead") > 0);
        assert_eq!(count(&format!("anti_entropy_rounds_total{{space={space}}}")), engine.rounds);
        let outcome =
            |outcome: &str| count(&format!("anti_entropy_sessions_ended_total{{outcome={outcome},space={space}}}"));
        assert_eq!(outcome("converged"), engine.converged);
        assert_eq!(["progress", "partial", "refused"].map(outcome), [0; 3], "{engine:?}");
        let sessions =
            recorder().histogram(&format!("anti_entropy_session_seconds{{outcome=converged,space={space}}}"));
        assert_eq!(sessions.len() as u64, engine.converged);
        let [compared, joined] = ["compare", "join"]
            .map(|what| recorder().histogram(&format!("anti_entropy_{what}_seconds{{space={space}}}")).len() as u64);
        assert_eq!((compared, joined), (engine.frames_compared, engine.frames_joined));
        assert!(compared > 0 && joined > 0);
    }
    assert_eq!(count("anti_entropy_sessions_started_total{by=opened,space=left}"), a.engine.sessions_opened);
    assert_eq!(count("anti_entropy_sessions_started_total{by=accepted,space=right}"), a.engine.sessions_opened);
    let (sent, received) = (a.engine.bytes_sent, b.engine.bytes_received);
    assert_eq!(count("anti_entropy_received_bytes_total{space=right}"), received);
    assert_eq!(sent, received, "nothing was lost");
    // What is driven no more has no state.
    for gone in ["anti_entropy_entries{space=left}", "anti_entropy_peer_lag_seconds{peer=node-2,space=left}"] {
        assert!(recorder().gauge(gone).unwrap().is_nan(), "{gone}");
    }
}

#[test]
fn a_peer_that_was_never_reached_lags_without_bound_and_a_removed_one_not_at_all() {
    let alone = start(&MemoryNetwork::new(2), "alone", 1, quiet());
    let lags =
        ["lag", "certified_lag"].map(|lag| format!("anti_entropy_peer_{lag}_seconds{{peer=node-2,space=alone}}"));
    for lag in &lags {
        await_gauge(lag, |lag| lag.to_bits() == f64::INFINITY.to_bits());
    }
    block_on(alone.with(|engine, _| engine.remove_peer(&name(2)))).unwrap();
    for lag in &lags {
        await_gauge(lag, f64::is_nan);
    }
    await_gauge("anti_entropy_peers{space=alone}", |peers| peers.to_bits() == 0_f64.to_bits());
}

#[test]
fn why_sessions_fail_is_counted() {
    let network = MemoryNetwork::new(3);
    let session = SessionConfig::default().with(|config| config.schema_id = 7);
    let (a, b) = (
        start(&network, "agrees", 1, quiet()),
        start(&network, "not", 2, quiet().with(|config| config.session = session)),
    );
    block_on(a.write(item(1, "a"))).unwrap();
    block_on(a.sync_now(name(2))).unwrap();
    let refused = "anti_entropy_session_failures_total{outcome=refused,reason=schema_id,space=agrees}";
    let began = Instant::now();
    while recorder().counter(refused) == Some(0) {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(recorder().counter(refused), Some(1));
    drop(b);
}

#[test]
fn a_replica_that_is_opened_again_goes_on_counting() {
    let rounds = GossipConfig::test().with(|config| config.push = false);
    let mut total = 0;
    for life in 0..2 {
        let handle = start(&MemoryNetwork::new(4), "twice", 1, rounds.clone());
        let began = Instant::now();
        while block_on(handle.status()).unwrap().engine.rounds == 0 {
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        let seen = block_on(handle.status()).unwrap().engine.rounds;
        block_on(handle.shutdown(Duration::from_secs(30))).unwrap();
        let counted = recorder().counter("anti_entropy_rounds_total{space=twice}").unwrap();
        assert!(counted >= total + seen, "life {life}: {counted} after {total} and {seen}");
        total = counted;
    }
}

/// The names in the table of docs/operations.md, with what it says of each.
fn documented() -> BTreeSet<(String, String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `anti_entropy_") && line.matches('|').count() == 5);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_string(), cells[2].to_string(), cells[4].to_string())
    };
    let core = |name: &str| !name.starts_with("anti_entropy_net_");
    rows.map(row).filter(|(name, ..)| core(name)).collect()
}

#[test]
fn what_is_documented_is_what_is_told() {
    describe_metrics();
    assert!(documented().len() > 30);
    assert_eq!(recorder().described(), documented());
    let spaces = ["documented-1", "documented-2"];
    let (a, b) = converge(&MemoryNetwork::new(5), spaces);
    let names = |rows: BTreeSet<(String, String, String)>| rows.into_iter().map(|(name, ..)| name).collect();
    let documented: BTreeSet<String> = names(documented());
    drop((shut_down(&a), shut_down(&b)));
    assert_eq!(recorder().told("space=documented-1"), documented);
}

#[test]
fn the_recorder_of_these_tests_tells_metrics_apart() {
    let own = Recorder::default();
    metrics::with_local_recorder(&own, || {
        metrics::counter!("c", "k" => "v").increment(2);
        metrics::gauge!("g").set(1.5);
        metrics::histogram!("h").record(0.5);
    });
    assert_eq!((own.counter("c{k=v}"), own.counter("c")), (Some(2), None));
    assert_eq!((own.gauge("g"), own.histogram("h")), (Some(1.5), vec![0.5]));
}
