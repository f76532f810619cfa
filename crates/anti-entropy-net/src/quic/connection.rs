//! One connection: the streams that arrive over it, those that leave, and its end.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::gossip::PeerId;
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

/// The first byte of a stream of short frames.
const SHORT: u8 = 1;
/// The first byte of a stream that is one long frame.
const LONG: u8 = 2;

/// How much of a stream of short frames is read at a time.
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
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) short: Short,
    pub(super) long: Long,
}

/// The stream of short frames.
#[derive(Debug, Default)]
pub(super) struct Short(Option<SendStream>);

/// The streams of long frames that may not have arrived yet.
#[derive(Debug, Default)]
pub(super) struct Long(VecDeque<SendStream>);

impl Short {
    pub(super) async fn write(&mut self, connection: &Connection, frame: &[u8]) -> io::Result<()> {
        // In one piece, which is one packet if it is short enough.
        let mut bytes = Vec::with_capacity(4 + frame.len());
        bytes.extend_from_slice(&length(frame)?);
        bytes.extend_from_slice(frame);
        Ok(self.stream(connection).await?.write_all(&bytes).await?)
    }

    async fn stream(&mut self, connection: &Connection) -> io::Result<&mut SendStream> {
        if self.0.is_none() {
            let mut stream = connection.open_uni().await?;
            stream.set_priority(1).map_err(io::Error::other)?;
            stream.write_all(&[SHORT]).await?;
            self.0 = Some(stream);
        }
        self.0.as_mut().ok_or_else(|| io::Error::other("it was opened above"))
    }
}

impl Long {
    /// Writes a frame on a stream of its own; returns once all of it is on its way.
    pub(super) async fn write(&mut self, connection: &Connection, frame: &[u8], max: usize) -> io::Result<()> {
        let mut stream = connection.open_uni().await?;
        let [a, b, c, d] = length(frame)?;
        stream.write_all(&[LONG, a, b, c, d]).await?;
        stream.write_all(frame).await?;
        stream.finish().map_err(io::Error::other)?;
        self.0.push_back(stream);
        while self.0.len() > max {
            self.first_arrived().await?;
        }
        Ok(())
    }

    async fn first_arrived(&mut self) -> io::Result<()> {
        if let Some(stream) = self.0.front_mut() {
            arrived(stream).await?;
            self.0.pop_front();
        }
        Ok(())
    }
}

impl Writer {
    async fn finish(&mut self, connection: &Connection) -> io::Result<()> {
        while !self.long.0.is_empty() {
            self.long.first_arrived().await?;
        }
        let short = self.short.stream(connection).await?;
        short.finish().map_err(io::Error::other)?;
        arrived(short).await
    }
}

async fn arrived(stream: &mut SendStream) -> io::Result<()> {
    match stream.stopped().await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(io::Error::other("the peer did not want it")),
        Err(error) => Err(error.into()),
    }
}

fn length(frame: &[u8]) -> io::Result<[u8; 4]> {
    Ok(u32::try_from(frame.len()).map_err(io::Error::other)?.to_be_bytes())
}

/// How a stream that arrived has ended.
enum StreamEnd {
    /// A long frame is through.
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
            stream = live.connection.accept_uni() => {
                let Ok(stream) = stream else { return };
                let (live, queue, stats) = (Arc::clone(live), queue.clone(), Arc::clone(&hub.stats));
                readers.spawn(read_stream(live, stream, queue, stats, limits.clone()));
                continue;
            }
            Some(Ok(end)) = readers.join_next() => end,
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
            () = &mut distrusted => StreamEnd::Refused(RefusalReason::NoLongerTrusted),
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
    let patience = limits.write_timeout.saturating_mul(2);
    match stream.read_u8().await {
        Ok(SHORT) => {
            let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, stream);
            // Between two frames the connection's own limit counts, with what its other streams do.
            let patience = [Duration::MAX, patience];
            loop {
                match read_frame(&mut reader, limits.max_frame_bytes, patience).await {
                    Ok(frame) => queue.put(frame, &stats).await,
                    Err(error) => return StreamEnd::of(&error, StreamEnd::Left),
                }
                live.touch();
            }
        }
        Ok(LONG) => match read_frame(&mut stream, limits.max_frame_bytes, [patience; 2]).await {
            Ok(frame) => {
                queue.put(frame, &stats).await;
                live.touch();
                StreamEnd::Through
            }
            Err(error) => StreamEnd::of(&error, StreamEnd::Broken),
        },
        Ok(_) => StreamEnd::Refused(RefusalReason::Stream),
        Err(_) => StreamEnd::Broken,
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
