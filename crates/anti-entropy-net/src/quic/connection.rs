//! One connection: the streams that arrive over it, those that leave, and its end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::{Hub, IDLE, REFUSED};
use crate::frame::{ReadError, read_frame};
use crate::handshake::Incarnation;
use crate::limits::Limits;
use crate::receive::PeerQueue;
use crate::refusal::RefusalReason;
use crate::stats::Stats;

/// The first byte of the stream of short frames.
const SHORT: u8 = 1;
/// The first byte of the stream of long frames.
const LONG: u8 = 2;

/// How many streams a peer may open: one of each kind.
pub(super) const STREAMS: u32 = 2;

/// How much of a stream is read at a time, and up to where a frame is written in one piece.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// A connection past its handshake.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) peer: PeerId,
    pub(super) connection: Connection,
    /// Of the other side.
    pub(super) incarnation: Incarnation,
    /// Whether this side has opened it.
    pub(super) dialled: bool,
    pub(super) writer: tokio::sync::Mutex<Writer>,
    retired: watch::Sender<bool>,
    last_frame: Mutex<Instant>,
}

impl Live {
    pub(super) fn new(peer: PeerId, connection: Connection, incarnation: Incarnation, dialled: bool) -> Self {
        Self {
            peer,
            connection,
            incarnation,
            dialled,
            writer: tokio::sync::Mutex::default(),
            retired: watch::Sender::new(false),
            last_frame: Mutex::new(Instant::now()),
        }
    }

    /// Whether frames may be sent over it.
    pub(super) fn is_usable(&self) -> bool {
        !*self.retired.borrow() && self.connection.close_reason().is_none()
    }

    /// Sends nothing more over it once the frames that are being written are through, and closes it when the other
    /// side has said the same and everything has arrived.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// Waits until nothing more is to be sent over it.
    pub(super) async fn retired(&self) {
        // The sender is `self`'s.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Notes that a frame came or went.
    pub(super) fn touch(&self) {
        *self.last_frame.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn idle(&self, after: Duration) {
        loop {
            let last = *self.last_frame.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(end) = last.checked_add(after) else { return std::future::pending().await };
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Says goodbye, once that is due: what was written has arrived when this completes.
    async fn leave(&self) -> io::Result<()> {
        self.retired().await;
        self.writer.lock().await.finish(&self.connection).await
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.connection)
    }
}

/// What the other side has shown in the handshake.
pub(super) fn certificates(connection: &Connection) -> Vec<CertificateDer<'static>> {
    connection.peer_identity().and_then(|any| any.downcast().ok()).map(|found| *found).unwrap_or_default()
}

/// The streams that leave.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) short: FrameStream,
    pub(super) long: FrameStream,
}

impl Default for Writer {
    fn default() -> Self {
        let stream = |kind, priority| FrameStream { kind, priority, stream: None };
        Self { short: stream(SHORT, 1), long: stream(LONG, 0) }
    }
}

/// A stream of frames, opened when there is a first one.
#[derive(Debug)]
pub(super) struct FrameStream {
    kind: u8,
    priority: i32,
    stream: Option<SendStream>,
}

impl FrameStream {
    pub(super) async fn write(&mut self, connection: &Connection, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?.to_be_bytes();
        let stream = self.open(connection).await?;
        if frame.len() > READ_AHEAD_BYTES {
            stream.write_all(&length).await?;
            return Ok(stream.write_all(frame).await?);
        }
        // In one piece, which is one packet if it is short enough.
        Ok(stream.write_all(&[&length, frame].concat()).await?)
    }

    async fn open(&mut self, connection: &Connection) -> io::Result<&mut SendStream> {
        let stream = if let Some(stream) = self.stream.take() {
            stream
        } else {
            let mut stream = connection.open_uni().await?;
            stream.set_priority(self.priority).map_err(io::Error::other)?;
            stream.write_all(&[self.kind]).await?;
            stream
        };
        Ok(self.stream.insert(stream))
    }

    /// Ends the stream, and waits until all of it has arrived.
    async fn finish(&mut self, connection: &Connection) -> io::Result<()> {
        let stream = self.open(connection).await?;
        stream.finish().map_err(io::Error::other)?;
        arrived(stream).await
    }
}

impl Writer {
    async fn finish(&mut self, connection: &Connection) -> io::Result<()> {
        if self.long.stream.is_some() {
            self.long.finish(connection).await?;
        }
        self.short.finish(connection).await
    }
}

async fn arrived(stream: &mut SendStream) -> io::Result<()> {
    match stream.stopped().await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(io::Error::other("the peer did not want it")),
        Err(error) => Err(error.into()),
    }
}

