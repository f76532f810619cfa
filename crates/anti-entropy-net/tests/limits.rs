//! Every limit, reached.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::Transport;
use anti_entropy::transport::SendError;
use anti_entropy_net::{BindError, PeerError, TcpConfig, TcpTransport, TransportLimits};
use common::{bind, closed, config, connect, hello, in_time, let_in, loopback, peer, put, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn limited(name: &str, set: impl FnOnce(&mut TransportLimits)) -> TcpConfig {
    let mut config = config(name);
    set(&mut config.limits);
    config
}

/// "a", and a listener by hand that it takes for "b".
async fn with_peer_by_hand(set: impl FnOnce(&mut TransportLimits)) -> (TcpTransport, TcpListener) {
    let listener = TcpListener::bind(loopback()).await.expect("loopback can be listened on");
    let mut config = limited("a", set);
    config.peers.insert(peer("b"), listener.local_addr().expect("it is listening").into());
    let a = bind(config).await;
    (a, listener)
}

/// "b", which takes anybody in.
async fn open_to_all(set: impl FnOnce(&mut TransportLimits)) -> TcpTransport {
    bind(limited("b", set).with(|config| config.accept_unknown_peers = true)).await
}

#[tokio::test]
async fn max_frame_bytes() {
    let (a, _listener) = with_peer_by_hand(|limits| limits.max_frame_bytes = 2_000).await;
    assert_eq!(a.max_frame_bytes(), 2_000);
    assert_eq!(a.send(&peer("b"), vec![0; 2_000]).await, Ok(()));
    assert_eq!(a.send(&peer("b"), vec![0; 2_001]).await, Err(SendError::TooLong { bytes: 2_001, max: 2_000 }));
    assert_eq!(a.stats().dropped.too_long, 1);
    let b = open_to_all(|limits| limits.max_frame_bytes = 2_000).await;
    let (mut sender, _) = connect(&b, "a", "b").await;
    put(&mut sender, &[1; 2_000]).await;
    assert_eq!(in_time(b.receive()).await, Some((peer("a"), vec![1; 2_000])));
    sender.write_u32(2_001).await.unwrap();
    closed(&mut sender).await;
    assert_eq!(b.stats().refused.frame_too_long, 1);
}

#[tokio::test]
async fn send_queue_frames_and_bytes() {
    // The listener never answers, so all that is sent waits.
    let (a, _listener) = with_peer_by_hand(|limits| {
        limits.send_queue_frames = 3;
        limits.send_queue_bytes = 1 << 20;
    })
    .await;
    let full = Err(SendError::QueueFull(peer("b")));
    for _ in 0..3 {
        assert_eq!(a.send(&peer("b"), Vec::new()).await, Ok(()));
    }
    assert_eq!(a.send(&peer("b"), Vec::new()).await, full);
    let (a, _listener) = with_peer_by_hand(|limits| limits.send_queue_bytes = 1 << 20).await;
    assert_eq!(a.send(&peer("b"), vec![0; (1 << 20) - 1]).await, Ok(()));
    assert_eq!(a.send(&peer("b"), vec![0; 2]).await, full);
    assert_eq!(a.send(&peer("b"), vec![0; 1]).await, Ok(()));
    assert_eq!(a.stats().dropped.queue_full, 1);
}

#[tokio::test]
async fn receive_queue_frames() {
    let b = open_to_all(|limits| limits.receive_queue_frames = 2).await;
    let (mut sender, _) = connect(&b, "a", "b").await;
    for number in 0..10 {
        put(&mut sender, &[number]).await;
    }
    assert_eq!(until(&b, |stats| stats.receive_waits == 1).await.frames_received, 2);
    for number in 0..10 {
        assert_eq!(in_time(b.receive()).await, Some((peer("a"), vec![number])), "and none is lost");
    }
}

#[tokio::test]
async fn receive_queue_bytes() {
    let b = open_to_all(|limits| (limits.max_frame_bytes, limits.receive_queue_bytes) = (1_024, 2_500)).await;
    let (mut sender, _) = connect(&b, "a", "b").await;
    for number in 0..10 {
        put(&mut sender, &[number; 1_000]).await;
    }
    assert_eq!(until(&b, |stats| stats.receive_waits == 1).await.frames_received, 2);
    for number in 0..10 {
        assert_eq!(in_time(b.receive()).await, Some((peer("a"), vec![number; 1_000])), "and none is lost");
    }
}

#[tokio::test]
async fn who_holds_the_room_of_frames_pushes_back_to_their_peer_and_to_no_other() {
    let b = open_to_all(|limits| (limits.receive_queue_frames, limits.peer_queue_frames) = (5, 3)).await;
    let (mut greedy, _) = connect(&b, "greedy", "b").await;
    for number in 0..10 {
        put(&mut greedy, &[number]).await;
    }
    let (mut rooms, mut numbers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (from, frame, room) = in_time(b.receive_with_room()).await.unwrap();
        assert_eq!(from, peer("greedy"));
        numbers.extend(frame);
        rooms.push(room);
    }
    assert_eq!(until(&b, |stats| stats.receive_waits > 0).await.frames_received, 3, "it is read no further");
    // More than there is room for together: what was taken stands in nobody's way.
    let (mut honest, _) = connect(&b, "honest", "b").await;
    for number in 0..10 {
        put(&mut honest, &[number]).await;
        assert_eq!(in_time(b.receive()).await, Some((peer("honest"), vec![number])));
    }
    while numbers.len() < 10 {
        drop(rooms.pop());
        let (from, frame, room) = in_time(b.receive_with_room()).await.unwrap();
        assert_eq!(from, peer("greedy"));
        numbers.extend(frame);
        rooms.push(room);
    }
    assert!(numbers.into_iter().eq(0..10), "and none is lost");
    assert_eq!(b.stats().frames_received, 20);
}

#[tokio::test]
async fn max_peers() {
    let a = bind(limited("a", |limits| limits.max_peers = 2)).await;
    let set = |name, port: u16| a.set_peer(peer(name), SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!([set("b", 1), set("c", 1), set("d", 1)], [Ok(()), Ok(()), Err(PeerError::TooMany { max: 2 })]);
    assert_eq!(set("c", 2), Ok(()), "one that is there may move");
    assert!(a.remove_peer(&peer("b")));
    assert_eq!(set("d", 1), Ok(()));
    let mut config = limited("a", |limits| limits.max_peers = 1);
    config.peers = ["b", "c"].map(|name| (peer(name), loopback().into())).into();
    assert!(matches!(TcpTransport::bind(config).await, Err(BindError::Config(error)) if error.field == "peers"));
}

#[tokio::test]
async fn max_connections() {
    let b = open_to_all(|limits| limits.max_connections = 2).await;
    let (mut first, _) = connect(&b, "n1", "b").await;
    let (_second, status) = connect(&b, "n2", "b").await;
    assert_eq!(status, 0);
    let (mut third, status) = connect(&b, "n3", "b").await;
    assert_eq!((status, b.stats().refused.too_many_connections), (4, 1));
    closed(&mut third).await;
    let (_again, status) = connect(&b, "n1", "b").await;
    assert_eq!(status, 0, "a newer connection takes the place of the older");
    closed(&mut first).await;
}

#[tokio::test]
async fn max_handshakes() {
    let b = open_to_all(|limits| limits.max_handshakes = 2).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(b.local_addr()).await.unwrap());
    }
    let mut third = TcpStream::connect(b.local_addr()).await.unwrap();
    closed(&mut third).await;
    assert_eq!(b.stats().refused.too_many_handshakes, 1);
    drop(silent);
    until(&b, |stats| stats.refused.malformed == 2).await;
    assert_eq!(connect(&b, "a", "b").await.1, 0);
}

