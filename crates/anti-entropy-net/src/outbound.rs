//! The connection over which frames go to one peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anti_entropy::gossip::PeerId;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::config::TcpLimits;
use crate::frame::write_frame;
use crate::handshake::greet;
use crate::queue::SendQueue;
use crate::stats::Stats;

/// All that the task which sends to one peer needs.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) own_name: PeerId,
    pub(crate) peer: PeerId,
    pub(crate) address: SocketAddr,
    pub(crate) queue: Arc<SendQueue>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) limits: TcpLimits,
    pub(crate) seed: u64,
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
        let mut backoff = Backoff::new(self.limits.reconnect_min, self.limits.reconnect_max, self.seed);
        loop {
            self.queue.filled().await;
            let stream = self.connect(&mut backoff).await;
            let since = Instant::now();
            match self.carry(stream).await {
                End::Idle => backoff.reset(),
                End::Lost => {
                    backoff.connected_for(since.elapsed());
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    /// Tries until it works. Frames are taken during an attempt and refused between two.
    async fn connect(&self, backoff: &mut Backoff) -> TcpStream {
        loop {
            if let Ok(Ok(stream)) = timeout(self.limits.handshake_timeout, self.attempt()).await {
                self.stats.count(|stats| stats.connected += 1);
                return stream;
            }
            self.stats.count(|stats| stats.connect_failures += 1);
            self.pause(backoff).await;
        }
    }

    async fn attempt(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await?;
        // Frames are whole messages that somebody waits for; holding them back to fill a packet only costs time.
        stream.set_nodelay(true)?;
        greet(&mut stream, &self.own_name, &self.peer).await?;
        Ok(stream)
    }

    /// Drops what waits, since it would be stale by then, and waits before the next attempt.
    async fn pause(&self, backoff: &mut Backoff) {
        let dropped = self.queue.shut();
        self.stats.count(|stats| stats.dropped.not_connected += dropped);
        sleep(backoff.delay()).await;
        self.queue.open();
    }

    async fn carry(&self, mut stream: TcpStream) -> End {
        let (mut from_peer, to_peer) = stream.split();
        let mut writer = BufWriter::new(to_peer);
        let mut byte = [0];
        tokio::select! {
            // After its answer the peer says nothing more: whatever can be read means that the connection is over.
            // Without this look, the first frame after the peer's end would be written into the void.
            _ = from_peer.read(&mut byte) => End::Lost,
            end = self.write_all(&mut writer) => end,
        }
    }

    async fn write_all(&self, writer: &mut (impl AsyncWrite + Unpin)) -> End {
        loop {
            let Ok(frame) = timeout(self.limits.idle_timeout, self.queue.pop()).await else {
                self.stats.count(|stats| stats.closed_idle += 1);
                return End::Idle;
            };
            let written = timeout(self.limits.write_timeout, self.write(writer, &frame)).await;
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
        if self.queue.is_empty() {
            writer.flush().await?;
        }
        Ok(())
    }
}
