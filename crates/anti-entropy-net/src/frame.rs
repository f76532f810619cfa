//! Frames on a connection: a length of four bytes, big-endian, and the content.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The capacity with which the buffer of a frame starts, whatever length was announced.
const FIRST_ROOM_BYTES: usize = 4 << 10;

/// Why no further frame can be read from a connection.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The announced length is above the limit.
    TooLong,
    /// Nothing arrived for too long.
    Stalled,
    /// The stream has ended, perhaps in the middle of a frame.
    Finished,
    /// The connection broke.
    Broken,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Finished } else { Self::Broken }
    }
}

/// Reads a frame. The buffer's capacity is at most twice what has arrived, or 4 KiB, so a peer cannot make this node
/// allocate memory by announcing a length.
///
/// `patience` is how long to wait for bytes before the frame, and in the middle of it.
pub(crate) async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin),
    max_bytes: usize,
    patience: [Duration; 2],
) -> Result<Vec<u8>, ReadError> {
    let stalled = |_| ReadError::Stalled;
    let announced = timeout(patience[0], reader.read_u32()).await.map_err(stalled)??;
    let bytes = usize::try_from(announced).ok().filter(|bytes| *bytes <= max_bytes).ok_or(ReadError::TooLong)?;
    let mut frame = Vec::new();
    while frame.len() < bytes {
        let missing = bytes - frame.len();
        if frame.len() == frame.capacity() {
            frame.reserve_exact(missing.min(frame.len().max(FIRST_ROOM_BYTES)));
        }
        // As much as the buffer has room for, and never bytes of the next frame.
        let room = missing.min(frame.capacity() - frame.len());
        let mut part = (&mut *reader).take(room as u64);
        if timeout(patience[1], part.read_buf(&mut frame)).await.map_err(stalled)?? == 0 {
            return Err(ReadError::Finished);
        }
    }
    Ok(frame)
}

/// Writes a frame.
pub(crate) async fn write_frame(writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    writer.write_u32(u32::try_from(frame.len()).map_err(io::Error::other)?).await?;
    writer.write_all(frame).await
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    const PATIENCE: [Duration; 2] = [Duration::from_secs(60); 2];

    #[tokio::test]
    async fn a_frame_has_these_bytes() -> io::Result<()> {
        let mut wire = Vec::new();
        write_frame(&mut wire, b"abc").await?;
        write_frame(&mut wire, b"").await?;
        assert_eq!(wire, b"\x00\x00\x00\x03abc\x00\x00\x00\x00");
        let mut reader = &wire[..];
        assert_eq!(read_frame(&mut reader, 3, PATIENCE).await.unwrap(), b"abc");
        assert_eq!(read_frame(&mut reader, 3, PATIENCE).await.unwrap(), b"");
        assert!(matches!(read_frame(&mut reader, 3, PATIENCE).await, Err(ReadError::Finished)));
        Ok(())
    }

    #[tokio::test]
    async fn truncated_and_too_long_frames_are_refused() {
        let wire = b"\x00\x00\x00\x03abc";
        for end in 0..wire.len() {
            assert!(matches!(read_frame(&mut &wire[..end], 3, PATIENCE).await, Err(ReadError::Finished)), "{end}");
        }
        assert!(matches!(read_frame(&mut &wire[..], 2, PATIENCE).await, Err(ReadError::TooLong)));
        assert!(matches!(read_frame(&mut &[0xFF; 4][..], 1 << 20, PATIENCE).await, Err(ReadError::TooLong)));
    }

    #[tokio::test]
    async fn a_silent_connection_is_noticed() {
        let (near, mut far) = tokio::io::duplex(1_024);
        let mut near = near;
        far.write_all(b"\x00\x00\x00\x03ab").await.unwrap();
        let read = read_frame(&mut near, 3, [Duration::from_secs(60), Duration::from_millis(10)]).await;
        assert!(matches!(read, Err(ReadError::Stalled)));
    }

    /// Announces a frame, gives bytes of it as long as there are any, and notes the room that is offered.
    struct Meter {
        head: Vec<u8>,
        given: usize,
        most_offered_beyond_given: usize,
    }

    impl AsyncRead for Meter {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.head.is_empty() {
                let beyond = buf.remaining().saturating_sub(self.given);
                self.most_offered_beyond_given = self.most_offered_beyond_given.max(beyond);
                let part = buf.remaining().min(1_000);
                buf.put_slice(&vec![7; part]);
                self.given += part;
            } else {
                let part = buf.remaining().min(self.head.len());
                buf.put_slice(&self.head.drain(..part).collect::<Vec<_>>());
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_buffer_grows_with_what_arrived_not_with_what_was_announced() {
        let bytes = 1 << 20;
        let mut meter = Meter { head: vec![0, 0x10, 0, 0], given: 0, most_offered_beyond_given: 0 };
        let frame = read_frame(&mut meter, bytes, PATIENCE).await.unwrap();
        assert_eq!((frame.len(), frame.capacity()), (bytes, bytes));
        assert!(meter.most_offered_beyond_given <= FIRST_ROOM_BYTES, "{}", meter.most_offered_beyond_given);
    }
}
