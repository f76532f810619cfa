//! Thousands of hostile connections, while two honest nodes go on. A binary of its own, since it measures the process.
//!
//! `HOSTILE=10000 cargo test --release -p anti-entropy-net --all-features --test hostile -- --ignored`

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anti_entropy_net::{TestAuthority, TestCertificate, TransportLimits};
use common::{Node, authority, bind, bind_quic, hello, in_time, loopback, nowhere, peer, quic_config, raw, tls_config};
use quinn::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

const AT_ONCE: usize = 100;
/// Members that prove their names and then keep no rules.
const EVIL_MEMBERS: usize = 8;
const FRAME_BYTES: usize = 4 << 10;

/// Small, so that the bound says something.
fn limits() -> TransportLimits {
    TransportLimits::default().with(|limits| {
        limits.max_frame_bytes = 64 << 10;
        limits.receive_queue_bytes = 1 << 20;
        limits.peer_queue_bytes = 256 << 10;
        limits.send_queue_bytes = 256 << 10;
        limits.window_bytes = 128 << 10;
        limits.max_connections = 64;
        limits.max_handshakes = 64;
        // All are on one host.
        limits.max_handshakes_per_address = 64;
        limits.write_timeout = Duration::from_secs(2);
        limits.handshake_timeout = Duration::from_secs(2);
    })
}

/// What the limits allow a node to hold, in MiB: its queues; for each connection, what has arrived and is not read, a
/// frame on each stream, and the same to be sent; and for each connection and handshake what TLS and QUIC take
/// themselves.
fn bound_mib(limits: &TransportLimits, connections: usize) -> usize {
    let each = 2 * limits.window_bytes as usize + 2 * limits.max_frame_bytes + limits.send_queue_bytes + (128 << 10);
    let handshakes = limits.max_handshakes * (192 << 10);
    (limits.receive_queue_bytes + connections * each + handshakes) >> 20
}

#[cfg(target_os = "linux")]
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("it is a number") >> 10
}

#[cfg(not(target_os = "linux"))]
fn peak_mib() -> usize {
    0
}

/// All that those who attack have.
struct Attackers {
    quic: SocketAddr,
    tcp: SocketAddr,
    endpoint: Endpoint,
    evil: Vec<TestCertificate>,
    stranger: TestCertificate,
    expired: TestCertificate,
}

impl Attackers {
    async fn attack(&self, number: usize) {
        match number % 10 {
            0 | 1 => self.quic_member(number, b"\x01\xFF\xFF\xFF\xFF").await,
            2 => self.quic_member(number, b"\x02\x00\x01\x00\x00slow").await,
            3 => self.quic_stranger(if (number / 10).is_multiple_of(2) { &self.stranger } else { &self.expired }).await,
            4 => self.garbage(number).await,
            5 | 6 => self.tls_member(number, b"\xFF\xFF\xFF\xFF").await,
            7 => self.tls_member(number, b"\x00\x01\x00\x00slow").await,
            8 => drop(raw::tls(self.tcp, raw::client(Some(&self.stranger), raw::ALPN)).await),
            _ => self.plaintext(number).await,
        }
    }

    fn member(&self, number: usize) -> (&TestCertificate, String) {
        let certificate = &self.evil[number % EVIL_MEMBERS];
        (certificate, certificate.name.clone())
    }

    async fn quic_member(&self, number: usize, says: &[u8]) {
        let (certificate, name) = self.member(number);
        let client = raw::client(Some(certificate), raw::ALPN);
        let Ok(connection) = raw::quic(&self.endpoint, self.quic, client).await else { return };
        let incarnation = u8::try_from(number % 251).expect("less than 256");
        if raw::greet_quic(&connection, &name, "b", incarnation).await != Some(0) {
            return;
        }
        for _ in 0..2 {
            let Ok(mut stream) = connection.open_uni().await else { return };
            let _ = stream.write_all(says).await;
        }
        // Until it is thrown out, or another evil one of the same name takes its place.
        let _ = tokio::time::timeout(Duration::from_millis(200), connection.closed()).await;
    }

    async fn quic_stranger(&self, certificate: &TestCertificate) {
        let client = raw::client(Some(certificate), raw::ALPN);
        if let Ok(connection) = raw::quic(&self.endpoint, self.quic, client).await {
            in_time(connection.closed()).await;
        }
    }

    async fn garbage(&self, number: usize) {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let socket = UdpSocket::bind(loopback()).await.expect("loopback has ports");
        for _ in 0..20 {
            let mut datagram = vec![0; 1_200];
            random.fill(&mut datagram);
            datagram[..5].copy_from_slice(&[0xC0, 0, 0, 0, 1]);
            let _ = socket.send_to(&datagram, self.quic).await;
        }
    }

