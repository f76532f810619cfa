//! The cost of a whole synchronisation after one value among many has changed: from the opening frame until both sides
//! know that they are equal.

use std::error::Error;
use std::time::{Duration, Instant};

use anti_entropy::engine::{Engine, drive};
use anti_entropy::session::{Finished, Outcome};
use anti_entropy::{Clock, DriverConfig, Event, GossipConfig, Handle, Keyed, PeerId, Replica, SystemClock};
use anti_entropy_bench::{Key, equal, key, now, synchronise};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport};
use futures::{Stream, StreamExt};
use serde::Serialize;

use crate::measure::{Progress, Samples, time};

/// The bytes of a value.
const BUSY_RETRY: Duration = Duration::from_millis(1);
const VALUE_BYTES: usize = 100;
const GOAL_BYTES: u64 = 1500;
const GOAL_TRIPS: u32 = 2;
const GOAL_TCP_US: f64 = 1000.0;
const RUNS: u64 = 501;

type Item = Keyed<Key, Vec<u8>>;

/// The figures for one way to carry the frames, and one side that has the new value.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    synchronised: &'static str,
    entries: u64,
    changed_at: &'static str,
    /// The median over all runs, of both directions.
    bytes: f64,
    most_bytes: f64,
    round_trips: f64,
    most_round_trips: f64,
    /// How many runs met the goals for bytes and round trips.
    within: u64,
    /// The median time from opening the session until the opener knows that both are equal.
    elapsed_us: f64,
    runs: usize,
}

impl Row {
    pub(crate) const HEADERS: [&str; 10] =
        ["one value changed", "entries", "at the", "bytes", "most", "round trips", "most", "time", "within", "goal"];

    pub(crate) fn cells(&self) -> Vec<String> {
        let time = if self.synchronised == IN_MEMORY { String::new() } else { format!(", {GOAL_TCP_US:.0} us") };
        vec![
            self.synchronised.to_string(),
            self.entries.to_string(),
            self.changed_at.to_string(),
            self.bytes.to_string(),
            self.most_bytes.to_string(),
            self.round_trips.to_string(),
            self.most_round_trips.to_string(),
            format!("{:.0} us", self.elapsed_us),
            format!("{} of {}", self.within, self.runs),
            format!("<= {GOAL_BYTES} bytes, {GOAL_TRIPS} trips{time}"),
        ]
    }
}

/// Longer than anything here takes.
const NEVER: Duration = Duration::from_secs(1 << 30);
const IN_MEMORY: &str = "in memory";
const OVER_TCP: &str = "over loopback TCP";
const SIDES: [&str; 2] = ["opener", "answerer"];

/// The measurements of one case.
#[derive(Debug, Default)]
struct Runs {
    bytes: Samples,
    round_trips: Samples,
    elapsed: Samples,
    within: u64,
}

