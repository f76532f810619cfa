//! The streams over which this side sends, and the kinds of streams that there are.

use std::io;
use std::time::Duration;

use quinn::{Connection, SendStream};
use tokio::time::timeout;

/// The first byte of the stream of short frames.
pub(super) const SHORT: u8 = 1;
/// The first byte of the stream of long frames.
pub(super) const LONG: u8 = 2;

/// How many streams a peer may open: one of each kind.
pub(super) const STREAMS: u32 = 2;

/// Up to this length a frame is written together with its length, in one piece.
const ONE_PIECE_BYTES: usize = 16 << 10;

/// The two streams over which this side sends.
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

/// A stream of frames, which is opened when there is a first frame for it.
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
        if frame.len() > ONE_PIECE_BYTES {
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
    /// Ends both streams, the short one last, and waits until all of them has arrived.
    pub(super) async fn finish(&mut self, connection: &Connection) -> io::Result<()> {
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

/// Gives up a write that takes too long.
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
