//! Why a replica refuses what its peer sends: one list for frames, sessions, batches and pushes.

use alloc::string::String;
use alloc::vec::Vec;

use crate::KeyHash;
use crate::clock::{Dot, ReplicaId};
use crate::replica::Error;

/// Why this replica or its peer refused a frame, a session, a batch or a push. Nothing was changed.
///
/// Trying again does not help until the cause is removed, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The entries do not match the digest that was sent with them. The two replicas are compared again, in another
    /// way.
    #[error("the batch does not add up to the sender's digest; it will be compared again")]
    NotCertified,
    /// The batch names a version or a part that this replica does not hold any more. The peer sends it in full.
    #[error("the batch names content that is not held here; it will be sent whole")]
    MissingContent,
    /// The bytes do not parse, are not canonical, or are out of order. The peer runs broken software, or lies.
    #[error("what was sent is malformed: {0}; look at the peer's release")]
    Malformed(&'static str),
    /// The clock of a batch does not cover one of its writes.
    #[error("the write {0} is not covered by the clock that it came with; look at the peer's release")]
    UncoveredWrite(Dot),
    /// The writer policy does not admit this writer.
    #[error("the writer {0} is not admitted here; add it to the allow-list if it is one of yours")]
    WriterNotAdmitted(ReplicaId),
    /// The clock would name more replicas than [`ReplicaConfig::max_clock_replicas`](crate::replica::ReplicaConfig::max_clock_replicas).
    #[error(
        "the clock would name {replicas} replicas and the limit is {limit}; raise max_clock_replicas if they are yours"
    )]
    TooManyReplicas {
        /// The number of replicas that the clock would name.
        replicas: usize,
        /// The limit.
        limit: usize,
    },
    /// The context would be cut into more pieces than
    /// [`ReplicaConfig::PIECES_OF_PEERS`](crate::replica::ReplicaConfig::PIECES_OF_PEERS) times
    /// [`ReplicaConfig::max_context_pieces`](crate::replica::ReplicaConfig::max_context_pieces).
    #[error("the context would have {pieces} pieces and the limit is {limit}; a complete synchronisation mends it")]
    TooManyPieces {
        /// The number of pieces that the context would have.
        pieces: usize,
        /// The limit.
        limit: usize,
    },
    /// The pieces of the context would have more counters, counted as replicas times pieces, than
    /// [`ReplicaConfig::PIECES_OF_PEERS`](crate::replica::ReplicaConfig::PIECES_OF_PEERS) times
    /// [`ReplicaConfig::max_context_counters`](crate::replica::ReplicaConfig::max_context_counters).
    #[error(
        "the pieces of the context would have {counters} counters and the limit is {limit}; a complete synchronisation mends it; raise max_context_counters if the replicas are yours"
    )]
    TooManyCounters {
        /// The number of counters.
        counters: usize,
        /// The limit.
        limit: usize,
    },
    /// The peer would add more replicas to the clocks, or more pieces to the context, than
    /// [`ReplicaConfig::new_replicas_per_hour`](crate::replica::ReplicaConfig::new_replicas_per_hour) or
    /// [`new_pieces_per_hour`](crate::replica::ReplicaConfig::new_pieces_per_hour) leave to it for now. It gets in once the
    /// peer has saved up for it; replicas also when another peer names them too.
    #[error(
        "the peer names {new} replicas or pieces that are new here, and {left} are left to it for now; raise new_replicas_per_hour or new_pieces_per_hour if they are yours"
    )]
    GrowsTooFast {
        /// How many are new.
        new: usize,
        /// How many more the peer may add now.
        left: usize,
    },
    /// What was sent at the key with this hash does not decode here, or belongs to another key with the same hash: the
    /// peer has a newer release, usually. A session leaves this key out and joins all else; a push is left to that.
    #[error("what was sent at {0} cannot be read here; upgrade this replica if the peer's release is newer")]
    Unreadable(KeyHash),
    /// More keys would be left out than [`ReplicaConfig::max_holes`](crate::replica::ReplicaConfig::max_holes) allows.
    #[error("{holes} keys would be left out and the limit is {limit}; upgrade this replica, or raise max_holes")]
    TooManyHoles {
        /// The number of keys that would be left out.
        holes: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch that lists all entries of a range would make this replica read more keys that it does not list than
    /// [`ReplicaConfig::MAX_UNLISTED`](crate::replica::ReplicaConfig::MAX_UNLISTED).
    #[error(
        "{unlisted} keys are held in the range of a whole batch and the limit is {limit}; look at the peer's release"
    )]
    TooManyUnlisted {
        /// The number of keys that this replica holds and the batch does not list.
        unlisted: u64,
        /// The limit.
        limit: u64,
    },
    /// Both sides have seen the same writes at this key but hold different versions: one of the stores is damaged.
    /// Nothing is joined, so that the damage does not spread. Audit both replicas, and wipe the damaged one.
    #[error("both sides have seen the same and hold different versions at {0}; audit both, and wipe the damaged one")]
    EqualClocksDiffer(KeyHash),
    /// The two replicas have different [`schema_id`](crate::SessionConfig::schema_id)s.
    #[error("the two sides' settings differ; give all replicas the same schema_id")]
    SchemaId,
    /// The peer does not support any protocol version of this release. Upgrade the older side.
    #[error("the peer speaks protocol versions {min} to {max}; upgrade the older side")]
    Version {
        /// The lowest version that the peer supports.
        min: u8,
        /// The highest version that the peer supports.
        max: u8,
    },
    /// The peer refused what this replica sent, for this reason.
    #[error("the peer refuses what it was sent: {0}")]
    ByPeer(String),
    /// The peer sends a message longer than
    /// [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes).
    #[error("the peer's message is longer than max_message_bytes")]
    MessageTooLong,
    /// The peer asked for one reply more often than [`SessionConfig::max_repeats`](crate::SessionConfig::max_repeats)
    /// allows: frames to it are lost, or it wants to be sent much for little. It is left alone for a while.
    #[error("the peer asked more than {limit} times again for one reply; look at its link, and at what it runs")]
    TooManyRepeats {
        /// The limit.
        limit: u32,
    },
    /// An entry of this replica is longer than
    /// [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes). Raise that limit on all replicas.
    #[error("an entry is longer than max_message_bytes; raise it on all replicas")]
    EntryTooLong,
    /// A frame is shorter than its header.
    #[error("the frame is cut short")]
    FrameTooShort,
    /// The frame has a protocol version that this release does not support.
    #[error("the frame is of protocol version {version}, which is not spoken here")]
    FrameVersion {
        /// The frame's version.
        version: u8,
        /// The session that the frame belongs to.
        session: u64,
    },
    /// The frame has a kind that its protocol version does not define.
    #[error("the frame is of the unknown kind {0}")]
    FrameKind(u8),
    /// The frame has no checksum, although this replica requires one.
    #[error("the frame has no checksum, and the transport does not authenticate")]
    FrameUnchecked,
    /// The checksum does not match the frame's bytes.
    #[error("the frame is damaged: its checksum is wrong")]
    FrameDamaged,
    /// The numbers in the frame's header contradict each other.
    #[error("the frame's header is malformed")]
    FrameHeader,
    /// The peer has met a copy of this replica, which has made other writes under the same id. This replica has taken a
    /// new id ([`Notice::Renamed`](crate::Notice::Renamed)), and the next session succeeds. End one of the two.
    #[error("the peer has met a copy of this replica, which goes on under a new id; end one of the two")]
    IdInUse,
    /// The peer makes writes under the id of another replica that this one has met, or of this one. It was told so, and the
    /// next session succeeds once it has taken another id. Nothing was joined. End one of the two.
    #[error("the peer is a copy of another replica, which makes writes under the same id; end one of the two")]
    CopyOfAnother,
    /// A peer says that somebody else makes writes under this replica's id, and peers have made this replica take
    /// [`GossipConfig::max_renamings_per_day`](crate::GossipConfig::max_renamings_per_day) new ids already. It keeps its
    /// id for now and joins nothing with that peer, so that nothing is lost. Look for a copy of this replica, and inspect the
    /// peers that say so.
    #[error(
        "the peer says that this replica's id is in use, and no new id is left in this day: look for a copy of this replica, and inspect the peer"
    )]
    NoNewIdLeft,
    /// A peer has seen more of this replica's writes than it made: this replica was put back to an earlier state, or the
    /// peer lies. The replica has taken a new id ([`Notice::Renamed`](crate::Notice::Renamed)), and the next session
    /// succeeds. A peer that goes on claiming such writes is left alone, longer each time.
    #[error(
        "the peer has seen {claimed} writes of this replica, which made {made} and goes on under a new id; inspect the peer if it claims that again"
    )]
    ClaimsMyWrites {
        /// The number of writes that the peer claims to have seen.
        claimed: u64,
        /// The number of writes that this replica made.
        made: u64,
    },
}

/// Why a batch or a push was not taken in: the peer's doing, or this replica's own store.
#[derive(Debug)]
pub(crate) enum NotTaken {
    Refused(Refusal),
    /// What was sent at these keys cannot be read here. Without it, the batch can be taken in.
    Unreadable(Vec<KeyHash>),
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
