//! The task that serves one connection: it reads the streams that arrive, and ends the connection.

use std::sync::Arc;
use std::time::Duration;

use quinn::RecvStream;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::task::JoinSet;

use super::config::QuicConfig;
use super::live::{IDLE, Live, Opener, REFUSED};
use super::streams::{LONG, SHORT};
use crate::frame::{ReadError, read_frame};
use crate::receive_queue::PeerQueue;
use crate::refusal::ConnectionRefusalReason;
use crate::stats::Stats;
use crate::tls::TlsHandle;

/// How much of a stream is read at a time.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// What the task that serves one connection needs.
#[derive(Clone, Debug)]
pub(super) struct Inbound {
    pub(super) config: Arc<QuicConfig>,
    pub(super) tls: Arc<TlsHandle>,
    pub(super) stats: Arc<Stats>,
    pub(super) live: Arc<Live>,
    pub(super) queue: PeerQueue,
}

/// How a stream that arrived has ended.
enum StreamEnd {
    /// The stream of long frames has ended.
    Through,
    /// The stream of short frames has ended: the other side sends nothing more over this connection.
    Left,
    Broken,
    Stalled,
    Refused(ConnectionRefusalReason),
}

impl StreamEnd {
    fn of(error: &ReadError, finished: Self) -> Self {
        match error {
            ReadError::Finished => finished,
            ReadError::Broken => Self::Broken,
            ReadError::Stalled => Self::Stalled,
            ReadError::TooLong => Self::Refused(ConnectionRefusalReason::FrameTooLong),
        }
    }
}

impl Inbound {
    /// Queues the frames of the connection until it ends.
    pub(super) async fn run(self) {
        let mut readers = JoinSet::new();
        self.receive(&mut readers).await;
        // Frames that arrived before the end are still queued.
        while readers.join_next().await.is_some() {}
    }

    async fn receive(&self, readers: &mut JoinSet<StreamEnd>) {
        let (live, limits) = (&self.live, &self.config.limits);
        let certificates = live.certificates();
        let distrusted = self.tls.distrusted(&certificates, &live.peer);
        let leave = live.leave();
        let idle = live.idle(self.patience());
        let overdue = async {
            live.retired().await;
            tokio::time::sleep(limits.write_timeout).await;
        };
        tokio::pin!(distrusted, leave, idle, overdue);
        let (mut is_idle, mut this_left, mut other_left) = (false, false, false);
        while !(this_left && other_left) {
            let end = tokio::select! {
                // First, so that no stream is read if the certificate is no longer trusted since the handshake.
                biased;
                () = &mut distrusted => StreamEnd::Refused(ConnectionRefusalReason::NoLongerTrusted),
                // A stream that has broken a rule ends the connection before another is taken.
                Some(Ok(end)) = readers.join_next() => end,
                stream = live.connection.accept_uni() => {
                    let Ok(stream) = stream else { return };
                    readers.spawn(self.clone().read_stream(stream));
                    continue;
                }
                () = &mut idle, if !is_idle => {
                    is_idle = true;
                    self.retire_idle();
                    continue;
                }
                left = &mut leave, if !this_left => {
                    if left.is_err() {
                        break;
                    }
                    this_left = true;
                    continue;
                }
                () = &mut overdue => break,
            };
            match end {
                StreamEnd::Through | StreamEnd::Broken => {}
                StreamEnd::Left => {
                    other_left = true;
                    live.retire();
                }
                StreamEnd::Stalled => {
                    self.stats.count(|stats| stats.inbound_idle += 1);
                    break;
                }
                StreamEnd::Refused(reason) => {
                    live.connection.close(REFUSED, b"refused");
                    readers.abort_all();
                    return self.stats.refuse(reason, live.connection.remote_address(), live.peer.as_str());
                }
            }
        }
        live.connection.close(IDLE, b"idle");
    }

    /// How long no frame may come or go. The side that opened the connection gives it up first, so that the other one
    /// does not close it while a frame is on its way.
    fn patience(&self) -> Duration {
        let timeout = self.config.limits.idle_timeout;
        match self.live.opener {
            Opener::ThisNode => timeout,
            Opener::Peer => timeout.saturating_mul(2),
        }
    }

    fn retire_idle(&self) {
        self.live.retire();
        self.stats.count(|stats| match self.live.opener {
            Opener::ThisNode => stats.closed_idle += 1,
            Opener::Peer => stats.inbound_idle += 1,
        });
    }

    async fn read_stream(self, mut stream: RecvStream) -> StreamEnd {
        let limits = &self.config.limits;
        let finished = match stream.read_u8().await {
            Ok(SHORT) => StreamEnd::Left,
            Ok(LONG) => StreamEnd::Through,
            Ok(_) => return StreamEnd::Refused(ConnectionRefusalReason::Stream),
            Err(_) => return StreamEnd::Broken,
        };
        let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, stream);
        // Between two frames the idle timeout of the whole connection counts, which the other stream may extend.
        let patience = [Duration::MAX, limits.write_timeout.saturating_mul(2)];
        loop {
            match read_frame(&mut reader, limits.max_frame_bytes, patience).await {
                Ok(frame) => self.queue.put(frame, &self.stats).await,
                Err(error) => return StreamEnd::of(&error, finished),
            }
            self.live.touch();
        }
    }
}
