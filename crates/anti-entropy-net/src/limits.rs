use std::time::Duration;

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};

use crate::checks::{at_least_field, not_zero};

/// Limits of a transport: of memory, of connections, and of time. The defaults suit a few dozen peers in one data
/// centre.
///
/// ```
/// use anti_entropy_net::TransportLimits;
///
/// let limits = TransportLimits::default().with(|limits| limits.max_peers = 64);
/// assert!(limits.validate().is_ok());
/// let error = limits.with(|limits| limits.send_queue_frames = 0).validate().unwrap_err();
/// assert_eq!(error.field, "send_queue_frames");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransportLimits {
    /// The longest frame that is sent or accepted, in bytes. At least 1,024; none of `send_queue_bytes`,
    /// `peer_queue_bytes` and `receive_queue_bytes` may be less.
    ///
    /// Default 1 MiB: long enough that the cost of a frame does not matter, short enough that one frame takes little
    /// time and memory.
    pub max_frame_bytes: usize,
    /// How many frames may wait to be sent to one peer. At least 1.
    ///
    /// Default 1,024: the many small frames of one gossip round fit. More would only be stale: a frame that has waited
    /// long answers a question that nobody asks any more.
    pub send_queue_frames: usize,
    /// How many bytes of frames may wait to be sent to one peer. At least `max_frame_bytes`.
    ///
    /// Default 4 MiB: a few of the longest frames keep the connection busy.
    pub send_queue_bytes: usize,
    /// How many received frames may wait for `receive`, from all peers together. From 1 to 2²⁹ - 1. While the queue is
    /// full, no connection is read, and the senders' queues fill.
    ///
    /// Default 1,024.
    pub receive_queue_frames: usize,
    /// How many bytes of received frames may wait for `receive`, from all peers together. From `max_frame_bytes` to
    /// 2²⁹ - 1. In addition each connection may hold the frame that it is receiving; over QUIC, one short and one long
    /// frame.
    ///
    /// Default 16 MiB.
    pub receive_queue_bytes: usize,
    /// How many of the received frames that wait may be from one peer, those included whose
    /// [room](anti_entropy::Transport::receive_with_room) the receiver keeps until it has handled them. From 1 to 2²⁹ - 1.
    ///
    /// Default 256, a quarter of all: a peer that sends faster than this node receives delays itself and not the
    /// others.
    pub peer_queue_frames: usize,
    /// How many bytes of the received frames that wait may be from one peer, those included whose room the receiver keeps.
    /// From `max_frame_bytes` to 2²⁹ - 1.
    ///
    /// Default 4 MiB, a quarter of all.
    pub peer_queue_bytes: usize,
    /// How many peers there may be. Each has a queue and a task. Any number; with 0 this node only accepts connections.
    ///
    /// Default 1,024.
    pub max_peers: usize,
    /// How many inbound connections may be open after their handshake. At least 1.
    ///
    /// Default 1,024: one for each peer.
    pub max_connections: usize,
    /// How many inbound connections may be in their handshake. From 1 to 2²⁹ - 1. Further ones are closed at once, and
    /// peers try again.
    ///
    /// Default 128: strangers who connect and say nothing can only make this node hold little.
    pub max_handshakes: usize,
    /// How many inbound connections from one IP address may be in their handshake; IPv6 addresses that share their
    /// first 64 bits count as one. At least 1; more than `max_handshakes` has no effect.
    ///
    /// Default 16, an eighth of all: strangers need eight addresses to keep peers out. It is enough for many nodes on
    /// one host, since a handshake takes only a few round trips.
    pub max_handshakes_per_address: usize,
    /// How long connecting may take, on either side, until the handshake is complete. Longer than zero. If a peer's
    /// name has several addresses, they are tried in order and share this time.
    ///
    /// Default 5 seconds: enough for a few lost packets.
    pub handshake_timeout: Duration,
    /// After how long without a frame the sending side closes a connection. Longer than zero. The receiving side waits
    /// twice as long, so that it does not close a connection that is about to be used.
    ///
    /// Default 60 seconds: longer than the time between two gossip rounds with the same peer in a small cluster, and a
    /// peer that vanished is soon forgotten.
    pub idle_timeout: Duration,
    /// How long writing one frame may take before the connection counts as broken. Longer than zero.
    ///
    /// Default 30 seconds: a busy peer may pause, but a peer that is gone must not be waited for.
    pub write_timeout: Duration,
    /// How long to wait before the first attempt to connect again. Longer than zero, and at most `reconnect_max`. The
    /// wait doubles with each attempt up to `reconnect_max`, and is shortened at random by up to a half.
    ///
    /// Default 100 milliseconds: about what a restart of a process takes.
    pub reconnect_min: Duration,
    /// The longest wait before connecting again. At least `reconnect_min`.
    ///
    /// Default 10 seconds: attempts at this rate cost next to nothing, and a peer that comes back is soon found.
    pub reconnect_max: Duration,
    /// How many refusals are logged per second, with the feature `tracing`. Any number; 0 logs none. All are counted.
    ///
    /// Default 10: enough to see what is going on, and strangers cannot fill a disk.
    pub refusals_logged_per_second: u32,
    /// QUIC only: the longest frame that is sent on the stream of short frames. Longer frames have a stream of their
    /// own, so that they do not delay short ones. Any number; from `max_frame_bytes` on, all frames are short.
    ///
    /// Default 16 KiB: about a dozen packets.
    pub short_frame_bytes: usize,
    /// QUIC only: how many bytes a peer may send before this node has read them, on both streams of a connection
    /// together, and how many this node keeps until the peer has acknowledged them. At least 16,384.
    ///
    /// Default 2 MiB: 160 Mbit/s over a round trip of 100 milliseconds.
    pub window_bytes: u32,
    /// QUIC only: after how long without a packet a peer counts as gone. From 3 milliseconds to 24 hours. While a
    /// connection is open, each side sends a packet at least every third of this time, which also keeps address
    /// translations alive.
    ///
    /// Default 15 seconds.
    pub lost_after: Duration,
}

