//! The cost of carrying frames over QUIC: how soon another node sees a write, and how long it takes to fill an empty
//! replica, compared with a bare QUIC stream that carries as many bytes.

use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::session::Outcome;
use anti_entropy::{
    Change, Clock, DriverConfig, Event, GossipConfig, Handle, Keyed, LastWriterWins, MemoryStore, PeerId, Replica,
    SystemClock, Transport,
};
use anti_entropy_bench::{Key, equal, key, synchronise};
use anti_entropy_net::{QuicConfig, QuicTransport, TestAuthority, TestCertificate};
use futures::StreamExt;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::pem::PemObject;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::{ClientConfig, Endpoint, ServerConfig};
use serde::Serialize;

use crate::measure::{Progress, Samples};

/// The bytes of a value.
const VALUE_BYTES: usize = 1024;
const WRITES: u64 = 501;
const COPIES: usize = 5;
/// How many bytes the bare stream is given at a time.
const CHUNK_BYTES: usize = 64 << 10;
const FRAME_BYTES: usize = 64 << 10;
/// Longer than anything here takes.
const NEVER: Duration = Duration::from_secs(1 << 30);
const UNLIMITED: NonZeroU64 = NonZeroU64::new(1 << 40).expect("not zero");
const GOAL_LATENCY_MS: f64 = 2.0;
const GOAL_SHARE: f64 = 0.6;

type Item = Keyed<Key, Vec<u8>>;
type Node = Handle<Item>;

/// All figures; each is a median.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    /// From a write on one node until a subscriber of another sees it.
    latency_ms: f64,
    /// The bytes of all frames that filled the empty replica.
    copied_bytes: u64,
    copy_seconds: f64,
    copy_mib_per_second: f64,
    bare_seconds: f64,
    bare_mib_per_second: f64,
    /// The copy's throughput as a share of the bare stream's. The median over pairs of runs, one after the other.
    share: f64,
    /// The same bytes as frames that are received and not read: the transport alone.
    frames_seconds: f64,
    frames_share: f64,
    /// The same copy without a network: the two replicas in one thread.
    memory_seconds: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 8] =
        ["entries", "write seen after", "copied", "copy", "bare stream", "share", "frames alone", "replicas alone"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            format!("{:.2} ms (<= {GOAL_LATENCY_MS} ms)", self.latency_ms),
            format!("{} bytes", self.copied_bytes),
            format!("{:.2} s, {:.0} MiB/s", self.copy_seconds, self.copy_mib_per_second),
            format!("{:.2} s, {:.0} MiB/s", self.bare_seconds, self.bare_mib_per_second),
            format!("{:.0} % (>= {:.0} %)", self.share * 100.0, GOAL_SHARE * 100.0),
            format!("{:.2} s, {:.0} %", self.frames_seconds, self.frames_share * 100.0),
            format!("{:.2} s", self.memory_seconds),
        ]
    }
}

/// Measures all figures on loopback.
///
/// # Errors
/// If a replica or the network fails.
pub(crate) fn measure(entries: u64, progress: &Progress) -> Result<Row, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let latency_ms = latency().await?;
        let [mut copies, mut bares, mut shares] = [(); 3].map(|()| Samples::default());
        let [mut frames, mut frames_shares, mut memory] = [(); 3].map(|()| Samples::default());
        let mut copied_bytes = 0;
        for run in 0..COPIES {
            progress.show(&format!("copy {} of {COPIES}", run + 1));
            let (seconds, bytes) = copy(entries).await?;
            let bare_seconds = bare(bytes).await?;
            copied_bytes = bytes;
            copies.add(seconds);
            bares.add(bare_seconds);
            shares.add(bare_seconds / seconds);
            let frames_seconds = carry(bytes).await?;
            frames.add(frames_seconds);
            frames_shares.add(bare_seconds / frames_seconds);
            memory.add(in_memory(entries)?);
        }
        let (copy_seconds, bare_seconds) = (copies.median(), bares.median());
        let mib = f64::from(u32::try_from(copied_bytes >> 10)?) / 1024.0;
        Ok(Row {
            entries,
            latency_ms,
            copied_bytes,
            copy_seconds,
            copy_mib_per_second: mib / copy_seconds,
            bare_seconds,
            bare_mib_per_second: mib / bare_seconds,
            share: shares.median(),
            frames_seconds: frames.median(),
            frames_share: frames_shares.median(),
            memory_seconds: memory.median(),
        })
    })
}

