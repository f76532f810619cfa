//! The hello and its answer, the first bytes of a connection. The crate's documentation defines them.

use std::io;

use anti_entropy::PeerId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::refusal::ConnectionRefusalReason;

/// The longest name whose length fits into one byte.
pub(crate) const MAX_NAME_BYTES: usize = 255;

const MAGIC: [u8; 4] = *b"AENT";
const VERSION: u8 = 1;

/// The status in the answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Accepted = 0,
    OtherVersion = 1,
    UnknownSender = 2,
    WrongReceiver = 3,
    TooManyConnections = 4,
    /// Over TLS: the certificate does not prove the sender's name.
    WrongName = 5,
    #[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "only over QUIC"))]
    /// Over QUIC: the accepting side opens a connection as well, and that one prevails.
    Crossed = 6,
}

impl Status {
    /// The reason to count, if the status is a refusal.
    pub(crate) fn refusal(self) -> Option<ConnectionRefusalReason> {
        match self {
            Self::Accepted | Self::Crossed => None,
            Self::OtherVersion => Some(ConnectionRefusalReason::Version),
            Self::UnknownSender => Some(ConnectionRefusalReason::UnknownPeer),
            Self::WrongReceiver => Some(ConnectionRefusalReason::WrongReceiver),
            Self::TooManyConnections => Some(ConnectionRefusalReason::TooManyConnections),
            Self::WrongName => Some(ConnectionRefusalReason::WrongName),
        }
    }
}

/// The names in a hello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) from: PeerId,
    pub(crate) to: PeerId,
}

/// Why a hello could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HelloError {
    OtherVersion,
    Malformed,
}

impl From<io::Error> for HelloError {
    fn from(_: io::Error) -> Self {
        Self::Malformed
    }
}

/// Sends a hello and waits for the answer. It is an error if that is not "accepted".
pub(crate) async fn greet<S>(stream: &mut S, from: &PeerId, to: &PeerId) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&encode_hello(from, to)?).await?;
    stream.flush().await?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await?;
    if answer == encode_answer(Status::Accepted) {
        return Ok(());
    }
    Err(io::Error::other("the peer refused the connection"))
}

/// Over QUIC: sends a hello with this side's incarnation, and waits for the answer.
#[cfg(feature = "quic")]
pub(crate) async fn greet_as<W, R>(
    (writer, reader): (&mut W, &mut R),
    hello: &Hello,
    incarnation: Incarnation,
) -> io::Result<Answer>
where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    let mut bytes = encode_hello(&hello.from, &hello.to)?;
    bytes.extend_from_slice(&incarnation);
    writer.write_all(&bytes).await?;
    let mut answer = [0; 6];
    reader.read_exact(&mut answer).await?;
    if answer == encode_answer(Status::Accepted) {
        return Ok(Answer::Accepted(read_incarnation(reader).await?));
    }
    if answer == encode_answer(Status::Crossed) {
        return Ok(Answer::Crossed);
    }
    Ok(Answer::Refused(answer[5]))
}

/// Tells apart the processes that run under one name. It is drawn at random when a transport is bound.
#[cfg(feature = "quic")]
pub(crate) type Incarnation = [u8; 8];

/// The answer to a hello over QUIC.
#[cfg(feature = "quic")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted(Incarnation),
    Crossed,
    Refused(u8),
}

#[cfg(feature = "quic")]
pub(crate) async fn read_incarnation(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Incarnation> {
    let mut incarnation = Incarnation::default();
    reader.read_exact(&mut incarnation).await?;
    Ok(incarnation)
}

/// Reads a hello. Memory is bounded by the two lengths of one byte.
pub(crate) async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
    let mut start = [0; 5];
    stream.read_exact(&mut start).await?;
    if start[..4] != MAGIC {
        return Err(HelloError::Malformed);
    }
    if start[4] != VERSION {
        return Err(HelloError::OtherVersion);
    }
    Ok(Hello { from: read_name(stream).await?, to: read_name(stream).await? })
}

/// Answers a hello.
pub(crate) async fn answer(stream: &mut (impl AsyncWrite + Unpin), status: Status) -> io::Result<()> {
    stream.write_all(&encode_answer(status)).await?;
    stream.flush().await
}

async fn read_name(stream: &mut (impl AsyncRead + Unpin)) -> Result<PeerId, HelloError> {
    let mut name = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut name).await?;
    match std::str::from_utf8(&name) {
        Ok(name) if !name.is_empty() => Ok(PeerId::from(name)),
        _ => Err(HelloError::Malformed),
    }
}

fn encode_hello(from: &PeerId, to: &PeerId) -> io::Result<Vec<u8>> {
    let mut hello = MAGIC.to_vec();
    hello.push(VERSION);
    for name in [from, to] {
        hello.push(u8::try_from(name.as_str().len()).map_err(io::Error::other)?);
        hello.extend_from_slice(name.as_str().as_bytes());
    }
    Ok(hello)
}

fn encode_answer(status: Status) -> [u8; 6] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, status as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = b"AENT\x01\x06node-1\x02\xC3\xA9";

    #[tokio::test]
    async fn the_hello_has_these_bytes() {
        let hello = Hello { from: "node-1".into(), to: "\u{e9}".into() };
        assert_eq!(encode_hello(&hello.from, &hello.to).unwrap(), GOLDEN);
        assert_eq!(read_hello(&mut &GOLDEN[..]).await, Ok(hello));
    }

    #[test]
    fn the_answer_has_these_bytes() {
        assert_eq!(encode_answer(Status::Accepted), *b"AENT\x01\x00");
        assert_eq!(encode_answer(Status::TooManyConnections), *b"AENT\x01\x04");
    }

    #[tokio::test]
    async fn every_truncation_and_other_malformed_hellos_are_refused() {
        for end in 0..GOLDEN.len() {
            assert_eq!(read_hello(&mut &GOLDEN[..end]).await, Err(HelloError::Malformed), "{end}");
        }
        for malformed in
            [&b"AENU\x01\x01a\x01b"[..], b"AENT\x01\x00\x01b", b"AENT\x01\x01a\x00", b"AENT\x01\x01\xFF\x01b"]
        {
            assert_eq!(read_hello(&mut &*malformed).await, Err(HelloError::Malformed), "{malformed:?}");
        }
        assert_eq!(read_hello(&mut &b"AENT\x02"[..]).await, Err(HelloError::OtherVersion));
    }

    #[tokio::test]
    async fn any_answer_but_accepted_is_a_failure() {
        for (said, well) in
            [(&b"AENT\x01\x00"[..], true), (b"AENT\x01\x02", false), (b"AENT\x02\x00", false), (b"AEN", false)]
        {
            let (mut near, mut far) = tokio::io::duplex(1_024);
            far.write_all(said).await.unwrap();
            far.shutdown().await.unwrap();
            assert_eq!(greet(&mut near, &"a".into(), &"b".into()).await.is_ok(), well, "{said:?}");
        }
    }
}
