//! Who is let in, and what happens when peers go and come back.

mod common;

use anti_entropy::Transport;
use anti_entropy::transport::SendError;
use anti_entropy_net::{Address, BindError, PeerError, TcpConfig, TcpTransport};
use common::{bind, closed, config, connect, deliver, in_time, let_in, loopback, nowhere, pair, peer, put, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A node that has one peer.
fn with_peer(name: &str, other: &str, address: std::net::SocketAddr) -> TcpConfig {
    config(name).with(|config| config.peers = [(peer(other), address.into())].into())
}

#[tokio::test]
async fn frames_come_with_their_senders_name_and_are_counted() {
    let (a, b) = pair().await;
    a.send(&peer("b"), b"hello".to_vec()).await.unwrap();
    assert_eq!(in_time(b.receive()).await, Some((peer("a"), b"hello".to_vec())));
    b.send(&peer("a"), Vec::new()).await.unwrap();
    assert_eq!(in_time(a.receive()).await, Some((peer("b"), Vec::new())));
    let sent = until(&a, |stats| stats.frames_sent == 1 && stats.accepted == 1).await;
    assert_eq!((sent.bytes_sent, sent.connected, sent.frames_received), (5, 1, 1));
    let received = until(&b, |stats| stats.frames_sent == 1).await;
    assert_eq!((received.frames_received, received.bytes_received), (1, 5));
}

#[tokio::test]
async fn a_peer_that_restarts_is_found_again() {
    let (a, b) = pair().await;
    deliver(&a, "b", &b, b"before").await;
    let address = b.local_addr();
    b.close().await;
    assert_eq!(in_time(b.receive()).await, None);
    assert_eq!(b.send(&peer("a"), Vec::new()).await, Err(SendError::Closed));
    assert_eq!(b.set_peer(peer("c"), nowhere()), Err(PeerError::Closed));
    in_time(async {
        while a.stats().connect_failures == 0 {
            let _ = a.send(&peer("b"), b"while it is down".to_vec()).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let b = bind(with_peer("b", "a", a.local_addr()).with(|config| config.listen = address)).await;
    deliver(&a, "b", &b, b"after").await;
    deliver(&b, "a", &a, b"back").await;
    assert!(a.stats().connected >= 2 && a.stats().dropped.not_connected > 0);
}

#[tokio::test]
async fn a_peer_that_moves_is_found_by_its_new_address() {
    let (a, b) = pair().await;
    deliver(&a, "b", &b, b"before").await;
    // Dropping it frees the port too.
    let address = b.local_addr();
    drop(b);
    let b = bind(with_peer("b", "a", a.local_addr())).await;
    a.set_peer(peer("b"), b.local_addr()).unwrap();
    deliver(&a, "b", &b, b"after").await;
    in_time(async { while TcpListener::bind(address).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_newer_connection_of_a_peer_ends_the_older() {
    let (a, b) = pair().await;
    let (mut older, accepted) = connect(&b, "a", "b").await;
    assert_eq!(accepted, 0);
    let (mut newer, accepted) = connect(&b, "a", "b").await;
    assert_eq!(accepted, 0);
    closed(&mut older).await;
    put(&mut newer, b"from the newer").await;
    assert_eq!(in_time(b.receive()).await, Some((peer("a"), b"from the newer".to_vec())));
    assert_eq!((b.stats().superseded, a.stats().superseded), (1, 0));
    // The older one's end has not freed the newer one's place.
    let (_newest, accepted) = connect(&b, "a", "b").await;
    assert_eq!((accepted, b.stats().superseded), (0, 2));
    closed(&mut newer).await;
}

#[tokio::test]
async fn dropping_the_transport_ends_its_connections_both_ways() {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let a = bind(with_peer("a", "b", listener.local_addr().unwrap())).await;
    let (mut inbound, accepted) = connect(&a, "b", "a").await;
    assert_eq!(accepted, 0);
    a.send(&peer("b"), b"x".to_vec()).await.unwrap();
    let mut outbound = let_in(&listener).await;
    drop(a);
    closed(&mut inbound).await;
    let _ = in_time(outbound.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn strangers_are_refused_unless_they_are_welcome() {
    let (_a, b) = pair().await;
    let (mut stranger, status) = connect(&b, "stranger", "b").await;
    assert_eq!((status, b.stats().refused.unknown_peer), (2, 1));
    closed(&mut stranger).await;
    let open = bind(config("open").with(|config| config.accept_unknown_peers = true)).await;
    let (mut stranger, status) = connect(&open, "stranger", "open").await;
    assert_eq!(status, 0);
    put(&mut stranger, b"hi").await;
    assert_eq!(in_time(open.receive()).await, Some((peer("stranger"), b"hi".to_vec())));
    assert_eq!(open.send(&peer("stranger"), Vec::new()).await, Err(SendError::UnknownPeer(peer("stranger"))));
    assert_eq!(open.stats().dropped.unknown_peer, 1);
}

#[tokio::test]
async fn a_removed_peer_is_cut_off() {
    let (_a, b) = pair().await;
    let (mut connection, accepted) = connect(&b, "a", "b").await;
    assert_eq!(accepted, 0);
    assert!(b.remove_peer(&peer("a")) && !b.remove_peer(&peer("a")));
    closed(&mut connection).await;
    assert_eq!(connect(&b, "a", "b").await.1, 2);
    assert_eq!(b.send(&peer("a"), Vec::new()).await, Err(SendError::UnknownPeer(peer("a"))));
}

#[tokio::test]
async fn a_hello_for_another_node_or_of_another_version_is_refused_with_the_reason() {
    let (_a, b) = pair().await;
    assert_eq!(connect(&b, "a", "c").await.1, 3);
    let mut newer = TcpStream::connect(b.local_addr()).await.unwrap();
    newer.write_all(b"AENT\x03").await.unwrap();
    let mut answer = Vec::new();
    in_time(newer.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"AENT\x02\x01");
    assert_eq!((b.stats().refused.wrong_receiver, b.stats().refused.version), (1, 1));
}

#[tokio::test]
async fn garbage_is_refused_and_does_no_harm() {
    let (a, b) = pair().await;
    let mut random = fastrand::Rng::with_seed(1);
    let golden = common::hello("a", "b");
    for round in 0..200 {
        let mut hello = golden.clone();
        if round % 2 == 0 {
            // Any byte of the magic, the names and their lengths; the version has an answer of its own.
            let at = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13][random.usize(0..13)];
            hello[at] ^= 1 << random.u32(0..8);
        } else {
            hello = vec![0; random.usize(0..600)];
            random.fill(&mut hello);
        }
        let mut stream = TcpStream::connect(b.local_addr()).await.unwrap();
        let _ = stream.write_all(&hello).await;
        let _ = stream.shutdown().await;
        let _ = in_time(stream.read_to_end(&mut Vec::new())).await;
    }
    let refused = b.stats().refused;
    let named = refused.other_cluster + refused.unknown_peer + refused.wrong_receiver;
    assert_eq!(refused.malformed + refused.version + named, 200, "{refused:?}");
    deliver(&a, "b", &b, b"all is well").await;
}

#[tokio::test]
async fn a_peer_that_says_more_than_its_answer_is_dropped_and_called_again() {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let a = bind(with_peer("a", "b", listener.local_addr().unwrap())).await;
    a.send(&peer("b"), b"x".to_vec()).await.unwrap();
    let mut chatty = let_in(&listener).await;
    chatty.write_all(b"!").await.unwrap();
    in_time(chatty.read_to_end(&mut Vec::new())).await.unwrap();
    in_time(async {
        while a.send(&peer("b"), b"y".to_vec()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let_in(&listener).await;
}

#[tokio::test]
async fn other_machines_are_refused_unless_allowed() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let elsewhere: std::net::SocketAddr = "192.0.2.1:7000".parse().unwrap();
    let refused = TcpTransport::bind(TcpConfig::new(common::cluster(), peer("a"), everywhere)).await.unwrap_err();
    assert!(matches!(&refused, BindError::Config(error) if error.field == "listen"));
    assert!(refused.to_string().contains("allow_non_loopback"), "{refused}");
    let with_peer = with_peer("a", "b", elsewhere);
    let not_loopback = PeerError::NotLoopback { peer: peer("b"), address: elsewhere };
    let refused = TcpTransport::bind(with_peer.clone()).await.unwrap_err();
    assert!(matches!(refused, BindError::Config(error) if error.field == "peers.b"));
    let a = bind(config("a")).await;
    assert_eq!(a.set_peer(peer("b"), elsewhere), Err(not_loopback));
    assert_eq!(a.set_peer(peer("b"), "[::1]:7000".parse::<Address>().unwrap()), Ok(()));
    assert_eq!(a.set_peer(peer("b"), "[::ffff:127.0.0.1]:7000".parse::<Address>().unwrap()), Ok(()));
    bind(with_peer.with(|config| config.allow_non_loopback = true)).await;
}

#[tokio::test]
async fn names_and_addresses_are_checked() {
    let a = bind(config("a")).await;
    assert_eq!(a.set_peer(peer("a"), nowhere()), Err(PeerError::OwnName(peer("a"))));
    assert_eq!(a.set_peer(peer(""), nowhere()), Err(PeerError::NameLength { bytes: 0 }));
    assert_eq!(a.set_peer(peer(&"x".repeat(256)), nowhere()), Err(PeerError::NameLength { bytes: 256 }));
    assert_eq!(a.set_peer(peer(&"x".repeat(255)), nowhere()), Ok(()));
    assert!(matches!(TcpTransport::bind(config("")).await, Err(BindError::Config(error)) if error.field == "name"));
    let taken = config("b").with(|config| config.listen = a.local_addr());
    assert!(matches!(TcpTransport::bind(taken).await, Err(BindError::Listen { .. })));
}
