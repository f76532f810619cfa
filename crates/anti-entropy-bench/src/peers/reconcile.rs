//! `reconcile`: a replicated map that is run as a whole. Two of them talk over a transport that counts, and it is over
//! when both hold the same and have nothing more to say.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::reconcile::async_trait;
use ::reconcile::clock::{Hlc, LogicalCounter, NodeId, PhysicalTime, Timestamp};
use ::reconcile::replicated_map::Config;
use ::reconcile::tokio_util::sync::CancellationToken;
use ::reconcile::{Entry as Dated, PersistedState, Persistence, ReplicatedMap, Transport};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use super::data::{Data, Entry};
use super::{Finding, Peer};

/// The map with the default settings, except that it paces and repeats nothing: no datagram is lost.
pub(crate) struct Replicated;

type Map = ReplicatedMap<u128, [u64; 4]>;

/// Longer than any measurement.
const NEVER: Duration = Duration::from_secs(3600);
/// After which it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
const PORT: u16 = 4242;

impl Peer for Replicated {
    const NAME: &'static str = "reconcile 0.5";
    const NOTES: &'static str = "its own datagrams, unauthenticated; does not only find but also sends values and \
                                 applies them; last writer wins; tombstones until all members have them; bounds \
                                 datagrams, not values; sums of BLAKE3, here unkeyed";
    const MEMORY: &'static str = "both of its maps with stamps, less 48 B of key and value";
    const DATA_BYTES: u64 = 48;
    const FINDS_ONCE: bool = true;
    type Side = Map;
    type Pair = Cluster;

    fn build(entries: &[Entry]) -> Map {
        node(0, &Arc::default(), entries)
    }

    fn upsert(map: &mut Map, entry: Entry) {
        // The write that is not sent to anyone at once.
        map.load_bulk(&[entry]);
        std::hint::black_box(map.fingerprint(..));
    }

    fn pair(data: Data, _: Option<Cluster>) -> Cluster {
        let network = Arc::default();
        let ours = node(0, &network, &data.ours()).with_seed(address(1).ip());
        let theirs = node(1, &network, &data.theirs());
        Cluster { maps: [ours, theirs], network }
    }

    fn reconcile(cluster: &mut Cluster) -> Finding {
        let taken: Arc<Mutex<Vec<u128>>> = Arc::default();
        for map in &cluster.maps {
            let taken = taken.clone();
            // Called with what came from the other side and is newer than what is held.
            map.set_pre_insert(move |key, _| lock(&taken).push(*key));
        }
        let runtime = Builder::new_current_thread().enable_time().build().expect("a thread is all it takes");
        Finding::measure(|wire| {
            // If it takes longer, what was found by then counts.
            let _ = runtime.block_on(async { tokio::time::timeout(PATIENCE, cluster.run_until_equal()).await });
            let traffic = lock(&cluster.network.traffic);
            (wire.bytes, wire.messages) = (traffic.bytes, traffic.longest_chain);
            lock(&taken).clone()
        })
    }
}

/// Two maps on a network of their own.
pub(crate) struct Cluster {
    maps: [Map; 2],
    network: Arc<Network>,
}

impl Cluster {
    async fn run_until_equal(&self) {
        // The one that is asked is there when the first datagram comes.
        for map in self.maps.iter().rev() {
            tokio::spawn(map.clone().run(CancellationToken::new()));
        }
        let [ours, theirs] = &self.maps;
        loop {
            self.network.quiet.notified().await;
            let quiet = lock(&self.network.traffic).is_quiet();
            if quiet && ours.fingerprint(..) == theirs.fingerprint(..) {
                break;
            }
        }
    }
}

/// A map that holds entries as if it had been started with them.
fn node(side: usize, network: &Arc<Network>, entries: &[Entry]) -> Map {
    let mut config = Config::new(PORT)
        .with_listen_addr(address(side).ip())
        .with_insecure_no_key()
        .with_reconcile_interval(NEVER)
        .with_repair_interval(NEVER)
        .with_snapshot_interval(None);
    config.bulk_send_rate = None;
    let transport = Arc::new(Link { side, network: network.clone() });
    let held = entries.iter().map(|&(key, value)| (key, Dated::present(written_at(value), value)));
    let held = PersistedState::from(held.collect::<Vec<_>>());
    Map::new_with_transport(config, transport)
        .expect("the settings are sound")
        .with_persistence(Arc::new(Start(Mutex::new(Some(held)))))
        .expect("what is in memory can be read")
}

/// The same for equal values, so that equal entries are equal; some time before now.
fn written_at(value: [u64; 4]) -> Timestamp {
    let millis = 1_600_000_000_000 + (value[0] >> 30);
    Timestamp::new(
        Hlc::new(PhysicalTime::from_millis(millis), LogicalCounter::ZERO),
        NodeId::new(0xa5a5_5a5a_c3c3_3c3c),
    )
}

fn address(side: usize) -> SocketAddr {
    let ip = if side == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, 0, 0, 2) };
    SocketAddr::new(IpAddr::V4(ip), PORT)
}

/// What a map is started with; keeps nothing.
struct Start(Mutex<Option<PersistedState<u128, [u64; 4]>>>);

impl Persistence<u128, [u64; 4]> for Start {
    fn load(&self) -> io::Result<Option<PersistedState<u128, [u64; 4]>>> {
        Ok(lock(&self.0).take())
    }

    fn save(&self, _: &PersistedState<u128, [u64; 4]>) -> io::Result<()> {
        Ok(())
    }
}

/// A network of two that loses nothing.
#[derive(Default)]
struct Network {
    traffic: Mutex<Traffic>,
    /// A datagram has come for the side.
    arrived: [Notify; 2],
    /// Both sides wait for datagrams.
    quiet: Notify,
}

#[derive(Default)]
struct Traffic {
    /// For each side: the datagrams on their way to it, each with its place in the chain of those that answer each
    /// other.
    queues: [VecDeque<(u64, Vec<u8>)>; 2],
    waiting: [bool; 2],
    /// The place of the last datagram that the side took.
    place: [u64; 2],
    longest_chain: u64,
    bytes: u64,
}

impl Traffic {
    /// Whether a first question was answered and all that was sent has been worked on.
    fn is_quiet(&self) -> bool {
        self.longest_chain > 1 && self.waiting == [true; 2] && self.queues.iter().all(VecDeque::is_empty)
    }
}

/// A side's end.
struct Link {
    side: usize,
    network: Arc<Network>,
}

#[async_trait]
impl Transport for Link {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            {
                let mut traffic = lock(&self.network.traffic);
                if let Some((place, datagram)) = traffic.queues[self.side].pop_front() {
                    traffic.waiting[self.side] = false;
                    traffic.place[self.side] = place;
                    buffer[..datagram.len()].copy_from_slice(&datagram);
                    return Ok((datagram.len(), address(1 - self.side)));
                }
                traffic.waiting[self.side] = true;
                self.network.quiet.notify_one();
            }
            self.network.arrived[self.side].notified().await;
        }
    }

    async fn send_to(&self, datagram: &[u8], to: &SocketAddr) -> io::Result<usize> {
        if *to == address(1 - self.side) {
            let mut traffic = lock(&self.network.traffic);
            let place = traffic.place[self.side] + 1;
            traffic.longest_chain = traffic.longest_chain.max(place);
            traffic.bytes += datagram.len() as u64;
            traffic.queues[1 - self.side].push_back((place, datagram.to_vec()));
            self.network.arrived[1 - self.side].notify_one();
        }
        Ok(datagram.len())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.side))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Replicated>();
    }
}