fn value(number: u64, version: u64) -> Item {
    let mut value = vec![0; VALUE_BYTES];
    fastrand::Rng::with_seed(!number ^ version).fill(&mut value);
    Keyed::new(key(number), value)
}

const fn loopback() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0)
}

/// Two nodes that know each other and do nothing by themselves but push.
async fn nodes(replicas: [Replica<Item>; 2], push: bool) -> Result<[Node; 2], Box<dyn Error>> {
    let authority = TestAuthority::new()?;
    let names = ["ours", "theirs"];
    let bind = async |name: &str| -> Result<QuicTransport, Box<dyn Error>> {
        let tls = authority.issue(name)?.config();
        Ok(QuicTransport::bind(QuicConfig::new("bench".parse()?, name.into(), loopback(), tls)).await?)
    };
    let transports = [bind(names[0]).await?, bind(names[1]).await?];
    let addresses = [transports[0].local_addr(), transports[1].local_addr()];
    // No limit on the bandwidth: the default one would decide how long a copy takes.
    let (bytes_per_second, burst_bytes) = (UNLIMITED, UNLIMITED);
    let lan = GossipConfig::default();
    let config = lan.with(|config| {
        config.interval = NEVER;
        config.min_interval = NEVER;
        config.push = push;
        config.bytes_per_second = bytes_per_second;
        config.burst_bytes = burst_bytes;
    });
    let mut handles = Vec::new();
    for (index, (replica, transport)) in replicas.into_iter().zip(transports).enumerate() {
        let (peer, clock) = (PeerId::from(names[1 - index]), SystemClock::new());
        transport.set_peer(peer.clone(), addresses[1 - index])?;
        let mut engine = Engine::new(replica, config.clone(), index as u64, clock.now())?;
        engine.add_peer(peer, None);
        let (handle, driver) = drive(engine, transport, clock, DriverConfig::default())?;
        tokio::spawn(driver);
        handles.push(handle);
    }
    handles.try_into().map_err(|_| "there are two".into())
}

fn empty(seed: u8) -> Result<Replica<Item>, Box<dyn Error>> {
    Ok(Replica::open(MemoryStore::default(), LastWriterWins, Seed::from_bytes([seed; 32]))?)
}

