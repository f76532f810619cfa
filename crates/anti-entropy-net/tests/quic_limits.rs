//! Every limit of QUIC, reached, mostly by peers that keep no rules.

mod common;

use std::time::Duration;

use anti_entropy::Transport;
use anti_entropy::transport::SendError;
use anti_entropy_net::{QuicTransport, TestAuthority, TransportLimits};
use common::{authority, bind_quic, in_time, loopback, nowhere, peer, quic_config, raw, until};
use quinn::{Connection, Endpoint};

/// "b", which takes in whoever has a certificate, and one who can issue them.
async fn open_to_all(set: impl FnOnce(&mut TransportLimits)) -> (QuicTransport, TestAuthority, Endpoint) {
    let authority = authority();
    let mut config = quic_config(&authority, "b").with(|config| config.accept_unknown_peers = true);
    set(&mut config.limits);
    (bind_quic(config).await, authority, raw::endpoint())
}

async fn connect(
    b: &QuicTransport,
    authority: &TestAuthority,
    endpoint: &Endpoint,
    name: &str,
) -> (Connection, Option<u8>) {
    let client = raw::client(Some(&authority.issue(name).expect("a DNS name")), raw::ALPN);
    let connection = raw::quic(endpoint, b.local_addr(), client).await.expect("TLS goes through");
    let status = raw::greet_quic(&connection, name, "b", 1).await;
    (connection, status)
}

#[tokio::test]
async fn max_frame_bytes() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.max_frame_bytes = 2_000).await;
    b.set_peer(peer("c"), nowhere()).unwrap();
    assert_eq!(b.max_frame_bytes(), 2_000);
    assert_eq!(b.send(&peer("c"), vec![0; 2_001]).await, Err(SendError::TooLong { bytes: 2_001, max: 2_000 }));
    b.remove_peer(&peer("c"));
    for (times, kind) in [(1, 1), (2, 2)] {
        let (connection, status) = connect(&b, &authority, &endpoint, "c").await;
        assert_eq!(status, Some(0));
        let _stream = raw::stream(&connection, &[kind, 0, 0, 7, 0xD1]).await;
        in_time(connection.closed()).await;
        assert_eq!(b.stats().refused.frame_too_long, times);
    }
    let (connection, _) = connect(&b, &authority, &endpoint, "c").await;
    let _stream = raw::stream(&connection, &[&[1, 0, 0, 7, 0xD0][..], &[9; 2_000]].concat()).await;
    assert_eq!(in_time(b.receive()).await, Some((peer("c"), vec![9; 2_000])));
}

#[tokio::test]
async fn streams_of_no_known_kind_end_the_connection() {
    let (b, authority, endpoint) = open_to_all(|_| {}).await;
    let (connection, _) = connect(&b, &authority, &endpoint, "c").await;
    let _stream = raw::stream(&connection, &[3]).await;
    in_time(connection.closed()).await;
    assert_eq!(b.stats().refused.stream, 1);
}

#[tokio::test]
async fn a_peer_has_two_streams_and_so_two_frames_in_the_making() {
    let (b, authority, endpoint) = open_to_all(|_| {}).await;
    let (connection, _) = connect(&b, &authority, &endpoint, "c").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(raw::stream(&connection, b"\x02\x00\x10\x00\x00begun").await);
    }
    let third = tokio::time::timeout(Duration::from_millis(50), connection.open_uni()).await;
    assert!(third.is_err(), "it would hold a third frame");
    drop(open);
}