    async fn tls_member(&self, number: usize, says: &[u8]) {
        let (certificate, name) = self.member(number);
        let Ok(mut stream) = raw::tls(self.tcp, raw::client(Some(certificate), raw::ALPN)).await else { return };
        if raw::greet_tls(&mut stream, &name, "b").await != Some(0) {
            return;
        }
        let _ = stream.write_all(says).await;
        let _ = stream.flush().await;
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0])).await;
    }

    async fn plaintext(&self, number: usize) {
        let Ok(mut stream) = TcpStream::connect(self.tcp).await else { return };
        let _ = stream.write_all(&hello(&format!("n{number}"), "b")).await;
        let _ = in_time(stream.read_to_end(&mut Vec::new())).await;
    }
}

/// Sends frames from "a" to "b" until told to stop; counts those that arrive.
async fn go_on<T: Node>(a: Arc<T>, b: Arc<T>, stop: Arc<AtomicBool>, arrived: Arc<AtomicU64>) {
    let sending = async {
        while !stop.load(Ordering::Relaxed) {
            let _ = a.send(&peer("b"), vec![7; FRAME_BYTES]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let receiving = async {
        while let Some((from, frame)) = b.receive().await {
            assert_eq!((from, frame), (peer("a"), vec![7; FRAME_BYTES]));
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::select! { () = sending => {} () = receiving => {} }
}

async fn attack_all(attackers: Attackers, hostile: usize) {
    let attackers = Arc::new(attackers);
    let mut running = JoinSet::new();
    for number in 0..hostile {
        if running.len() >= AT_ONCE {
            running.join_next().await.expect("some are running").expect("attackers do not panic");
        }
        let attackers = Arc::clone(&attackers);
        running.spawn(async move { attackers.attack(number).await });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("attackers do not panic");
    }
}

fn attackers(authority: &TestAuthority, quic: SocketAddr, tcp: SocketAddr) -> Attackers {
    let evil = (0..EVIL_MEMBERS).map(|number| authority.issue(&format!("evil-{number}")).expect("a DNS name"));
    Attackers {
        quic,
        tcp,
        endpoint: raw::endpoint(),
        evil: evil.collect(),
        stranger: common::authority().issue("a").expect("a DNS name"),
        expired: authority.issue_expired("a").expect("a DNS name"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load test; see the head of the file"]
async fn hostile_connections_cost_little_and_stop_nobody() {
    let hostile = std::env::var("HOSTILE").map_or(500, |count| count.parse().expect("a number"));
    let authority = authority();
    let with_limits = |name| quic_config(&authority, name).with(|config| config.limits = limits());
    let quic = ["a", "b"].map(|name| bind_quic(with_limits(name)));
    let [quic_a, quic_b] = quic.map(|node| async { Arc::new(node.await) });
    let (quic_a, quic_b) = (quic_a.await, quic_b.await);
    let with_limits = |name| tls_config(&authority, name).with(|config| config.limits = limits());
    let (tcp_a, tcp_b) = (Arc::new(bind(with_limits("a")).await), Arc::new(bind(with_limits("b")).await));
    quic_a.add_peer("b", quic_b.local_addr());
    quic_b.add_peer("a", quic_a.local_addr());
    tcp_a.add_peer("b", tcp_b.local_addr());
    tcp_b.add_peer("a", tcp_a.local_addr());
    for number in 0..EVIL_MEMBERS {
        quic_b.add_peer(&format!("evil-{number}"), nowhere());
        tcp_b.add_peer(&format!("evil-{number}"), nowhere());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let arrived = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let mut honest = JoinSet::new();
    honest.spawn(go_on(Arc::clone(&quic_a), Arc::clone(&quic_b), Arc::clone(&stop), Arc::clone(&arrived[0])));
    honest.spawn(go_on(Arc::clone(&tcp_a), Arc::clone(&tcp_b), Arc::clone(&stop), Arc::clone(&arrived[1])));
    let counts = || [0, 1].map(|which| arrived[which].load(Ordering::Relaxed));
    let before = peak_mib();
    // In ten parts, in each of which honest frames have to arrive.
    for part in 1..=10 {
        let so_far = counts();
        attack_all(attackers(&authority, quic_b.local_addr(), tcp_b.local_addr()), hostile / 10).await;
        in_time(async {
            while [0, 1].iter().any(|which| counts()[*which] == so_far[*which]) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        println!("part {part}: {:?} honest frames, {} MiB", counts(), peak_mib());
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = honest.join_next().await {
        ended.expect("honest nodes do not panic");
    }
    let (quic, tcp) = (quic_b.stats(), tcp_b.stats());
    println!("{quic:#?}\n{tcp:#?}");
    for refused in [&quic.refused, &tcp.refused] {
        assert!(refused.frame_too_long > 0 && refused.unknown_issuer > 0, "{refused:?}");
    }
    assert!(quic.refused.outside_validity > 0 && tcp.refused.not_tls > 0);
    let bound = bound_mib(&limits(), EVIL_MEMBERS + 1) * 2;
    let taken = peak_mib() - before;
    println!("{hostile} hostile connections: {taken} MiB of at most {bound} MiB");
    // The attackers are in the same process, and have at most `AT_ONCE` connections.
    let attackers = (AT_ONCE * (256 << 10)) >> 20;
    assert!(taken <= bound + attackers, "{taken} MiB, more than {bound} MiB and {attackers} MiB of the attackers'");
}
