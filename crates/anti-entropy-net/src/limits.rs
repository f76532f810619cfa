use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::BindError;

/// The limits of a transport. Each has a default for a few dozen peers in one data centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest frame, either way; at least 1,024. Default 1 MiB: long against the cost of a frame, short against
    /// the time and memory that one frame may take.
    pub max_frame_bytes: usize,
    /// How many frames wait for one peer. Default 1,024: many small frames of one round, and no more, since frames
    /// that waited for long answer a question that nobody asks any more.
    pub send_queue_frames: usize,
    /// How many bytes of frames wait for one peer; at least `max_frame_bytes`. Default 4 MiB: a few of the longest
    /// frames keep the connection busy.
    pub send_queue_bytes: usize,
    /// How many received frames wait for `receive`, from all peers together. Default 1,024. When they are as many,
    /// connections are read no further, and their senders' queues fill.
    pub receive_queue_frames: usize,
    /// How many bytes of received frames wait for `receive`; at least `max_frame_bytes`. Default 16 MiB. On top of it
    /// each connection may hold the one frame that it is receiving; over QUIC, one short and one long.
    pub receive_queue_bytes: usize,
    /// How many of the received frames that wait may be of one peer. Default 256: a quarter of all, so that a peer that
    /// sends faster than this node takes in holds itself up, and not the others.
    pub peer_queue_frames: usize,
    /// How many bytes of the received frames that wait may be of one peer; at least `max_frame_bytes`. Default 4 MiB: a
    /// quarter of all.
    pub peer_queue_bytes: usize,
    /// How many peers may be configured, each with a queue and a task. Default 1,024.
    pub max_peers: usize,
    /// How many inbound connections are open after their handshake. Default 1,024: one a peer.
    pub max_connections: usize,
    /// How many inbound connections are in their handshake; further ones are closed at once, and peers come again.
    /// Default 128: what strangers that connect and say nothing can make this node hold is small.
    pub max_handshakes: usize,
    /// How many of these may be of one IP address; IPv6 addresses with the same first 64 bits count as one. Default
    /// 16: an eighth of all, so that strangers need eight addresses to keep peers out, and enough for many nodes on one
    /// host, since a handshake takes a few round trips.
    pub max_handshakes_per_address: usize,
    /// How long connecting, or being connected to, may take until the handshake is through; the addresses of
    /// a name, which are tried in order, share it. Default 5 seconds: a few lost packets.
    pub handshake_timeout: Duration,
    /// After how long without a frame a connection is closed by the side that sends; the receiving side waits twice as
    /// long, so that it does not close one that is about to be used. Default 60 seconds: longer than between two
    /// gossip rounds with the same peer in a small cluster, and a peer that vanished is forgotten soon.
    pub idle_timeout: Duration,
    /// How long one frame may take to be written until the connection counts as broken. Default 30 seconds: a peer
    /// that is busy may pause, one that is gone must not be waited for.
    pub write_timeout: Duration,
    /// How long to wait before connecting again, the first time; it doubles until `reconnect_max`, and each time
    /// between half of it and all of it is waited. Default 100 milliseconds: a restarted process is back about then.
    pub reconnect_min: Duration,
    /// How long to wait before connecting again at most. Default 10 seconds: what an attempt costs hardly counts any
    /// more, and a peer that comes back is found soon.
    pub reconnect_max: Duration,
    /// How many refusals are logged in a second, with feature `tracing`; all are counted. Default 10: enough to see
    /// what goes on, and strangers cannot fill a disk.
    pub refusals_logged_per_second: u32,
    /// QUIC only: the longest frame that goes on the stream of short frames; longer ones have another, so that they hold
    /// up none. Default 16 KiB: about a dozen packets.
    pub short_frame_bytes: usize,
    /// QUIC only: how many bytes a peer may send before they are read, on both streams of a connection together, and how
    /// many this node keeps until the peer has them; at least 16,384. Default 2 MiB: 160 Mbit/s over a round trip of
    /// 100 milliseconds.
    pub window_bytes: u32,
    /// QUIC only: after how long without a packet a peer counts as gone. Default 15 seconds. While a connection is
    /// open, each side sends one at least every third of it, which also keeps address translations alive.
    pub lost_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame_bytes: 1 << 20,
            send_queue_frames: 1_024,
            send_queue_bytes: 4 << 20,
            receive_queue_frames: 1_024,
            receive_queue_bytes: 16 << 20,
            peer_queue_frames: 256,
            peer_queue_bytes: 4 << 20,
            max_peers: 1_024,
            max_connections: 1_024,
            max_handshakes: 128,
            max_handshakes_per_address: 16,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            refusals_logged_per_second: 10,
            short_frame_bytes: 16 << 10,
            window_bytes: 2 << 20,
            lost_after: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// What the queues' counters, and a frame's length of four bytes, can express.
    const MOST: usize = u32::MAX as usize >> 3;

    /// What QUIC can tell its peer, and more than anybody waits for one.
    const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

    pub(crate) fn validate(&self) -> Result<(), BindError> {
        let rules = [
            (self.max_frame_bytes >= 1_024, "max_frame_bytes", "must be at least 1,024"),
            (self.send_queue_frames >= 1, "send_queue_frames", "must be at least 1"),
            (self.send_queue_bytes >= self.max_frame_bytes, "send_queue_bytes", "must hold the longest frame"),
            (self.receive_queue_frames >= 1, "receive_queue_frames", "must be at least 1"),
            (self.receive_queue_frames <= Self::MOST, "receive_queue_frames", "must be less than 2^29"),
            (self.receive_queue_bytes >= self.max_frame_bytes, "receive_queue_bytes", "must hold the longest frame"),
            (self.receive_queue_bytes <= Self::MOST, "receive_queue_bytes", "must be less than 2^29"),
            (self.peer_queue_frames >= 1, "peer_queue_frames", "must be at least 1"),
            (self.peer_queue_frames <= Self::MOST, "peer_queue_frames", "must be less than 2^29"),
            (self.peer_queue_bytes >= self.max_frame_bytes, "peer_queue_bytes", "must hold the longest frame"),
            (self.peer_queue_bytes <= Self::MOST, "peer_queue_bytes", "must be less than 2^29"),
            (self.max_connections >= 1, "max_connections", "must be at least 1"),
            (self.max_handshakes >= 1, "max_handshakes", "must be at least 1"),
            (self.max_handshakes <= Self::MOST, "max_handshakes", "must be less than 2^29"),
            (self.max_handshakes_per_address >= 1, "max_handshakes_per_address", "must be at least 1"),
            (!self.handshake_timeout.is_zero(), "handshake_timeout", "must not be zero"),
            (!self.idle_timeout.is_zero(), "idle_timeout", "must not be zero"),
            (!self.write_timeout.is_zero(), "write_timeout", "must not be zero"),
            (!self.reconnect_min.is_zero(), "reconnect_min", "must not be zero"),
            (self.reconnect_min <= self.reconnect_max, "reconnect_max", "must not be less than reconnect_min"),
            (self.window_bytes >= 16 << 10, "window_bytes", "must be at least 16,384"),
            (self.lost_after >= Duration::from_millis(3), "lost_after", "must be at least 3 milliseconds"),
            (self.lost_after <= Self::LONGEST_SILENCE, "lost_after", "must be at most a day"),
        ];
        match rules.into_iter().find(|(kept, ..)| !kept) {
            Some((_, limit, rule)) => Err(BindError::Limit { limit, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut Limits);
        let spoils: [(&str, Spoil); 23] = [
            ("max_frame_bytes", |limits| limits.max_frame_bytes = 1_023),
            ("send_queue_frames", |limits| limits.send_queue_frames = 0),
            ("send_queue_bytes", |limits| limits.send_queue_bytes = limits.max_frame_bytes - 1),
            ("receive_queue_frames", |limits| limits.receive_queue_frames = 0),
            ("receive_queue_frames", |limits| limits.receive_queue_frames = usize::MAX),
            ("receive_queue_bytes", |limits| limits.receive_queue_bytes = limits.max_frame_bytes - 1),
            ("receive_queue_bytes", |limits| limits.receive_queue_bytes = usize::MAX),
            ("peer_queue_frames", |limits| limits.peer_queue_frames = 0),
            ("peer_queue_frames", |limits| limits.peer_queue_frames = usize::MAX),
            ("peer_queue_bytes", |limits| limits.peer_queue_bytes = limits.max_frame_bytes - 1),
            ("peer_queue_bytes", |limits| limits.peer_queue_bytes = usize::MAX),
            ("max_connections", |limits| limits.max_connections = 0),
            ("max_handshakes", |limits| limits.max_handshakes = 0),
            ("max_handshakes", |limits| limits.max_handshakes = usize::MAX),
            ("max_handshakes_per_address", |limits| limits.max_handshakes_per_address = 0),
            ("handshake_timeout", |limits| limits.handshake_timeout = Duration::ZERO),
            ("idle_timeout", |limits| limits.idle_timeout = Duration::ZERO),
            ("write_timeout", |limits| limits.write_timeout = Duration::ZERO),
            ("reconnect_min", |limits| limits.reconnect_min = Duration::ZERO),
            ("reconnect_max", |limits| limits.reconnect_max = limits.reconnect_min / 2),
            ("window_bytes", |limits| limits.window_bytes = 16_383),
            ("lost_after", |limits| limits.lost_after = Duration::from_millis(2)),
            ("lost_after", |limits| limits.lost_after = Duration::from_secs(100_000)),
        ];
        for (name, spoil) in spoils {
            let mut limits = Limits::default();
            spoil(&mut limits);
            let refused = limits.validate();
            assert!(matches!(refused, Err(BindError::Limit { limit, .. }) if limit == name), "{name}: {refused:?}");
        }
    }
}