#[tokio::test]
async fn max_connections() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.max_connections = 2).await;
    let (first, status) = connect(&b, &authority, &endpoint, "n1").await;
    assert_eq!(status, Some(0));
    let (_second, status) = connect(&b, &authority, &endpoint, "n2").await;
    assert_eq!(status, Some(0));
    let (third, status) = connect(&b, &authority, &endpoint, "n3").await;
    assert_eq!(status, Some(4));
    third.close(0_u32.into(), b"");
    until(&b, |stats| stats.refused.too_many_connections == 1).await;
    first.close(0_u32.into(), b"");
    in_time(async {
        while connect(&b, &authority, &endpoint, "n3").await.1 != Some(0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn max_handshakes_and_handshake_timeout() {
    let (b, authority, endpoint) = open_to_all(|limits| {
        limits.max_handshakes = 2;
        limits.handshake_timeout = Duration::from_millis(500);
    })
    .await;
    // Past TLS, and then silent: they keep their places, the second and third after they have shown their addresses.
    let client = || raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let first = raw::quic(&endpoint, b.local_addr(), client()).await.unwrap();
    let second = raw::quic(&endpoint, b.local_addr(), client()).await.unwrap();
    let third = raw::quic(&endpoint, b.local_addr(), client()).await;
    assert!(third.is_err(), "there is no place for it");
    assert_eq!(b.stats().refused.too_many_handshakes, 1);
    in_time(first.closed()).await;
    in_time(second.closed()).await;
    assert_eq!(b.stats().refused.handshake_timeout, 2);
    assert_eq!(connect(&b, &authority, &endpoint, "c").await.1, Some(0));
}

/// Other addresses of loopback than the first are Linux's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn max_handshakes_per_address() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.max_handshakes_per_address = 2).await;
    let client = || raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(raw::quic(&endpoint, b.local_addr(), client()).await.unwrap());
    }
    assert!(raw::quic(&endpoint, b.local_addr(), client()).await.is_err(), "there is no place for it");
    assert_eq!(b.stats().refused.too_many_handshakes, 1);
    // A peer elsewhere does not notice.
    let elsewhere = Endpoint::client(([127, 0, 0, 2], 0).into()).unwrap();
    assert_eq!(connect(&b, &authority, &elsewhere, "c").await.1, Some(0));
    assert_eq!(b.stats().refused.too_many_handshakes, 1);
}

/// A first packet from an invented address gets a token to show again, and takes no place.
#[tokio::test]
async fn when_many_handshakes_are_under_way_addresses_are_validated() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.max_handshakes = 4).await;
    let client = || raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(raw::quic(&endpoint, b.local_addr(), client()).await.unwrap());
    }
    // Half of the places are taken. The first packet of a client that never reads what comes back:
    let catcher = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    let dialler = raw::endpoint();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(client()).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(crypto));
    let _dialling = dialler.connect_with(config, catcher.local_addr().unwrap(), "x").unwrap();
    let mut packet = vec![0; 2_000];
    let (bytes, _) = in_time(catcher.recv_from(&mut packet)).await.unwrap();
    for _ in 0..50 {
        let spoofed = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
        spoofed.send_to(&packet[..bytes], b.local_addr()).await.unwrap();
        let mut answer = [0; 2_000];
        in_time(spoofed.recv_from(&mut answer)).await.unwrap();
        assert_eq!(answer[0] & 0xF0, 0xF0, "a retry packet");
    }
    assert_eq!(b.stats().refused.too_many_handshakes, 0);
    assert_eq!(connect(&b, &authority, &endpoint, "c").await.1, Some(0), "an honest one still gets in");
}

#[tokio::test]
async fn slow_writers_are_given_up() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.write_timeout = Duration::from_millis(20)).await;
    for (times, kind) in [(1, 1), (2, 2)] {
        let (connection, _) = connect(&b, &authority, &endpoint, "c").await;
        let _stream = raw::stream(&connection, &[kind, 0, 0, 1, 0, 42]).await;
        in_time(connection.closed()).await;
        assert_eq!(b.stats().inbound_idle, times);
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go() {
    let (b, authority, endpoint) = open_to_all(|limits| {
        (limits.idle_timeout, limits.write_timeout) = (Duration::from_millis(20), Duration::from_millis(20));
    })
    .await;
    let (connection, _) = connect(&b, &authority, &endpoint, "c").await;
    in_time(connection.closed()).await;
    assert_eq!(b.stats().inbound_idle, 1);
}

#[tokio::test]
async fn lost_after() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.lost_after = Duration::from_secs(1)).await;
    let relay = raw::Relay::new(b.local_addr()).await;
    let client = raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let connection = raw::quic(&endpoint, relay.address, client).await.unwrap();
    assert_eq!(raw::greet_quic(&connection, "c", "b", 1).await, Some(0));
    // While both are there, the connection lives; the keep-alives are the only packets.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(b.connections(), 1);
    relay.swallow_all();
    // Without this limit it would be quinn's own, of half a minute, or the one for idle connections, of two.
    let lost = async {
        while b.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), lost).await.expect("it counts as gone");
    assert_eq!(b.stats().inbound_idle, 0);
}