/// Other addresses of loopback than the first are Linux's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn max_handshakes_per_address() {
    let b = open_to_all(|limits| limits.max_handshakes_per_address = 2).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(b.local_addr()).await.unwrap());
    }
    let mut third = TcpStream::connect(b.local_addr()).await.unwrap();
    closed(&mut third).await;
    assert_eq!(b.stats().refused.too_many_handshakes, 1);
    // A peer elsewhere does not notice.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut elsewhere = in_time(socket.connect(b.local_addr())).await.unwrap();
    elsewhere.write_all(&hello("a", "b")).await.unwrap();
    put(&mut elsewhere, b"x").await;
    assert_eq!(in_time(b.receive()).await, Some((peer("a"), b"x".to_vec())));
    assert_eq!((b.stats().refused.too_many_handshakes, b.stats().refused.malformed), (1, 0));
}

#[tokio::test]
async fn handshake_timeout() {
    let brief = |limits: &mut TransportLimits| limits.handshake_timeout = Duration::from_millis(20);
    let b = open_to_all(brief).await;
    let mut silent = TcpStream::connect(b.local_addr()).await.unwrap();
    closed(&mut silent).await;
    assert_eq!(b.stats().refused.handshake_timeout, 1);
    let (a, _silent) = with_peer_by_hand(brief).await;
    a.send(&peer("b"), b"x".to_vec()).await.unwrap();
    let stats = until(&a, |stats| stats.connect_failures >= 2).await;
    assert_eq!((stats.dropped.not_connected, stats.connected), (1, 0));
}

#[tokio::test]
async fn idle_timeout() {
    let brief = |limits: &mut TransportLimits| limits.idle_timeout = Duration::from_millis(20);
    let (a, listener) = with_peer_by_hand(brief).await;
    for round in 1..=2 {
        // After the first round the connection is gone, and a frame opens another, with nothing lost.
        a.send(&peer("b"), b"x".to_vec()).await.unwrap();
        let mut connection = let_in(&listener).await;
        let mut received = Vec::new();
        in_time(connection.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"\x00\x00\x00\x01x");
        until(&a, |stats| stats.closed_idle == round && stats.frames_sent == round).await;
    }
    let b = open_to_all(brief).await;
    let (mut silent, _) = connect(&b, "a", "b").await;
    closed(&mut silent).await;
    assert_eq!(b.stats().inbound_idle, 1);
}

#[tokio::test]
async fn write_timeout() {
    let (a, listener) = with_peer_by_hand(|limits| limits.write_timeout = Duration::from_millis(20)).await;
    a.send(&peer("b"), b"x".to_vec()).await.unwrap();
    let _never_read = let_in(&listener).await;
    in_time(async {
        while a.stats().write_timeouts == 0 {
            let _ = a.send(&peer("b"), vec![0; 1 << 20]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(a.stats().dropped.not_connected > 0);
}

#[tokio::test]
async fn reconnecting_backs_off_and_goes_on() {
    let (a, listener) = with_peer_by_hand(|limits| limits.reconnect_max = Duration::from_millis(10)).await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    a.send(&peer("b"), b"x".to_vec()).await.unwrap();
    // One frame is enough: attempts go on without another.
    until(&a, |stats| stats.connect_failures >= 5).await;
    in_time(async {
        while a.send(&peer("b"), b"y".to_vec()).await != Err(SendError::NotConnected(peer("b"))) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let listener = TcpListener::bind(address).await.unwrap();
    let_in(&listener).await;
    until(&a, |stats| stats.connected == 1).await;
}
