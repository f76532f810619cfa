//! The traffic of failure detection in an idle cluster.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::engine::StateDigest;
use anti_entropy_net::ClusterName;
use anti_entropy_net::swim::{ClusterKey, Membership, SwimConfig, SwimStats, SwimTimings};
use serde::Serialize;
use tokio::time::{sleep, timeout};

/// The headers of IPv4 and UDP.
const HEADER_BYTES: u64 = 20 + 8;
/// How many times shorter than the defaults all intervals are, so that a measurement takes a tenth of the time.
const FASTER: u32 = 10;

/// What one idle node sent. An interval is the probe interval, a second by default.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    nodes: usize,
    node: String,
    spaces: u64,
    intervals: u64,
    datagrams_per_interval: f64,
    /// With the IPv4 and UDP headers.
    bytes_per_interval: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 6] =
        ["nodes", "node", "spaces", "probe intervals", "datagrams an interval", "bytes an interval"];
    pub(crate) const GOALS: [&str; 6] = ["goal", "", "", "", "", "<= 400 B"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.nodes.to_string(),
            self.node.clone(),
            self.spaces.to_string(),
            self.intervals.to_string(),
            format!("{:.2}", self.datagrams_per_interval),
            format!("{:.0} B", self.bytes_per_interval),
        ]
    }
}

/// Runs idle nodes on loopback for a number of probe intervals. Returns what each of them sent.
pub(crate) fn measure(nodes: usize, spaces: u64, intervals: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(nodes, spaces, intervals))
}

async fn run(nodes: usize, spaces: u64, intervals: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut members: Vec<Membership> = Vec::new();
    for number in 1..=nodes {
        let seeds = members.first().map(|first| first.local_addr().to_string());
        let member = Membership::join(config(number, seeds)).await?;
        for space in 0..spaces {
            member.announce(space, StateDigest::from_bytes([7; 32]))?;
        }
        members.push(member);
    }
    let interval = timings().probe_interval;
    let complete = async {
        while members.iter().any(|member| member.members().len() < nodes - 1) {
            sleep(interval).await;
        }
    };
    timeout(Duration::from_secs(60), complete).await?;
    // Nodes still tell each other who has joined.
    sleep(interval * 60).await;
    let before: Vec<_> = members.iter().map(Membership::stats).collect();
    sleep(interval * u32::try_from(intervals)?).await;
    let rows = members.iter().zip(before).enumerate();
    Ok(rows.map(|(at, (member, before))| row(at + 1, nodes, spaces, intervals, &before, &member.stats())).collect())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn row(number: usize, nodes: usize, spaces: u64, intervals: u64, before: &SwimStats, after: &SwimStats) -> Row {
    let datagrams = after.datagrams_sent - before.datagrams_sent;
    let bytes = after.bytes_sent - before.bytes_sent + datagrams * HEADER_BYTES;
    let each = |count: u64| count as f64 / intervals as f64;
    Row {
        nodes,
        node: name(number),
        spaces,
        intervals,
        datagrams_per_interval: each(datagrams),
        bytes_per_interval: each(bytes),
    }
}

fn config(number: usize, seeds: Option<String>) -> SwimConfig {
    let [listen, transport] = [0, 7_001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let (cluster, key) = (ClusterName::new("bench").expect("a short name"), ClusterKey::new([7; 32]));
    let config = SwimConfig::new(cluster, name(number).as_str().into(), listen, transport, key);
    config.with(|config| {
        config.zone = Some("north".into());
        config.seeds = seeds.into_iter().collect();
        config.timings = timings();
    })
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

/// The defaults with shorter intervals.
fn timings() -> SwimTimings {
    let timings = SwimTimings::default();
    timings.with(|timings| {
        timings.probe_interval /= FASTER;
        timings.probe_timeout /= FASTER;
        timings.look_for_down_interval /= FASTER;
        timings.exchange_interval /= FASTER;
        timings.gossip_interval /= FASTER;
        timings.seed_retry_min /= FASTER;
        timings.seed_interval /= FASTER;
    })
}
