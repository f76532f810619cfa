//! The connection over which frames go to one peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, Security, refusal_reason};
use super::config::TcpConfig;
use crate::address::in_turn;
use crate::backoff::Backoff;
use crate::frame::write_frame;
use crate::handshake::{Answer, Hello, greet};
use crate::peers::Destination;
use crate::refusal::ConnectionRefusalReason;
use crate::send_queue::Lane;
use crate::stats::Stats;

/// What the task that sends to one peer needs.
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
    /// The peer ended the connection, or it broke.
    Lost,
}

impl Link {
    /// Connects when there is a frame to send, sends frames, and connects again. It never ends by itself.
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

    /// Tries to connect until it works. Frames are queued during an attempt, and refused between two attempts.
    async fn connect(&self, backoff: &mut Backoff) -> Channel {
        loop {
            if let Ok(Ok(channel)) = timeout(self.config.limits.handshake_timeout, self.dial()).await {
                self.stats.count(|stats| stats.connected += 1);
                return channel;
            }
            self.stats.count(|stats| stats.connect_failures += 1);
            self.pause(backoff).await;
        }
    }

    /// Tries the addresses of the peer in order.
    async fn dial(&self) -> io::Result<Channel> {
        let start = Instant::now();
        let mut addresses = self.to.address.resolve().await?;
        // A name may resolve to any address.
        addresses.retain(|address| self.config.may_reach(*address));
        self.try_all(addresses, start).await
    }

    async fn try_all(&self, addresses: Vec<SocketAddr>, start: Instant) -> io::Result<Channel> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (address, share) in in_turn(addresses, start, self.config.limits.handshake_timeout) {
            match timeout(share, self.attempt(address)).await {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }

    async fn attempt(&self, remote: SocketAddr) -> io::Result<Channel> {
        let stream = TcpStream::connect(remote).await?;
        // The peer waits for each frame, so there is no use in holding it back to fill a packet.
        stream.set_nodelay(true)?;
        let refuse = |error: io::Error| {
            if let Some(reason) = refusal_reason(&error) {
                self.stats.refuse(reason, remote, error.to_string());
            }
            error
        };
        let mut channel = self.security.connect(stream).await.map_err(refuse)?;
        if !self.security.proves(&channel, &self.to.peer) {
            self.stats.refuse(ConnectionRefusalReason::WrongName, remote, self.to.peer.as_str());
            return Err(io::Error::other("the peer has another name"));
        }
        let (cluster, from) = (self.config.cluster.clone(), self.config.name.clone());
        let hello = Hello { cluster, from, to: self.to.peer.clone() };
        match greet(&mut channel.stream, &hello).await.map_err(refuse)? {
            Answer::Accepted => return Ok(channel),
            Answer::OtherCluster(theirs) => {
                let detail = self.config.cluster.refuses(&theirs);
                self.stats.refuse(ConnectionRefusalReason::OtherCluster, remote, detail);
            }
            Answer::Crossed | Answer::Refused(_) => {}
        }
        Err(io::Error::other("the peer refused the connection"))
    }

    /// Drops the frames that wait, since they would be stale after the pause. Then waits for the next attempt.
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
            // First, so that no frame is written if the certificate is no longer trusted since the handshake.
            biased;
            () = distrusted => End::Lost,
            // The peer sends nothing after its answer, so if something can be read the connection is over. Without
            // this, the first frame after the peer has closed the connection would be lost.
            _ = from_peer.read(&mut byte) => End::Lost,
            end = self.write_all(&mut writer) => {
                // Over TLS this tells the peer that nothing was cut off. It does not matter whether it arrives.
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

    /// Writes a frame, and flushes unless another one is waiting.
    async fn write(&self, writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
        write_frame(writer, frame).await?;
        if self.to.queue.is_empty(Lane::All) {
            writer.flush().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::ClusterName;
    use crate::handshake::{Status, answer, read_hello};
    use crate::send_queue::SendQueue;

    #[tokio::test]
    async fn an_address_that_is_silent_does_not_keep_the_next_from_being_tried() -> std::io::Result<()> {
        let cluster: ClusterName = "test".parse().unwrap();
        let mut config = TcpConfig::new(cluster.clone(), "a".into(), ([127, 0, 0, 1], 0).into());
        config.limits.handshake_timeout = std::time::Duration::from_secs(2);
        let [silent, good] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
        let (silent, good) = (silent.await?, good.await?);
        let addresses = vec![silent.local_addr()?, good.local_addr()?];
        let queue = Arc::new(SendQueue::new(&config.limits));
        let link = Link {
            to: Destination { peer: "b".into(), address: addresses[1].into(), queue, seed: 0 },
            config: Arc::new(config),
            security: Arc::new(Security::Plain),
            stats: Arc::new(Stats::new(0)),
        };
        let answering = async {
            let (mut stream, _) = good.accept().await.unwrap();
            assert!(read_hello(&mut stream).await.is_ok());
            answer(&mut stream, Status::Accepted, &cluster).await.unwrap();
            stream
        };
        let dialling = timeout(link.config.limits.handshake_timeout, link.try_all(addresses, Instant::now()));
        let (channel, _stream) = tokio::join!(dialling, answering);
        assert!(channel.unwrap().is_ok());
        Ok(())
    }
}