impl Runs {
    fn add(&mut self, bytes: u64, round_trips: u32, elapsed_us: f64) {
        self.bytes.add(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
        self.round_trips.add(round_trips.into());
        self.elapsed.add(elapsed_us);
        self.within += u64::from(bytes <= GOAL_BYTES && round_trips <= GOAL_TRIPS);
    }

    fn row(&mut self, synchronised: &'static str, entries: u64, changed_at: &'static str) -> Row {
        Row {
            synchronised,
            entries,
            changed_at,
            bytes: self.bytes.median(),
            most_bytes: self.bytes.greatest(),
            round_trips: self.round_trips.median(),
            most_round_trips: self.round_trips.greatest(),
            within: self.within,
            elapsed_us: self.elapsed.median(),
            runs: self.elapsed.len(),
        }
    }
}

/// Measures replicas with this number of entries in memory, and over loopback TCP.
///
/// # Errors
/// If a replica or the network fails.
pub(crate) fn measure(entries: u64, progress: &Progress, mut each: impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    let mut replicas = equal(
        entries,
        |number| value(number, 0),
        |written| {
            if written % 10_000 == 0 {
                progress.show(&format!("{entries} entries with longer values: {written} written"));
            }
        },
    )?;
    progress.show(&format!("{entries} entries: synchronising"));
    let mut random = fastrand::Rng::with_seed(1);
    let mut change = || value(random.u64(..entries), random.u64(1..));
    for (changing, side) in SIDES.into_iter().enumerate() {
        let mut runs = Runs::default();
        for _ in 0..RUNS {
            replicas[changing].write(change(), now())?;
            let [ours, theirs] = &mut replicas;
            let (elapsed, synchronised) = time(|| synchronise(ours, theirs, |_| {}));
            let synchronised = synchronised?;
            runs.add(synchronised.bytes, synchronised.round_trips, elapsed / 1e3);
        }
        each(runs.row(IN_MEMORY, entries, side));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(over_tcp(entries, replicas, change, each))
}

fn value(number: u64, version: u64) -> Item {
    let mut value = vec![0; VALUE_BYTES];
    fastrand::Rng::with_seed(!number ^ version).fill(&mut value);
    Keyed::new(key(number), value)
}

/// Runs the replicas in their engines over loopback TCP. The engines start no rounds and push nothing.
async fn over_tcp(
    entries: u64,
    replicas: [Replica<Item>; 2],
    mut change: impl FnMut() -> Item,
    mut each: impl FnMut(Row),
) -> Result<(), Box<dyn Error>> {
    let names = ["ours", "theirs"].map(PeerId::from);
    let cluster = ClusterName::new("bench")?;
    let bind =
        |name: &PeerId| TcpTransport::bind(TcpConfig::new(cluster.clone(), name.clone(), ([127, 0, 0, 1], 0).into()));
    let transports = [bind(&names[0]).await?, bind(&names[1]).await?];
    let addresses = [transports[0].local_addr(), transports[1].local_addr()];
    let config = GossipConfig::default().with(|config| {
        config.interval = NEVER;
        config.min_interval = NEVER;
        config.push = false;
        config.busy_retry = BUSY_RETRY;
    });
    let mut handles = Vec::new();
    for (index, (replica, transport)) in replicas.into_iter().zip(transports).enumerate() {
        let (peer, clock) = (names[1 - index].clone(), SystemClock::new());
        transport.set_peer(peer.clone(), addresses[1 - index])?;
        let mut engine = Engine::new(replica, config.clone(), index as u64, clock.now())?;
        engine.add_peer(peer, None);
        let (handle, driver) = drive(engine, transport, clock, DriverConfig::default())?;
        tokio::spawn(driver);
        handles.push(handle);
    }
    let mut events = Box::pin(handles[0].events().await?);
    // The first sessions open the connection and carry what the engines tell each other at first.
    for _ in 0..3 {
        session(&handles[0], &names[1], &mut events).await?;
    }
    for (handle, side) in handles.iter().zip(SIDES) {
        let mut runs = Runs::default();
        for _ in 0..RUNS {
            handle.write(change()).await?;
            // Whoever opens sessions faster than this is answered as busy.
            tokio::time::sleep(BUSY_RETRY).await;
            let started = Instant::now();
            let finished = session(&handles[0], &names[1], &mut events).await?;
            let elapsed = started.elapsed();
            assert_eq!(finished.outcome, Outcome::Converged);
            let stats = finished.stats;
            runs.add(stats.bytes_sent + stats.bytes_received, stats.round_trips, elapsed.as_secs_f64() * 1e6);
        }
        each(runs.row(OVER_TCP, entries, side));
    }
    Ok(())
}

/// Opens a session and waits until it has ended.
async fn session(
    handle: &Handle<Item>,
    peer: &PeerId,
    events: &mut (impl Stream<Item = Event<Key>> + Unpin),
) -> Result<Finished, Box<dyn Error>> {
    handle.sync_now(peer.clone()).await?;
    loop {
        match events.next().await {
            Some(Event::SessionEnded { finished, .. }) => return Ok(finished),
            Some(_) => {}
            None => return Err("the engine has stopped".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_both_sides_are_measured() {
        let mut rows = Vec::new();
        measure(1000, &Progress::new(), |row| rows.push((row.synchronised, row.changed_at))).unwrap();
        let expected = [IN_MEMORY, OVER_TCP].map(|way| SIDES.map(|side| (way, side))).concat();
        assert_eq!(rows, expected);
    }
}