/// How a stream that arrived has ended.
enum StreamEnd {
    /// No long frame is to follow.
    Through,
    /// The other side sends nothing more over this connection.
    Left,
    Broken,
    Stalled,
    Refused(RefusalReason),
}

/// Takes the frames of a connection in, until it ends.
pub(super) async fn serve(hub: Arc<Hub>, live: Arc<Live>, queue: PeerQueue) {
    let _forget = Forget(&hub, &live);
    let mut readers = JoinSet::new();
    receive(&hub, &live, &queue, &mut readers).await;
    // What has arrived before the end is still taken in.
    while readers.join_next().await.is_some() {}
}

async fn receive(hub: &Arc<Hub>, live: &Arc<Live>, queue: &PeerQueue, readers: &mut JoinSet<StreamEnd>) {
    let limits = &hub.config.limits;
    let certificates = live.certificates();
    let distrusted = hub.tls.distrusted(&certificates, &live.peer);
    let leave = live.leave();
    let idle = live.idle(limits.idle_timeout.saturating_mul(if live.dialled { 1 } else { 2 }));
    let overdue = async {
        live.retired().await;
        tokio::time::sleep(limits.write_timeout).await;
    };
    tokio::pin!(distrusted, leave, idle, overdue);
    let (mut is_idle, mut this_left, mut other_left) = (false, false, false);
    while !(this_left && other_left) {
        let end = tokio::select! {
            // The trust may have changed since the handshake: then no stream is read.
            biased;
            () = &mut distrusted => StreamEnd::Refused(RefusalReason::NoLongerTrusted),
            // A stream that has broken a rule ends the connection before another is taken.
            Some(Ok(end)) = readers.join_next() => end,
            stream = live.connection.accept_uni() => {
                let Ok(stream) = stream else { return };
                let (live, queue, stats) = (Arc::clone(live), queue.clone(), Arc::clone(&hub.stats));
                readers.spawn(read_stream(live, stream, queue, stats, limits.clone()));
                continue;
            }
            () = &mut idle, if !is_idle => {
                is_idle = true;
                live.retire();
                hub.stats.count(|stats| {
                    let counter = if live.dialled { &mut stats.closed_idle } else { &mut stats.inbound_idle };
                    *counter += 1;
                });
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
                hub.stats.count(|stats| stats.inbound_idle += 1);
                break;
            }
            StreamEnd::Refused(reason) => {
                live.connection.close(REFUSED, b"refused");
                readers.abort_all();
                return hub.stats.refuse(reason, live.connection.remote_address(), live.peer.as_str());
            }
        }
    }
    live.connection.close(IDLE, b"idle");
}

async fn read_stream(
    live: Arc<Live>,
    mut stream: RecvStream,
    queue: PeerQueue,
    stats: Arc<Stats>,
    limits: Limits,
) -> StreamEnd {
    let finished = match stream.read_u8().await {
        Ok(SHORT) => StreamEnd::Left,
        Ok(LONG) => StreamEnd::Through,
        Ok(_) => return StreamEnd::Refused(RefusalReason::Stream),
        Err(_) => return StreamEnd::Broken,
    };
    let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, stream);
    // Between two frames the connection's own limit counts, with what its other stream does.
    let patience = [Duration::MAX, limits.write_timeout.saturating_mul(2)];
    loop {
        match read_frame(&mut reader, limits.max_frame_bytes, patience).await {
            Ok(frame) => queue.put(frame, &stats).await,
            Err(error) => return StreamEnd::of(&error, finished),
        }
        live.touch();
    }
}

impl StreamEnd {
    fn of(error: &ReadError, finished: Self) -> Self {
        match error {
            ReadError::Finished => finished,
            ReadError::Broken => Self::Broken,
            ReadError::Stalled => Self::Stalled,
            ReadError::TooLong => Self::Refused(RefusalReason::FrameTooLong),
        }
    }
}

struct Forget<'a>(&'a Arc<Hub>, &'a Arc<Live>);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// Writes with a limit of time.
pub(super) async fn in_time(limit: Duration, write: impl Future<Output = io::Result<()>>) -> Result<(), WriteEnd> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(WriteEnd::Broken),
        Err(_) => Err(WriteEnd::TimedOut),
    }
}

/// Why a frame was not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteEnd {
    Broken,
    TimedOut,
}
