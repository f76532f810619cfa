//! Channels: several replicas over one transport.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anti_entropy::transport::{ChannelTaken, Channels, ChannelsConfig, ChannelsStats, MemoryTransport, SendError};
use anti_entropy::{MemoryNetwork, PeerId, Transport};
use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};

/// A node whose arrivals are carried by hand.
struct Node {
    channels: Channels,
    carry: BoxFuture<'static, ()>,
}

impl Node {
    fn new(transport: MemoryTransport, config: ChannelsConfig) -> Self {
        let (channels, carry) = Channels::new(transport, config).unwrap();
        Self { channels, carry: carry.boxed() }
    }

    /// Carries what has arrived.
    fn carry(&mut self) {
        let _ = (&mut self.carry).now_or_never();
    }
}

fn peer(name: &str) -> PeerId {
    name.into()
}

fn received(transport: &impl Transport) -> Option<Vec<u8>> {
    transport.receive().now_or_never().flatten().map(|(_, frame)| frame)
}

#[test]
fn frames_reach_the_channel_of_their_number_and_no_other() {
    let network = MemoryNetwork::new(1);
    let plain = network.join(peer("a"));
    let mut b = Node::new(network.join(peer("b")), ChannelsConfig::default());
    let (one, two) = (b.channels.open(1).unwrap(), b.channels.open(2).unwrap());
    assert_eq!(b.channels.open(1).err(), Some(ChannelTaken(1)));
    let raw = |channel: u64, frame: &[u8]| [&channel.to_be_bytes()[..], frame].concat();
    for frame in [raw(1, b"for one"), raw(2, b"for two"), raw(2, b""), raw(3, b"for nobody"), vec![0; 7], vec![]] {
        block_on(plain.send(&peer("b"), frame)).unwrap();
    }
    b.carry();
    assert_eq!(received(&one).unwrap(), b"for one");
    assert_eq!([received(&two), received(&two), received(&two)], [Some(b"for two".to_vec()), Some(Vec::new()), None]);
    let stats = b.channels.stats();
    assert_eq!((stats.unopened, stats.malformed, stats.overflowed), (1, 2, 0));

    // Once closed, it may be opened again, and has nothing of what came before.
    block_on(plain.send(&peer("b"), raw(1, b"too late"))).unwrap();
    b.carry();
    drop(one);
    let one = b.channels.open(1).unwrap();
    block_on(plain.send(&peer("b"), raw(1, b"for the new one"))).unwrap();
    b.carry();
    assert_eq!(received(&one).unwrap(), b"for the new one");
}

#[test]
fn what_is_sent_has_the_number_before_it() {
    let network = MemoryNetwork::new(1);
    let (a, plain) = (Node::new(network.join(peer("a")), ChannelsConfig::default()), network.join(peer("b")));
    let channel = a.channels.open(0x0102).unwrap();
    block_on(channel.send(&peer("b"), b"frame".to_vec())).unwrap();
    assert_eq!(received(&plain).unwrap(), b"\0\0\0\0\0\0\x01\x02frame");
    assert_eq!(channel.max_frame_bytes(), plain.max_frame_bytes() - 8);
    assert_eq!(channel.local_name(), plain.local_name().map(|_| peer("a")));
    let too_long = vec![0; channel.max_frame_bytes() + 1];
    let error = block_on(channel.send(&peer("b"), too_long)).unwrap_err();
    assert!(matches!(error, SendError::TooLong { bytes, max } if bytes == max + 1), "{error}");
}

#[test]
fn a_channel_that_nobody_reads_fills_up_and_stops_no_other() {
    let network = MemoryNetwork::new(1);
    let plain = network.join(peer("a"));
    let config = ChannelsConfig::default().with(|config| {
        config.queue_frames = 3.try_into().unwrap();
        config.queue_bytes = 10;
    });
    let mut b = Node::new(network.join(peer("b")), config);
    let (full, other) = (b.channels.open(1).unwrap(), b.channels.open(2).unwrap());
    let mut send = |channel: u64, bytes: usize| {
        block_on(plain.send(&peer("b"), [&channel.to_be_bytes()[..], &vec![0; bytes]].concat())).unwrap();
        b.carry();
        b.channels.stats().overflowed
    };
    assert_eq!([send(1, 1), send(1, 1), send(1, 1), send(1, 1)], [0, 0, 0, 1], "three frames");
    assert_eq!([send(2, 6), send(2, 5), send(2, 4)], [1, 2, 2], "ten bytes");
    assert_eq!([received(&other).unwrap().len(), received(&other).unwrap().len()], [6, 4]);
    assert!(received(&full).is_some());
    assert_eq!([send(1, 1), send(2, 11)], [2, 2], "there is room again, for one that waits alone however long it is");
}

#[test]
fn channels_end_with_what_carries_their_frames() {
    let network = MemoryNetwork::new(1);
    let b = Node::new(network.join(peer("b")), ChannelsConfig::default());
    let channel = b.channels.open(1).unwrap();
    drop(b.carry);
    assert_eq!(block_on(channel.receive()), None);
    assert_eq!(block_on(b.channels.open(2).unwrap().receive()), None, "nor does one that is opened after that wait");
    assert_eq!(b.channels.stats(), ChannelsStats::default());
}

#[test]
fn who_floods_a_channel_loses_its_own_frames_and_no_other() {
    let network = MemoryNetwork::new(1);
    let (floods, honest) = (network.join(peer("floods")), network.join(peer("honest")));
    let config = ChannelsConfig::default().with(|config| config.queue_frames = 100.try_into().unwrap());
    let mut b = Node::new(network.join(peer("b")), config);
    let channel = b.channels.open(1).unwrap();
    let frame = [&1_u64.to_be_bytes()[..], b"frame"].concat();
    for number in 0..1000 {
        block_on(floods.send(&peer("b"), frame.clone())).unwrap();
        if number % 250 == 0 {
            block_on(honest.send(&peer("b"), frame.clone())).unwrap();
        }
        b.carry();
    }
    assert_eq!(b.channels.stats().overflowed, 904);
    let arrived = (0..100).map(|_| block_on(channel.receive()).unwrap().0);
    assert_eq!(arrived.filter(|from| *from == peer("honest")).count(), 4);
}
