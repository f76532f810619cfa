//! What Prometheus reads of two nodes that converge over TCP.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::{
    Clock, DriverConfig, GossipConfig, Handle, Keyed, LastWriterWins, MemoryStore, Replica, SystemClock,
};
use anti_entropy_net::{PrometheusConfig, PrometheusEndpoint, TcpTransport, TransportMetrics};
use common::{http, in_time, loopback, pair, peer};

type Item = Keyed<u32, String>;

fn start(transport: Arc<TcpTransport>, name: &str, other: &str) -> Handle<Item> {
    let (seed, clock) = (Seed::from_os().unwrap(), SystemClock::new());
    let replica = Replica::open(MemoryStore::new(), LastWriterWins, seed.clone()).unwrap();
    let mut engine = Engine::new(replica, GossipConfig::test(), seed.derive_u64("gossip"), clock.now()).unwrap();
    engine.set_space(name);
    engine.add_peer(peer(other), None);
    let (handle, driver) = drive(engine, transport, clock, DriverConfig::default()).unwrap();
    tokio::spawn(driver);
    handle
}

/// A page as Prometheus reads it: the kind of each family, and the value of each series.
#[derive(Debug, Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    help: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

fn is_name(name: &str) -> bool {
    let first = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    first && name.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
}

impl Page {
    /// Reads the text format, version 0.0.4, and panics at what is none.
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                let [keyword, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                assert!(is_name(name), "{line}");
                let about = if keyword == "TYPE" { &mut page.kinds } else { &mut page.help };
                assert!(matches!(keyword, "TYPE" | "HELP"), "{line}");
                assert!(about.insert(name.into(), rest.into()).is_none(), "twice: {line}");
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect(line);
            let value = match value {
                "+Inf" | "inf" => f64::INFINITY,
                value => value.parse().expect(line),
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(is_name(name), "{line}");
            for label in labels.strip_suffix('}').expect(line).split(',').filter(|label| !label.is_empty()) {
                let (key, value) = label.split_once('=').expect(line);
                assert!(is_name(key) && value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
            }
            assert!(page.series.insert(series.into(), value).is_none(), "twice: {line}");
        }
        page
    }

    /// The value of the one series of this name with all of these labels.
    fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let of_name = self.series.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        let mut found = of_name.filter(|(series, _)| labels.iter().all(|label| series.contains(label)));
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none(), "{name} with {labels:?} is not one series");
        value
    }
}

async fn endpoint() -> PrometheusEndpoint {
    let config = PrometheusConfig::default().with(|config| config.listen = loopback());
    PrometheusEndpoint::bind(config).await.unwrap()
}

