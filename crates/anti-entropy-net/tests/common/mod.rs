//! What the tests share: transports on loopback, and peers that speak the protocol by hand.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub(crate) mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::{PeerId, Transport};
use anti_entropy_net::{
    ClusterName, ConnectionRefusal, QuicConfig, QuicTransport, TcpConfig, TcpTransport, TestAuthority, TlsConfig,
    TlsError, TransportLimits, TransportStats,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long a test waits for what must happen; never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The address of a peer that only dials.
pub(crate) fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

pub(crate) fn cluster() -> ClusterName {
    "test".parse().expect("a short name")
}

pub(crate) fn peer(name: &str) -> PeerId {
    PeerId::from(name)
}

/// A configuration whose back-off is short, since tests wait for it.
pub(crate) fn config(name: &str) -> TcpConfig {
    let limits = TransportLimits::default().with(|limits| {
        limits.reconnect_min = Duration::from_millis(5);
        limits.reconnect_max = Duration::from_millis(50);
    });
    TcpConfig::new(cluster(), peer(name), loopback()).with(|config| config.limits = limits)
}

pub(crate) async fn bind(config: TcpConfig) -> TcpTransport {
    TcpTransport::bind(config).await.expect("loopback can be listened on")
}

/// The same with TLS.
pub(crate) fn tls_config(authority: &TestAuthority, name: &str) -> TcpConfig {
    config(name).with(|config| config.tls = Some(authority.issue(name).expect("a DNS name").config()))
}

pub(crate) fn quic_config(authority: &TestAuthority, name: &str) -> QuicConfig {
    let tls = authority.issue(name).expect("a DNS name").config();
    QuicConfig::new(cluster(), peer(name), loopback(), tls).with(|quic| quic.limits = config(name).limits)
}

pub(crate) async fn bind_quic(config: QuicConfig) -> QuicTransport {
    QuicTransport::bind(config).await.expect("loopback can be listened on")
}

pub(crate) fn authority() -> TestAuthority {
    TestAuthority::new().expect("there are random numbers")
}

pub(crate) fn introduce<T: Node>(a: &T, b: &T) {
    a.add_peer("b", b.address());
    b.add_peer("a", a.address());
}

/// Transports "a" and "b" that know each other.
pub(crate) async fn pair() -> (TcpTransport, TcpTransport) {
    let (a, b) = (bind(config("a")).await, bind(config("b")).await);
    introduce(&a, &b);
    (a, b)
}

pub(crate) async fn tls_pair() -> (TcpTransport, TcpTransport) {
    let authority = authority();
    let (a, b) = (bind(tls_config(&authority, "a")).await, bind(tls_config(&authority, "b")).await);
    introduce(&a, &b);
    (a, b)
}

pub(crate) async fn quic_pair() -> (QuicTransport, QuicTransport) {
    let authority = authority();
    let (a, b) = (bind_quic(quic_config(&authority, "a")).await, bind_quic(quic_config(&authority, "b")).await);
    introduce(&a, &b);
    (a, b)
}

/// What both transports can.
pub(crate) trait Node: Transport {
    fn address(&self) -> SocketAddr;
    fn add_peer(&self, name: &str, address: SocketAddr);
    fn counters(&self) -> TransportStats;
    fn refusals(&self) -> Vec<ConnectionRefusal>;
    fn change_tls(&self, config: TlsConfig) -> Result<(), TlsError>;
}

macro_rules! node {
    ($transport:ty) => {
        impl Node for $transport {
            fn address(&self) -> SocketAddr {
                self.local_addr()
            }
            fn add_peer(&self, name: &str, address: SocketAddr) {
                self.set_peer(peer(name), address).expect("a peer like any other");
            }
            fn counters(&self) -> TransportStats {
                self.stats()
            }
            fn refusals(&self) -> Vec<ConnectionRefusal> {
                self.last_refusals()
            }
            fn change_tls(&self, config: TlsConfig) -> Result<(), TlsError> {
                self.set_tls(config)
            }
        }
    };
}

node!(TcpTransport);
node!(QuicTransport);

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("it must not take that long")
}

/// Waits until the counters say so, and returns them.
pub(crate) async fn until(transport: &impl Node, reached: impl Fn(&TransportStats) -> bool) -> TransportStats {
    in_time(async {
        loop {
            let stats = transport.counters();
            if reached(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// Sends frames until one arrives: while connections break and come back, some are lost.
pub(crate) async fn deliver<T: Node>(from: &T, to_name: &str, to: &T, frame: &[u8]) {
    in_time(async {
        loop {
            let _ = from.send(&peer(to_name), frame.to_vec()).await;
            let arrived = tokio::time::timeout(Duration::from_millis(50), to.receive()).await;
            if arrived.is_ok_and(|received| received.is_some_and(|(_, received)| received == frame)) {
                return;
            }
        }
    })
    .await;
}

pub(crate) fn hello(from: &str, to: &str) -> Vec<u8> {
    let mut hello = b"AENT\x02".to_vec();
    for name in ["test", from, to] {
        hello.push(u8::try_from(name.len()).expect("a short name"));
        hello.extend_from_slice(name.as_bytes());
    }
    hello
}

/// Connects by hand, and returns the connection and the status in the answer.
pub(crate) async fn connect(to: &TcpTransport, from: &str, to_name: &str) -> (TcpStream, u8) {
    in_time(async {
        let mut stream = TcpStream::connect(to.local_addr()).await.expect("it listens");
        stream.write_all(&hello(from, to_name)).await.expect("a hello fits any buffer");
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer[..5], *b"AENT\x02");
        (stream, answer[5])
    })
    .await
}

/// Sends a frame by hand.
pub(crate) async fn put(stream: &mut TcpStream, frame: &[u8]) {
    stream.write_u32(u32::try_from(frame.len()).expect("a short frame")).await.expect("the connection is open");
    stream.write_all(frame).await.expect("the connection is open");
}

/// Waits for the other side to close a connection.
pub(crate) async fn closed(stream: &mut TcpStream) {
    // It may be by a reset, if the other side left something unread.
    let read = in_time(stream.read(&mut [0])).await;
    assert!(!matches!(read, Ok(1..)), "nothing is said after the answer");
}

/// Accepts a connection by hand and lets it in; reads nothing after the hello of "a" to "b".
pub(crate) async fn let_in(listener: &TcpListener) -> TcpStream {
    in_time(async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut said = vec![0; hello("a", "b").len()];
        stream.read_exact(&mut said).await.expect("a hello");
        assert_eq!(said, hello("a", "b"));
        stream.write_all(b"AENT\x02\x00").await.expect("the connection is open");
        stream
    })
    .await
}

/// What is answered to a request of HTTP; nothing if the connection is closed.
pub(crate) async fn http(address: SocketAddr, request: &[u8]) -> String {
    in_time(async {
        let mut stream = TcpStream::connect(address).await.expect("loopback can be connected to");
        let mut answer = Vec::new();
        // It may be closed while the request is on its way.
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("an answer is text")
    })
    .await
}