impl Default for TransportLimits {
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

impl TransportLimits {
    /// What the queues' semaphores can count on any machine.
    const MOST: usize = u32::MAX as usize >> 3;

    /// The longest time that QUIC can tell its peer, and more than anybody waits for one.
    const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

    /// The same limits with some fields changed: `TransportLimits::default().with(|limits| limits.max_peers = 64)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks each field's range, and the relations between fields.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_frame_bytes", self.max_frame_bytes, 1_024)?;
        self.validate_queues()?;
        self.validate_connections()?;
        self.validate_times()?;
        ConfigError::at_least("window_bytes", self.window_bytes, 16 << 10)?;
        ConfigError::at_least("lost_after", self.lost_after, Duration::from_millis(3))?;
        ConfigError::at_most("lost_after", self.lost_after, Self::LONGEST_SILENCE)
    }

    fn validate_queues(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("send_queue_frames", self.send_queue_frames, 1)?;
        self.holds_a_frame("send_queue_bytes", self.send_queue_bytes)?;
        for (field, frames) in
            [("receive_queue_frames", self.receive_queue_frames), ("peer_queue_frames", self.peer_queue_frames)]
        {
            ConfigError::at_least(field, frames, 1)?;
            ConfigError::at_most(field, frames, Self::MOST)?;
        }
        for (field, bytes) in
            [("receive_queue_bytes", self.receive_queue_bytes), ("peer_queue_bytes", self.peer_queue_bytes)]
        {
            self.holds_a_frame(field, bytes)?;
            ConfigError::at_most(field, bytes, Self::MOST)?;
        }
        Ok(())
    }

    fn holds_a_frame(&self, field: &str, bytes: usize) -> Result<(), ConfigError> {
        at_least_field(field, bytes, "max_frame_bytes", self.max_frame_bytes)
    }

    fn validate_connections(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_connections", self.max_connections, 1)?;
        ConfigError::at_least("max_handshakes", self.max_handshakes, 1)?;
        ConfigError::at_most("max_handshakes", self.max_handshakes, Self::MOST)?;
        ConfigError::at_least("max_handshakes_per_address", self.max_handshakes_per_address, 1)
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        not_zero("handshake_timeout", self.handshake_timeout)?;
        not_zero("idle_timeout", self.idle_timeout)?;
        not_zero("write_timeout", self.write_timeout)?;
        not_zero("reconnect_min", self.reconnect_min)?;
        at_least_field("reconnect_max", self.reconnect_max, "reconnect_min", self.reconnect_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut TransportLimits);
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
        assert_eq!(TransportLimits::default().validate(), Ok(()));
        for (name, spoil) in spoils {
            let mut limits = TransportLimits::default();
            spoil(&mut limits);
            assert_eq!(limits.validate().unwrap_err().field, name);
        }
    }

    #[test]
    fn the_bounds_themselves_are_accepted() {
        type Set = fn(&mut TransportLimits);
        let sets: [Set; 12] = [
            |limits| limits.max_frame_bytes = 1_024,
            |limits| limits.send_queue_frames = 1,
            |limits| limits.send_queue_bytes = limits.max_frame_bytes,
            |limits| limits.receive_queue_frames = TransportLimits::MOST,
            |limits| limits.receive_queue_bytes = TransportLimits::MOST,
            |limits| limits.peer_queue_bytes = limits.max_frame_bytes,
            |limits| limits.max_peers = 0,
            |limits| limits.reconnect_max = limits.reconnect_min,
            |limits| limits.refusals_logged_per_second = 0,
            |limits| limits.window_bytes = 16_384,
            |limits| limits.lost_after = Duration::from_millis(3),
            |limits| limits.lost_after = TransportLimits::LONGEST_SILENCE,
        ];
        for (at, set) in sets.into_iter().enumerate() {
            assert_eq!(TransportLimits::default().with(set).validate(), Ok(()), "{at}");
        }
    }
}