async fn read(endpoint: &PrometheusEndpoint) -> Page {
    let answer = http(endpoint.local_addr(), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    Page::parse(body)
}

/// Reads until the page is as it should be; it is told once a second.
async fn read_until(endpoint: &PrometheusEndpoint, right: impl Fn(&Page) -> bool) -> Page {
    in_time(async {
        loop {
            let page = read(endpoint).await;
            if right(&page) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Name and kind of all that docs/operations.md has in its tables.
fn documented() -> BTreeMap<String, (String, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `anti_entropy_") && line.matches('|').count() == 5);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_string(), (cells[2].to_string(), cells[4].to_string()))
    };
    let told = |name: &str| cfg!(feature = "swim") || !name.starts_with("anti_entropy_net_swim_");
    rows.map(row).filter(|(name, _)| told(name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_what_is_documented() {
    let endpoint = endpoint().await;
    let (a, b) = pair().await;
    let (a, b) = (Arc::new(a), Arc::new(b));
    for (name, transport) in [("a", &a), ("b", &b)] {
        let counters = Arc::clone(transport);
        tokio::spawn(TransportMetrics::new("tcp", &peer(name)).run(move || counters.stats()));
    }
    #[cfg(feature = "swim")]
    let members = swim::pair().await;
    let (alice, bob) = (start(Arc::clone(&a), "a", "b"), start(Arc::clone(&b), "b", "a"));
    alice.write(Keyed::new(1, "one".into())).await.unwrap();
    in_time(bob.wait_converged([peer("a")])).await.unwrap();
    in_time(alice.wait_converged([peer("b")])).await.unwrap();

    let told = |page: &Page| {
        let converged = page.value("anti_entropy_sessions_ended_total", &["space=\"b\"", "outcome=\"converged\""]);
        let entries = page.value("anti_entropy_entries", &["space=\"b\""]);
        let sent = page.value("anti_entropy_net_sent_frames_total", &["node=\"a\"", "transport=\"tcp\""]);
        let joined = page.value("anti_entropy_join_seconds_count", &["space=\"b\""]);
        #[cfg(feature = "swim")]
        let sent = sent.filter(|_| swim::is_told(page, &members));
        converged >= Some(1.0) && entries == Some(1.0) && sent >= Some(1.0) && joined >= Some(1.0)
    };
    let page = read_until(&endpoint, told).await;
    let documented = documented();
    let own: BTreeMap<String, (String, String)> = page
        .kinds
        .iter()
        .filter(|(name, _)| name.starts_with("anti_entropy_"))
        .map(|(name, kind)| (name.clone(), (kind.clone(), page.help[name].clone())))
        .collect();
    assert_eq!(own, documented);
    let lag = page.value("anti_entropy_peer_lag_seconds", &["space=\"b\"", "peer=\"a\""]).unwrap();
    assert!((0.0..60.0).contains(&lag), "{lag}");

    for space in ["space=\"a\"", "space=\"b\""] {
        let config = PrometheusConfig::default();
        let bounds = config.buckets.iter().map(f64::to_string).chain(["+Inf".into()]);
        let bucket = |le: String| {
            page.value("anti_entropy_compare_seconds_bucket", &[space, &format!("le=\"{le}\"")]).expect(&le)
        };
        let buckets: Vec<f64> = bounds.map(bucket).collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!(buckets.last().copied(), page.value("anti_entropy_compare_seconds_count", &[space]));
    }
    let spaces: BTreeSet<bool> = page.series.keys().map(|series| series.contains("space=\"\"")).collect();
    assert!(!spaces.contains(&true), "every replica has a name here");
}

/// Two members that tell what they count.
#[cfg(feature = "swim")]
mod swim {
    use anti_entropy_net::swim::{ClusterKey, Membership, MembershipMetrics, SwimConfig};

    use super::{Arc, Page, loopback, peer};

    pub(super) async fn pair() -> [Arc<Membership>; 2] {
        let first = join("a", Vec::new()).await;
        let seeds = vec![first.local_addr().to_string()];
        [first, join("b", seeds).await]
    }

    async fn join(name: &str, seeds: Vec<String>) -> Arc<Membership> {
        let key = ClusterKey::from_hex(&"5e".repeat(32)).unwrap();
        let transport = "127.0.0.1:7001".parse().unwrap();
        let config = SwimConfig::new(super::common::cluster(), peer(name), loopback(), transport, key);
        let config = config.with(|config| config.seeds = seeds);
        let membership = Arc::new(Membership::join(config).await.unwrap());
        tokio::spawn(MembershipMetrics::new(&peer(name)).run(Arc::clone(&membership)));
        membership
    }

    /// A stranger's datagram is refused, and counted by its cause.
    pub(super) fn is_told(page: &Page, members: &[Arc<Membership>; 2]) -> bool {
        std::net::UdpSocket::bind(loopback()).unwrap().send_to(b"?", members[0].local_addr()).unwrap();
        let of_a = |name: &str, labels: &[&str]| {
            page.value(&format!("anti_entropy_net_swim_{name}"), &[&["node=\"a\""], labels].concat())
        };
        of_a("members", &[]) == Some(1.0)
            && of_a("sessions_total", &[]) == Some(1.0)
            && of_a("refused_datagrams_total", &["cause=\"length\""]) >= Some(1.0)
            && of_a("sent_datagrams_total", &[]) >= Some(1.0)
            && of_a("received_bytes_total", &[]) > of_a("received_datagrams_total", &[])
    }
}

#[tokio::test]
async fn an_endpoint_ends_when_it_is_dropped_and_the_next_goes_on_counting() {
    let first = endpoint().await;
    let address = first.local_addr();
    metrics::counter!("of_the_application").increment(3);
    let second = endpoint().await;
    for endpoint in [&first, &second] {
        assert_eq!(read(endpoint).await.value("of_the_application", &[]), Some(3.0));
    }
    let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
    drop(first);
    common::closed(&mut idle).await;
    in_time(async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    metrics::counter!("of_the_application").increment(1);
    assert_eq!(read(&endpoint().await).await.value("of_the_application", &[]), Some(4.0));
}

#[test]
#[should_panic(expected = "twice")]
fn the_parser_finds_a_series_that_is_there_twice() {
    Page::parse("a{b=\"c\"} 1\na{b=\"c\"} 2\n");
}

#[test]
#[should_panic(expected = "a-b 1")]
fn the_parser_finds_a_name_that_is_none() {
    Page::parse("a-b 1\n");
}
