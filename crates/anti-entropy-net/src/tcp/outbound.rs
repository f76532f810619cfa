//! The connection over which frames go to one peer.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, Security, refusal};
use super::config::TcpConfig;
use crate::backoff::Backoff;
use crate::frame::write_frame;
use crate::handshake::greet;
use crate::peers::Destination;
use crate::queue::Lane;
use crate::refusal::RefusalReason;
use crate::stats::Stats;

/// All that the task which sends to one peer needs.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) to: Destination,
    pub(crate) config: Arc<TcpConfig>,
    pub(crate) security: Arc<Security>,
    pub(crate) stats: Arc<Stats>,
}

/// How a connection ended.
enum End {
    /// There was nothing to send; the next frame opens a new one.
    Idle,
    /// The peer ended it, or it broke.
    Lost,
}

impl Link {
    /// Connects when there is a frame to send, carries frames, and connects again; never ends by itself.
    pub(crate) async fn run(self) {
        let limits = &self.config.limits;
        let mut backoff = Backoff::new(limits.reconnect_min, limits.reconnect_max, self.to.seed);
        loop {
            self.to.queue.filled().await;
            let channel = self.connect(&mut backoff).await;
            let since = Instant::now();
            match self.carry(channel).await {
                End::Idle => backoff.reset(),
                End::Lost => {
                    backoff.connected_for(since.elapsed());
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    /// Tries until it works. Frames are taken during an attempt and refused between two.
    async fn connect(&self, backoff: &mut Backoff) -> Channel {
        loop {
            if let Ok(Ok(channel)) = timeout(self.config.limits.handshake_timeout, self.attempt()).await {
                self.stats.count(|stats| stats.connected += 1);
                return channel;
            }
            self.stats.count(|stats| stats.connect_failures += 1);
            self.pause(backoff).await;
        }
    }

    async fn attempt(&self) -> io::Result<Channel> {
        let stream = self.dial().await?;
        let remote = stream.peer_addr()?;
        // Frames are whole messages that somebody waits for; holding them back to fill a packet only costs time.
        stream.set_nodelay(true)?;
        let refuse = |error: io::Error| {
            if let Some(reason) = refusal(&error) {
                self.stats.refuse(reason, remote, error.to_string());
            }
            error
        };
        let mut channel = self.security.connect(stream).await.map_err(refuse)?;
        if !self.security.proves(&channel, &self.to.peer) {
            self.stats.refuse(RefusalReason::WrongName, remote, self.to.peer.as_str());
            return Err(io::Error::other("the peer has another name"));
        }
        greet(&mut channel.stream, &self.config.name, &self.to.peer).await.map_err(refuse)?;
        Ok(channel)
    }

    /// Tries all that the address stands for, in order.
    async fn dial(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.to.address.resolve().await? {
            // A name may stand for anything.
            if !self.config.may_reach(address) {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Drops what waits, since it would be stale by then, and waits before the next attempt.
    async fn pause(&self, backoff: &mut Backoff) {
        let dropped = self.to.queue.shut();
        self.stats.count(|stats| stats.dropped.not_connected += dropped);
        sleep(backoff.delay()).await;
        self.to.queue.open();
    }

    async fn carry(&self, channel: Channel) -> End {
        let distrusted = self.security.distrusted(&channel, &self.to.peer);
        let (mut from_peer, to_peer) = tokio::io::split(channel.stream);
        let mut writer = BufWriter::new(to_peer);
        let mut byte = [0];
        tokio::select! {
            // The trust may have changed since the handshake: then no frame is written.
            biased;
            () = distrusted => End::Lost,
            // After its answer the peer says nothing more: whatever can be read means that the connection is over.
            // Without this look, the first frame after the peer's end would be written into the void.
            _ = from_peer.read(&mut byte) => End::Lost,
            end = self.write_all(&mut writer) => {
                // Over TLS this says that nothing was cut off; whether it arrives does not matter.
                let _ = timeout(self.config.limits.write_timeout, writer.shutdown()).await;
                end
            }
        }
    }

    async fn write_all(&self, writer: &mut (impl AsyncWrite + Unpin)) -> End {
        loop {
            let Ok(frame) = timeout(self.config.limits.idle_timeout, self.to.queue.pop(Lane::All)).await else {
                self.stats.count(|stats| stats.closed_idle += 1);
                return End::Idle;
            };
            let written = timeout(self.config.limits.write_timeout, self.write(writer, &frame)).await;
            self.stats.count(|stats| match written {
                Ok(Ok(())) => {
                    stats.frames_sent += 1;
                    stats.bytes_sent += frame.len() as u64;
                }
                Ok(Err(_)) => stats.dropped.not_connected += 1,
                Err(_) => {
                    stats.dropped.not_connected += 1;
                    stats.write_timeouts += 1;
                }
            });
            if !matches!(written, Ok(Ok(()))) {
                return End::Lost;
            }
        }
    }

    /// Writes a frame, and flushes if no other follows at once.
    async fn write(&self, writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
        write_frame(writer, frame).await?;
        if self.to.queue.is_empty(Lane::All) {
            writer.flush().await?;
        }
        Ok(())
    }
}