#[tokio::test]
async fn a_refusal_is_counted_also_if_its_answer_does_not_arrive() {
    let (b, authority, endpoint) = open_to_all(|limits| limits.handshake_timeout = Duration::from_secs(3)).await;
    let relay = raw::Relay::new(b.local_addr()).await;
    let client = raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let connection = raw::quic(&endpoint, relay.address, client).await.unwrap();
    relay.swallow_to_client();
    let greeting = raw::greet_quic(&connection, "c", "somebody else", 1);
    let refused = until(&b, |stats| stats.refused.wrong_receiver + stats.refused.handshake_timeout > 0);
    tokio::select! {
        _ = greeting => panic!("there is no answer"),
        stats = refused => assert_eq!((stats.refused.wrong_receiver, stats.refused.handshake_timeout), (1, 0)),
    }
}

#[tokio::test]
async fn peer_queue_frames_and_bytes_and_window_bytes() {
    // What one peer can make "b" hold while "b" does not receive, and that the others still get through.
    let (b, authority, endpoint) = open_to_all(|limits| {
        limits.max_frame_bytes = 1_024;
        (limits.receive_queue_frames, limits.receive_queue_bytes) = (100, 100_000);
        (limits.peer_queue_frames, limits.peer_queue_bytes) = (20, 10_240);
        limits.window_bytes = 16 << 10;
    })
    .await;
    let (greedy, _) = connect(&b, &authority, &endpoint, "greedy").await;
    let mut stream = raw::stream(&greedy, &[1]).await;
    let mut taken = 0;
    // Whatever is written beyond the limits waits at the sender.
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(300), stream.write_all(&[&[0, 0, 4, 0][..], &[7; 1_024]].concat()))
            .await
    {
        written.unwrap();
        taken += 1;
    }
    let stats = until(&b, |stats| stats.receive_waits == 1).await;
    assert_eq!(stats.frames_received, 10, "as many bytes as one peer may have waiting");
    // The sender's own buffer holds some too.
    assert!((10..100).contains(&taken), "{taken} frames were taken");

    let (small, _) = connect(&b, &authority, &endpoint, "small").await;
    let mut stream = raw::stream(&small, &[1]).await;
    stream.write_all(&[0; 4 * 100]).await.unwrap();
    assert_eq!(until(&b, |stats| stats.receive_waits == 2).await.frames_received, 30, "as many frames");

    let (honest, _) = connect(&b, &authority, &endpoint, "honest").await;
    let _stream = raw::stream(&honest, b"\x01\x00\x00\x00\x02hi").await;
    until(&b, |stats| stats.frames_received == 31).await;
    in_time(async { while b.receive().await != Some((peer("honest"), b"hi".to_vec())) {} }).await;
}

#[tokio::test]
async fn who_holds_the_room_of_frames_pushes_back_to_their_peer_and_to_no_other() {
    let (b, authority, endpoint) =
        open_to_all(|limits| (limits.receive_queue_frames, limits.peer_queue_frames) = (5, 3)).await;
    let (greedy, _) = connect(&b, &authority, &endpoint, "greedy").await;
    let mut stream = raw::stream(&greedy, &[1]).await;
    stream.write_all(&[0; 4 * 10]).await.unwrap();
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let (from, _, room) = in_time(b.receive_with_room()).await.unwrap();
        assert_eq!(from, peer("greedy"));
        rooms.push(room);
    }
    assert_eq!(until(&b, |stats| stats.receive_waits > 0).await.frames_received, 3, "it is read no further");
    let (honest, _) = connect(&b, &authority, &endpoint, "honest").await;
    let mut stream = raw::stream(&honest, &[1]).await;
    for _ in 0..10 {
        stream.write_all(b"\x00\x00\x00\x02hi").await.unwrap();
        assert_eq!(in_time(b.receive()).await, Some((peer("honest"), b"hi".to_vec())));
    }
    drop(rooms);
    for _ in 3..10 {
        assert_eq!(in_time(b.receive()).await, Some((peer("greedy"), Vec::new())), "and none is lost");
    }
}

#[tokio::test]
async fn write_timeout() {
    let authority = authority();
    let mut config = quic_config(&authority, "b");
    (config.limits.write_timeout, config.limits.window_bytes) = (Duration::from_millis(50), 16 << 10);
    let b = bind_quic(config).await;
    b.set_peer(peer("c"), nowhere()).unwrap();
    let client = raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let endpoint = raw::endpoint();
    let connection = raw::quic(&endpoint, b.local_addr(), client).await.unwrap();
    assert_eq!(raw::greet_quic(&connection, "c", "b", 1).await, Some(0));
    // Nobody reads what is sent to "c".
    for _ in 0..4 {
        b.send(&peer("c"), vec![0; 1 << 20]).await.unwrap();
    }
    until(&b, |stats| stats.write_timeouts > 0 && stats.dropped.not_connected > 0).await;
    in_time(connection.closed()).await;
}