async fn latency() -> Result<f64, Box<dyn Error>> {
    let [ours, theirs] = nodes([empty(1)?, empty(2)?], true).await?;
    fill(&theirs, "ours").await?;
    let mut changes = Box::pin(theirs.subscribe().await?);
    let mut samples = Samples::default();
    for number in 0..WRITES {
        let started = Instant::now();
        ours.write(value(number, 0)).await?;
        let seen = Change::Remote(key(number));
        while changes.next().await.ok_or("the engine has stopped")? != seen {}
        samples.add(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples.median())
}

/// Opens sessions from a node to a peer until both are equal. Returns the bytes of all frames.
async fn fill(node: &Node, peer: &str) -> Result<u64, Box<dyn Error>> {
    let mut events = Box::pin(node.events().await?);
    let mut bytes = 0;
    node.sync_now(peer.into()).await?;
    while let Some(event) = events.next().await {
        if let Event::SessionEnded { finished, .. } = event {
            bytes += finished.stats.bytes_sent + finished.stats.bytes_received;
            if finished.outcome == Outcome::Converged {
                return Ok(bytes);
            }
            node.sync_now(peer.into()).await?;
        }
    }
    Err("the engine has stopped".into())
}

async fn copy(entries: u64) -> Result<(f64, u64), Box<dyn Error>> {
    let [full, _] = equal(entries, |number| value(number, 0), |_| {})?;
    let [_ours, theirs] = nodes([full, empty(9)?], false).await?;
    let started = Instant::now();
    let bytes = fill(&theirs, "ours").await?;
    Ok((started.elapsed().as_secs_f64(), bytes))
}

fn in_memory(entries: u64) -> Result<f64, Box<dyn Error>> {
    let [mut full, _] = equal(entries, |number| value(number, 0), |_| {})?;
    let mut empty = empty(9)?;
    let started = Instant::now();
    synchronise(&mut empty, &mut full, |_| {})?;
    Ok(started.elapsed().as_secs_f64())
}

/// The seconds to carry this number of bytes in frames that are as long as a session's.
async fn carry(bytes: u64) -> Result<f64, Box<dyn Error>> {
    let authority = TestAuthority::new()?;
    let node = async |name: &str| -> Result<QuicTransport, Box<dyn Error>> {
        let tls = authority.issue(name)?.config();
        Ok(QuicTransport::bind(QuicConfig::new("bench".parse()?, name.into(), loopback(), tls)).await?)
    };
    let (ours, theirs) = (node("ours").await?, node("theirs").await?);
    ours.set_peer("theirs".into(), theirs.local_addr())?;
    theirs.set_peer("ours".into(), ours.local_addr())?;
    ours.send(&"theirs".into(), vec![1]).await?;
    theirs.receive().await.ok_or("closed")?;
    let started = Instant::now();
    let frames = bytes / FRAME_BYTES as u64;
    let sending = tokio::spawn(async move {
        for _ in 0..frames {
            while ours.send(&"theirs".into(), vec![7; FRAME_BYTES]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        ours
    });
    for _ in 0..frames {
        theirs.receive().await.ok_or("closed")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    sending.await?;
    Ok(seconds)
}

/// The seconds to carry this number of bytes in one QUIC stream.
async fn bare(bytes: u64) -> Result<f64, Box<dyn Error>> {
    let authority = TestAuthority::new()?;
    let certificate = authority.issue("theirs")?;
    let server = Endpoint::server(server(&certificate)?, loopback())?;
    let client = Endpoint::client(loopback())?;
    let connecting = client.connect_with(client_config(&certificate)?, server.local_addr()?, "theirs")?;
    let (dialled, accepted) = tokio::join!(connecting, async {
        server.accept().await.ok_or("closed")?.await.map_err(Box::<dyn Error>::from)
    });
    let (dialled, accepted) = (dialled?, accepted?);
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let mut stream = dialled.open_uni().await?;
        let chunk = vec![7; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let part = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            stream.write_all(&chunk[..part]).await?;
            left -= part as u64;
        }
        stream.finish().map_err(std::io::Error::other)?;
        stream.stopped().await?;
        Ok::<_, std::io::Error>(())
    });
    let mut stream = accepted.accept_uni().await?;
    let mut received = 0;
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        received += chunk.bytes.len() as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    sending.await??;
    if received == bytes { Ok(seconds) } else { Err("some bytes are missing".into()) }
}

fn server(certificate: &TestCertificate) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_slice_iter(certificate.certificate.as_bytes()).collect::<Result<_, _>>()?;
    Ok(ServerConfig::with_single_cert(chain, PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?)?)
}

fn client_config(certificate: &TestCertificate) -> Result<ClientConfig, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.authority.as_bytes())?)?;
    let provider = Arc::new(quinn::rustls::crypto::ring::default_provider());
    let crypto = quinn::rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&quinn::rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured() {
        let row = measure(1_000, &Progress::new()).unwrap();
        assert!(row.copied_bytes > 1_000 * VALUE_BYTES as u64, "{row:?}");
        assert!(row.latency_ms > 0.0 && row.share > 0.0, "{row:?}");
    }
}
