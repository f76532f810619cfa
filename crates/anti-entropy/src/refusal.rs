//! Why two replicas refuse what they send each other: one list for frames, sessions, batches and pushes.

use alloc::string::String;

use crate::KeyHash;
use crate::clock::{Dot, ReplicaId};
use crate::replica::Error;

/// Why a frame, a session, a batch or a push was refused, by this replica or by its peer. Nothing was changed.
///
/// Trying again does not help until the reason is mended, except where it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What was sent does not add up to the state that it stands for; it is compared again by other means.
    #[error("the batch does not add up to the sender's digest; it will be compared again")]
    NotCertified,
    /// It names a version or part that is not held here (any more); it has to be sent.
    #[error("the batch names content that is not held here; it will be sent whole")]
    MissingContent,
    /// It does not parse, is not canonical or not in order. The peer runs broken software, or lies.
    #[error("what was sent is malformed: {0}; look at the peer's release")]
    Malformed(&'static str),
    /// A write is sent that the clock beside it does not cover.
    #[error("the write {0} is not covered by the clock that it came with; look at the peer's release")]
    UncoveredWrite(Dot),
    /// The writer policy does not admit a writer.
    #[error("the writer {0} is not admitted here; add it to the allow-list if it is one of yours")]
    WriterNotAdmitted(ReplicaId),
    /// The clock would name more replicas than [`ReplicaConfig::max_clock_replicas`](crate::replica::ReplicaConfig::max_clock_replicas).
    #[error(
        "the clock would name {replicas} replicas and the limit is {limit}; raise max_clock_replicas if they are yours"
    )]
    TooManyReplicas {
        /// How many it would name.
        replicas: usize,
        /// The limit.
        limit: usize,
    },
    /// The context would be cut into more pieces than
    /// [`ReplicaConfig::PIECES_OF_PEERS`](crate::replica::ReplicaConfig::PIECES_OF_PEERS) times
    /// [`ReplicaConfig::max_context_pieces`](crate::replica::ReplicaConfig::max_context_pieces).
    #[error("the context would have {pieces} pieces and the limit is {limit}; a complete synchronisation mends it")]
    TooManyPieces {
        /// How many it would have.
        pieces: usize,
        /// The limit.
        limit: usize,
    },
    /// A whole batch covers a range in which more is held here, and might have to be read for it, than
    /// [`ReplicaConfig::MAX_UNLISTED`](crate::replica::ReplicaConfig::MAX_UNLISTED).
    #[error(
        "{unlisted} keys are held in the range of a whole batch and the limit is {limit}; look at the peer's release"
    )]
    TooManyUnlisted {
        /// How many are held, and not listed.
        unlisted: u64,
        /// The limit.
        limit: u64,
    },
    /// Both sides have seen the same at this key and hold other versions: one of the stores is not sound. Nothing is joined, so
    /// that the damage does not spread; audit both replicas, and wipe the damaged one.
    #[error("both sides have seen the same and hold different versions at {0}; audit both, and wipe the damaged one")]
    EqualClocksDiffer(KeyHash),
    /// The two sides have different [`schema_id`](crate::SessionConfig::schema_id)s.
    #[error("the two sides' settings differ; give all replicas the same schema_id")]
    SchemaId,
    /// The peer speaks none of this release's protocol versions; upgrade the older side.
    #[error("the peer speaks protocol versions {min} to {max}; upgrade the older side")]
    Version {
        /// The lowest version that the peer speaks.
        min: u8,
        /// The highest version that the peer speaks.
        max: u8,
    },
    /// The peer refused what this replica sent, for this reason.
    #[error("the peer refuses what it was sent: {0}")]
    ByPeer(String),
    /// The peer sends a message that is longer than
    /// [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes).
    #[error("the peer's message is longer than max_message_bytes")]
    MessageTooLong,
    /// An entry here is longer than [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes); raise it
    /// on all replicas.
    #[error("an entry is longer than max_message_bytes; raise it on all replicas")]
    EntryTooLong,
    /// A frame is shorter than its header.
    #[error("the frame is cut short")]
    FrameTooShort,
    /// A frame is of a protocol version that is not spoken here.
    #[error("the frame is of protocol version {version}, which is not spoken here")]
    FrameVersion {
        /// The frame's version.
        version: u8,
        /// The session that it names, to be refused.
        session: u64,
    },
    /// The kind of a frame is unknown in its version.
    #[error("the frame is of the unknown kind {0}")]
    FrameKind(u8),
    /// A checksum is required here, and the frame has none.
    #[error("the frame has no checksum, and the transport does not authenticate")]
    FrameUnchecked,
    /// A frame's checksum is not that of its bytes.
    #[error("the frame is damaged: its checksum is wrong")]
    FrameDamaged,
    /// The numbers of a frame's header are impossible.
    #[error("the frame's header is malformed")]
    FrameHeader,
    /// For the second time since opening, a peer claims to have seen more of this replica's writes than it made.
    #[error(
        "the peer claims to have seen {claimed} writes of this replica, which made {made}; refuse or inspect the peer"
    )]
    ClaimsMyWrites {
        /// How many it claims.
        claimed: u64,
        /// How many were made.
        made: u64,
    },
}

/// Why a batch or a push was not taken in: the peer's doing, or this replica's own store.
#[derive(Debug)]
pub(crate) enum NotTaken {
    Refused(Refusal),
    Failed(Error),
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for NotTaken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
