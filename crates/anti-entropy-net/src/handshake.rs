//! The hello and its answer, the first bytes of a connection. The crate's documentation defines them.

use std::io;

use anti_entropy::PeerId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cluster_name::ClusterName;
use crate::refusal::ConnectionRefusalReason;

/// The longest name whose length fits into one byte.
pub(crate) const MAX_NAME_BYTES: usize = 255;

const MAGIC: [u8; 4] = *b"AENT";
const VERSION: u8 = 2;

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
    /// The sender is of a cluster of another name.
    OtherCluster = 7,
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
            Self::OtherCluster => Some(ConnectionRefusalReason::OtherCluster),
        }
    }
}

/// The names in a hello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) cluster: ClusterName,
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

/// The answer to a hello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Crossed,
    OtherCluster(ClusterName),
    Refused(u8),
}

/// Sends a hello and waits for the answer.
pub(crate) async fn greet<S>(stream: &mut S, hello: &Hello) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&encode_hello(hello)?).await?;
    stream.flush().await?;
    read_answer(stream).await
}

/// Over QUIC: sends a hello with this side's incarnation, and waits for the answer. After "accepted" the other side's
/// incarnation follows.
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
    let mut bytes = encode_hello(hello)?;
    bytes.extend_from_slice(&incarnation);
    writer.write_all(&bytes).await?;
    read_answer(reader).await
}

async fn read_answer(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let mut start = [0; 5];
    reader.read_exact(&mut start).await?;
    let status = reader.read_u8().await?;
    if start[..4] != MAGIC || start[4] != VERSION {
        return Ok(Answer::Refused(status));
    }
    Ok(match status {
        status if status == Status::Accepted as u8 => Answer::Accepted,
        status if status == Status::Crossed as u8 => Answer::Crossed,
        status if status == Status::OtherCluster as u8 => {
            Answer::OtherCluster(read_cluster(reader).await.map_err(|_| io::ErrorKind::InvalidData)?)
        }
        status => Answer::Refused(status),
    })
}

/// Tells apart the processes that run under one name. It is drawn at random when a transport is bound.
#[cfg(feature = "quic")]
pub(crate) type Incarnation = [u8; 8];

#[cfg(feature = "quic")]
pub(crate) async fn read_incarnation(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Incarnation> {
    let mut incarnation = Incarnation::default();
    reader.read_exact(&mut incarnation).await?;
    Ok(incarnation)
}

/// Reads a hello. Memory is bounded by the three lengths of one byte.
pub(crate) async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
    let mut start = [0; 5];
    stream.read_exact(&mut start).await?;
    if start[..4] != MAGIC {
        return Err(HelloError::Malformed);
    }
    if start[4] != VERSION {
        return Err(HelloError::OtherVersion);
    }
    Ok(Hello { cluster: read_cluster(stream).await?, from: read_name(stream).await?, to: read_name(stream).await? })
}

/// Answers a hello. `own` is this node's cluster, which a node of another cluster is told.
pub(crate) async fn answer(
    stream: &mut (impl AsyncWrite + Unpin),
    status: Status,
    own: &ClusterName,
) -> io::Result<()> {
    stream.write_all(&encode_answer(status, own)?).await?;
    stream.flush().await
}

async fn read_name(stream: &mut (impl AsyncRead + Unpin)) -> Result<PeerId, HelloError> {
    let name = read_text(stream).await?;
    if name.is_empty() { Err(HelloError::Malformed) } else { Ok(PeerId::from(name.as_str())) }
}

async fn read_cluster(stream: &mut (impl AsyncRead + Unpin)) -> Result<ClusterName, HelloError> {
    ClusterName::new(&read_text(stream).await?).map_err(|_| HelloError::Malformed)
}

async fn read_text(stream: &mut (impl AsyncRead + Unpin)) -> Result<String, HelloError> {
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).map_err(|_| HelloError::Malformed)
}

fn encode_hello(hello: &Hello) -> io::Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    for text in [hello.cluster.as_str(), hello.from.as_str(), hello.to.as_str()] {
        encode_text(text, &mut bytes)?;
    }
    Ok(bytes)
}

fn encode_answer(status: Status, own: &ClusterName) -> io::Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION, status as u8]);
    if status == Status::OtherCluster {
        encode_text(own.as_str(), &mut bytes)?;
    }
    Ok(bytes)
}

fn encode_text(text: &str, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.push(u8::try_from(text.len()).map_err(io::Error::other)?);
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = b"AENT\x02\x04test\x06node-1\x02\xC3\xA9";

    fn cluster(name: &str) -> ClusterName {
        ClusterName::new(name).unwrap()
    }

    #[tokio::test]
    async fn the_hello_has_these_bytes() {
        let hello = Hello { cluster: cluster("test"), from: "node-1".into(), to: "\u{e9}".into() };
        assert_eq!(encode_hello(&hello).unwrap(), GOLDEN);
        assert_eq!(read_hello(&mut &GOLDEN[..]).await, Ok(hello));
    }

    #[test]
    fn the_answer_has_these_bytes() {
        let answer = |status| encode_answer(status, &cluster("test")).unwrap();
        assert_eq!(answer(Status::Accepted), b"AENT\x02\x00");
        assert_eq!(answer(Status::TooManyConnections), b"AENT\x02\x04");
        assert_eq!(answer(Status::OtherCluster), b"AENT\x02\x07\x04test");
    }

    #[tokio::test]
    async fn every_truncation_and_other_malformed_hellos_are_refused() {
        for end in 0..GOLDEN.len() {
            assert_eq!(read_hello(&mut &GOLDEN[..end]).await, Err(HelloError::Malformed), "{end}");
        }
        let long = [b"AENT\x02\x41", &[b'c'; 65][..], b"\x01a\x01b"].concat();
        for malformed in [
            &b"AENU\x02\x01c\x01a\x01b"[..],
            b"AENT\x02\x00\x01a\x01b",
            b"AENT\x02\x01 \x01a\x01b",
            &long,
            b"AENT\x02\x01c\x00\x01b",
            b"AENT\x02\x01c\x01a\x00",
            b"AENT\x02\x01c\x01\xFF\x01b",
        ] {
            assert_eq!(read_hello(&mut &*malformed).await, Err(HelloError::Malformed), "{malformed:?}");
        }
        for other in [b"AENT\x01", b"AENT\x03"] {
            assert_eq!(read_hello(&mut &other[..]).await, Err(HelloError::OtherVersion));
        }
    }

    #[tokio::test]
    async fn answers_are_read_as_they_are_written() {
        let other = Answer::OtherCluster(cluster("staging"));
        for (said, understood) in [
            (&b"AENT\x02\x00"[..], Some(Answer::Accepted)),
            (b"AENT\x02\x02", Some(Answer::Refused(2))),
            (b"AENT\x02\x06", Some(Answer::Crossed)),
            (b"AENT\x02\x07\x07staging", Some(other)),
            (b"AENT\x01\x00", Some(Answer::Refused(0))),
            (b"AENT\x03\x07", Some(Answer::Refused(7))),
            (b"AEN", None),
            (b"AENT\x02\x07\x07stag", None),
            (b"AENT\x02\x07\x00", None),
        ] {
            let (mut near, mut far) = tokio::io::duplex(1_024);
            far.write_all(said).await.unwrap();
            far.shutdown().await.unwrap();
            let hello = Hello { cluster: cluster("test"), from: "a".into(), to: "b".into() };
            assert_eq!(greet(&mut near, &hello).await.ok(), understood, "{said:?}");
        }
    }
}
