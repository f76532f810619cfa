//! One connection between two nodes: how it comes about, what it carries, how it ends.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::Transport;
use anti_entropy::transport::SendError;
use anti_entropy_net::{Address, PeerError, QuicTransport, TransportLimits};
use common::{authority, bind_quic, deliver, in_time, loopback, nowhere, peer, quic_config, quic_pair, raw, until};

async fn limited_pair(set: impl Fn(&mut TransportLimits)) -> (QuicTransport, QuicTransport) {
    let authority = authority();
    let node = async |name| {
        let mut config = quic_config(&authority, name);
        set(&mut config.limits);
        bind_quic(config).await
    };
    let (a, b) = (node("a").await, node("b").await);
    common::introduce(&a, &b);
    (a, b)
}

async fn until_open(node: &QuicTransport, connections: usize) {
    in_time(async {
        while node.connections() != connections {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_connection_serves_both_directions_and_is_counted() {
    let (a, b) = quic_pair().await;
    a.send(&peer("b"), b"hello".to_vec()).await.unwrap();
    assert_eq!(in_time(b.receive()).await, Some((peer("a"), b"hello".to_vec())));
    b.send(&peer("a"), Vec::new()).await.unwrap();
    assert_eq!(in_time(a.receive()).await, Some((peer("b"), Vec::new())));
    let sent = until(&a, |stats| stats.frames_sent == 1).await;
    assert_eq!((sent.bytes_sent, sent.connected, sent.accepted, sent.frames_received), (5, 1, 0, 1));
    let received = until(&b, |stats| stats.frames_sent == 1).await;
    assert_eq!((received.connected, received.accepted, received.bytes_received), (0, 1, 5));
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[tokio::test]
async fn short_frames_keep_their_order() {
    let (a, b) = quic_pair().await;
    let receive_all = async {
        for number in 0..5_000_u32 {
            let (from, frame) = in_time(b.receive()).await.unwrap();
            assert_eq!((from, &frame[..4]), (peer("a"), &number.to_be_bytes()[..]));
        }
    };
    let send_all = async {
        for number in 0..5_000_u32 {
            let mut frame = number.to_be_bytes().to_vec();
            frame.resize(4 + number as usize % 3_000, 7);
            while a.send(&peer("b"), frame.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::join!(receive_all, send_all);
    assert_eq!(a.stats().connected, 1);
}

#[tokio::test]
async fn a_long_frame_holds_up_no_short_one() {
    let (a, b) = quic_pair().await;
    // A peer by hand takes one stream's bytes and leaves the other's where they are.
    let authority = authority();
    let certificate = authority.issue("c").unwrap();
    let node = bind_quic(
        quic_config(&authority, "d")
            .with(|config| config.limits = TransportLimits::default().with(|limits| limits.window_bytes = 64 << 10)),
    )
    .await;
    node.set_peer(peer("c"), nowhere()).unwrap();
    let endpoint = raw::endpoint();
    let connection = raw::quic(&endpoint, node.local_addr(), raw::client(Some(&certificate), raw::ALPN)).await.unwrap();
    assert_eq!(raw::greet_quic(&connection, "c", "d", 1).await, Some(0));
    node.send(&peer("c"), vec![1; 1 << 20]).await.unwrap();
    node.send(&peer("c"), b"short".to_vec()).await.unwrap();
    let mut streams = Vec::new();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = raw::accept(&connection).await;
        let mut head = [0; 5];
        in_time(stream.read_exact(&mut head)).await.unwrap();
        kinds.push(head[0]);
        if head[0] == 1 {
            assert_eq!(head[1..], 5_u32.to_be_bytes());
            let mut frame = [0; 5];
            in_time(stream.read_exact(&mut frame)).await.unwrap();
            assert_eq!(&frame, b"short");
        } else {
            assert_eq!(head[1..], (1_u32 << 20).to_be_bytes());
        }
        streams.push(stream);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [1, 2]);
    // Both kinds arrive whole between two transports.
    a.send(&peer("b"), vec![3; 1 << 20]).await.unwrap();
    a.send(&peer("b"), b"short".to_vec()).await.unwrap();
    let mut lengths = [in_time(b.receive()).await, in_time(b.receive()).await].map(|frame| frame.unwrap().1.len());
    lengths.sort_unstable();
    assert_eq!(lengths, [5, 1 << 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_connections_that_cross_one_is_left_and_nothing_is_lost() {
    for round in 0..30 {
        let (a, b) = quic_pair().await;
        let frames = 20;
        for number in 0..frames {
            a.send(&peer("b"), vec![number]).await.unwrap();
            b.send(&peer("a"), vec![number]).await.unwrap();
        }
        for number in 0..frames {
            assert_eq!(in_time(b.receive()).await, Some((peer("a"), vec![number])), "round {round}");
            assert_eq!(in_time(a.receive()).await, Some((peer("b"), vec![number])), "round {round}");
        }
        until_open(&a, 1).await;
        until_open(&b, 1).await;
        let (a, b) = (a.stats(), b.stats());
        assert_eq!((a.connected + b.connected, a.accepted + b.accepted), (1, 1), "round {round}");
        assert_eq!(a.dropped.not_connected + b.dropped.not_connected, 0, "round {round}");
    }
}

#[tokio::test]
async fn a_hello_that_crosses_an_attempt_of_the_lesser_name_is_turned_away() {
    let authority = authority();
    let certificate = authority.issue("c").unwrap();
    let b = bind_quic(quic_config(&authority, "b")).await;
    // Nobody answers there, so "b" goes on dialling.
    let silent = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    b.set_peer(peer("c"), silent.local_addr().unwrap()).unwrap();
    b.send(&peer("c"), b"x".to_vec()).await.unwrap();
    in_time(silent.recv_from(&mut [0; 2_000])).await.unwrap();
    let endpoint = raw::endpoint();
    let connect =
        async || raw::quic(&endpoint, b.local_addr(), raw::client(Some(&certificate), raw::ALPN)).await.unwrap();
    assert_eq!(raw::greet_quic(&connect().await, "c", "b", 1).await, Some(6));
    assert_eq!((b.connections(), b.stats().accepted), (0, 0));
    // The greater name's attempt gives way instead.
    let certificate = authority.issue("a").unwrap();
    b.set_peer(peer("a"), silent.local_addr().unwrap()).unwrap();
    b.send(&peer("a"), b"y".to_vec()).await.unwrap();
    in_time(silent.recv_from(&mut [0; 2_000])).await.unwrap();
    let connection = raw::quic(&endpoint, b.local_addr(), raw::client(Some(&certificate), raw::ALPN)).await.unwrap();
    assert_eq!(raw::greet_quic(&connection, "a", "b", 1).await, Some(0));
    let mut stream = raw::accept(&connection).await;
    let mut frame = [0; 6];
    in_time(stream.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x01\x00\x00\x00\x01y");
}

#[tokio::test]
async fn a_peer_that_restarts_is_found_again() {
    let authority = authority();
    let (a_config, b_config) = (quic_config(&authority, "a"), quic_config(&authority, "b"));
    let (a, b) = (bind_quic(a_config).await, bind_quic(b_config.clone()).await);
    a.set_peer(peer("b"), b.local_addr()).unwrap();
    b.set_peer(peer("a"), a.local_addr()).unwrap();
    deliver(&a, "b", &b, b"before").await;
    let address = b.local_addr();
    b.close().await;
    assert_eq!(in_time(b.receive()).await, None);
    assert_eq!(b.send(&peer("a"), Vec::new()).await, Err(SendError::Closed));
    assert_eq!(b.set_peer(peer("c"), nowhere()), Err(PeerError::Closed));
    let peers = [(peer("a"), a.local_addr().into())].into();
    let b = bind_quic(b_config.with(|config| {
        config.listen = address;
        config.peers = peers;
    }))
    .await;
    deliver(&a, "b", &b, b"after").await;
    deliver(&b, "a", &a, b"back").await;
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

/// A process that dies tells nobody. The next one answers what is sent to the dead one with a token that its key and
/// no other makes; so the peer need not wait until it counts as gone.
#[tokio::test]
async fn a_peer_that_dies_is_noticed_as_soon_as_it_is_back() {
    let authority = authority();
    let never = |limits: &mut TransportLimits| limits.lost_after = Duration::from_secs(600);
    let (mut a_config, mut b_config) = (quic_config(&authority, "a"), quic_config(&authority, "b"));
    never(&mut a_config.limits);
    never(&mut b_config.limits);
    let a = bind_quic(a_config).await;
    b_config.peers.insert(peer("a"), a.local_addr().into());
    // Its process is a runtime that is thrown away without a word.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = b_config.clone();
    let b = process.spawn(async move { bind_quic(config).await }).await.unwrap();
    let address = b.local_addr();
    a.set_peer(peer("b"), address).unwrap();
    deliver(&a, "b", &b, b"before").await;
    tokio::task::spawn_blocking(move || process.shutdown_timeout(Duration::from_secs(60))).await.unwrap();
    drop(b);
    let b = in_time(async {
        loop {
            if let Ok(b) = QuicTransport::bind(b_config.clone().with(|config| config.listen = address)).await {
                return b;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    deliver(&a, "b", &b, b"after").await;
    assert_eq!(a.stats().connected, 2);
}

#[tokio::test]
async fn the_hello_of_another_process_replaces_a_connection_at_once() {
    let authority = authority();
    let certificate = authority.issue("c").unwrap();
    let b = bind_quic(quic_config(&authority, "b")).await;
    b.set_peer(peer("c"), nowhere()).unwrap();
    let endpoint = raw::endpoint();
    let connect =
        async || raw::quic(&endpoint, b.local_addr(), raw::client(Some(&certificate), raw::ALPN)).await.unwrap();
    let older = connect().await;
    assert_eq!(raw::greet_quic(&older, "c", "b", 1).await, Some(0));
    let newer = connect().await;
    assert_eq!(raw::greet_quic(&newer, "c", "b", 2).await, Some(0));
    in_time(older.closed()).await;
    let _stream = raw::stream(&newer, b"\x01\x00\x00\x00\x02hi").await;
    assert_eq!(in_time(b.receive()).await, Some((peer("c"), b"hi".to_vec())));
    assert_eq!((b.stats().superseded, b.connections()), (1, 1));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_the_next_frame_opens_another() {
    let (a, b) = limited_pair(|limits| limits.idle_timeout = Duration::from_millis(30)).await;
    for round in 1..=3 {
        a.send(&peer("b"), vec![round]).await.unwrap();
        assert_eq!(in_time(b.receive()).await, Some((peer("a"), vec![round])), "and none is lost");
        until_open(&a, 0).await;
        until_open(&b, 0).await;
        assert_eq!(a.stats().closed_idle, u64::from(round));
    }
    assert_eq!((a.stats().connected, a.stats().dropped.not_connected), (3, 0));
}

#[tokio::test]
async fn no_frame_is_lost_to_the_end_of_an_idle_connection() {
    let (a, b) = limited_pair(|limits| limits.idle_timeout = Duration::from_millis(2)).await;
    let (from_a, from_b) = (peer("a"), peer("b"));
    for round in 0..200_u8 {
        a.send(&from_b, vec![round]).await.unwrap();
        assert_eq!(in_time(b.receive()).await, Some((from_a.clone(), vec![round])), "round {round}");
        tokio::time::sleep(Duration::from_millis(u64::from(round % 4))).await;
        b.send(&from_a, vec![round; 20_000]).await.unwrap();
        assert_eq!(in_time(a.receive()).await, Some((from_b.clone(), vec![round; 20_000])), "round {round}");
    }
    assert!(a.stats().closed_idle + b.stats().closed_idle > 0);
}

#[tokio::test]
async fn peers_move_and_have_names() {
    let (a, b) = quic_pair().await;
    deliver(&a, "b", &b, b"before").await;
    let named: Address = format!("localhost:{}", b.local_addr().port()).parse().unwrap();
    a.set_peer(peer("b"), named).unwrap();
    deliver(&a, "b", &b, b"by name").await;
    assert!(a.remove_peer(&peer("b")) && !a.remove_peer(&peer("b")));
    assert_eq!(a.send(&peer("b"), Vec::new()).await, Err(SendError::UnknownPeer(peer("b"))));
    until_open(&b, 0).await;
}

#[tokio::test]
async fn a_connection_outlives_that_its_peer_becomes_known() {
    let authority = authority();
    let b = bind_quic(quic_config(&authority, "b").with(|config| config.accept_unknown_peers = true)).await;
    let client = raw::client(Some(&authority.issue("c").unwrap()), raw::ALPN);
    let endpoint = raw::endpoint();
    let connection = raw::quic(&endpoint, b.local_addr(), client).await.unwrap();
    assert_eq!(raw::greet_quic(&connection, "c", "b", 1).await, Some(0));
    for _ in 0..2 {
        b.set_peer(peer("c"), SocketAddr::from(([127, 0, 0, 1], 1))).unwrap();
        assert_eq!(b.connections(), 1);
    }
    b.send(&peer("c"), b"y".to_vec()).await.unwrap();
    let mut frame = [0; 6];
    in_time(raw::accept(&connection).await.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x01\x00\x00\x00\x01y");
    b.set_peer(peer("c"), SocketAddr::from(([127, 0, 0, 1], 2))).unwrap();
    in_time(connection.closed()).await;
}

#[tokio::test]
async fn dropping_the_transport_ends_its_connections() {
    let (a, b) = quic_pair().await;
    deliver(&a, "b", &b, b"x").await;
    drop(a);
    until_open(&b, 0).await;
}
