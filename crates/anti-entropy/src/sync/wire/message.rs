//! The messages of a session (docs/protocol.md, "Messages").

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::batch::Held;
use super::clocks::{HasSeen, SentBatch};
use super::lazy::Lazy;
use crate::KeyHash;
use crate::clock::Tally;
use crate::replica::{Claim, Life};
use crate::summary::compare::{Answer, Ask};
use crate::summary::sketch::Chunk;
use crate::summary::{Fingerprint, Root, Width};

/// A summary of what a side holds and has seen. A short hash of the context is enough: it only tells whether contexts
/// have to be joined, and the next write resolves a collision that happens by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) seen: Seen,
    /// What that would be if the side's holes held what peers say, where it has any that it does not want to try again.
    pub(crate) filled: Option<Filled>,
}

/// What a side holds and has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) root: Root,
    #[serde(with = "postcard::fixint::be")]
    pub(crate) context: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Filled {
    pub(crate) seen: Seen,
    /// The number of holes.
    pub(crate) keys: u64,
    /// The least limit of a peer that kept an entry from being sent. A peer with a greater one can send it now.
    pub(crate) peer_limit: Option<u64>,
}

/// How two sides are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Equality {
    /// The root that both have, or would have with their holes filled.
    pub(crate) root: Root,
    /// The number of keys at which they may differ all the same.
    pub(crate) keys: u64,
}

impl State {
    /// How this side and another are equal; `None` if they are not.
    pub(crate) fn equality(&self, other: &Self) -> Option<Equality> {
        if self.seen == other.seen {
            return Some(Equality { root: self.seen.root, keys: 0 });
        }
        let filled = |state: &Self| state.filled.map_or(state.seen, |filled| filled.seen);
        let keys = |state: &Self| state.filled.map_or(0, |filled| filled.keys);
        let is_equal = filled(self) == filled(other);
        is_equal.then(|| Equality { root: filled(self).root, keys: keys(self).saturating_add(keys(other)) })
    }
}

/// A message of the opener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Opens the session, or starts the comparison again.
    Open(Open),
    /// Asks for digests or entries of the answerer's snapshot.
    Ask(Ask),
    /// The opener's state of a range, relative to the answerer's snapshot.
    Batch(BatchRequest),
    /// Asks for the answerer's batch from this hash to the end of the range that the opener sent last.
    More {
        from: KeyHash,
        /// Whether all content is to be sent in full, since the opener does not hold something that was named.
        inline: bool,
        /// Keys at which the opener could not read what it was sent.
        unreadable: Vec<KeyHash>,
    },
    /// The opener ends the session, and says in which state it is. There is no reply.
    Close(State),
    /// The opener ends the session early. There is no reply.
    Abort,
    /// Asks which versions and parts the answerer holds at these keys, so that they need not be sent.
    Inventory(Vec<KeyHash>),
    /// The opener exchanges data with another peer meanwhile. There is no reply.
    Busy,
    /// Asks for cells of the answerer's snapshot, from an index on.
    Cells { start: u32, count: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) schema_id: u64,
    pub(crate) state: State,
    pub(crate) width: Width,
    /// The only places where a batch to the opener may end, if its context has no room for more.
    pub(crate) cuts: Option<Vec<KeyHash>>,
    /// How many entries the opener holds, and a summary of what it has seen, to estimate how much differs.
    pub(crate) entries: u64,
    pub(crate) tally: Tally,
    /// The most cells of a sketch that the opener accepts; 0 for no sketch.
    pub(crate) max_cells: u32,
    /// Under which id the opener writes: its first eight bytes, since most sessions find nothing.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) own: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchRequest {
    pub(crate) batch: SentBatch,
    /// The opener's state when it made the batch, if the range has no upper end. If the answerer is then in the same
    /// state, both are equal.
    pub(crate) state: Option<State>,
    /// What the opener has seen of the answerer's own writes. Checked before the batch is joined.
    pub(crate) claim: Claim,
    /// The opener's life.
    pub(crate) life: Life,
    /// What the opener can take in.
    pub(crate) takes: Takes,
}

/// What a side can take in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Takes {
    /// The most bytes of a message.
    pub(crate) max_message_bytes: u64,
    /// The fingerprints of entries that it could not read in earlier sessions, and need not be sent while they are the
    /// same.
    pub(crate) unreadable: BTreeMap<KeyHash, Fingerprint>,
}

/// A message of the answerer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Both sides are equal, but for keys at which one of them has a hole.
    Equal {
        /// At how many keys they may differ.
        keys: u64,
    },
    /// Root or context differ.
    Differs(Differs),
    /// The answerer exchanges data with another peer.
    Busy,
    /// Digests or entries that were asked for.
    Answer(Answer),
    /// The verdict on the opener's batch, and the answerer's own batch.
    Batch(BatchReply),
    /// Cells that were asked for, or the first of them.
    Cells(Chunk),
    /// The answerer refuses, for this reason.
    Refused(RefusalCode),
    /// What is held at the keys that were asked for.
    Inventory(Lazy<(KeyHash, Held)>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Differs {
    /// The number of the session in further requests, so that an old session cannot be replayed.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) nonce: u64,
    pub(crate) cuts: Option<Vec<KeyHash>>,
    /// Under which id the answerer writes: its first eight bytes.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) own: u64,
    /// What the answerer has seen of the opener's own writes. Checked before anything is joined.
    pub(crate) claim: Claim,
    /// The answerer's life.
    pub(crate) life: Life,
    /// How differences are found.
    pub(crate) first: First,
    /// What the answerer can take in.
    pub(crate) takes: Takes,
    /// What the answerer has seen, so that it is not sent again.
    pub(crate) seen: HasSeen,
}

/// The first step of discovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum First {
    /// Only the contexts differ.
    Nothing,
    /// Trees are compared. The answer to the question for all keys.
    Tree(Answer),
    /// A sketch is decoded. Its first cells.
    Cells(Chunk),
    /// Differences are not looked for, since the opener holds so few entries: it lists all of them.
    Bulk {
        /// How many entries the answerer holds.
        entries: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchReply {
    pub(crate) verdict: Verdict,
    /// The answerer's state of the range, or of its first part, relative to the opener's when that made its batch.
    /// `None` if they are equal.
    pub(crate) batch: Option<SentBatch>,
    /// The answerer's state now, if the opener has all of its entries with this reply.
    pub(crate) state: Option<State>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The batch was taken in.
    Joined,
    /// The batch did not match its digest.
    NotCertified,
    /// The batch names something that the answerer does not hold.
    MissingContent,
    /// The batch was refused for good, for this reason.
    Rejected(String),
    /// The batch was refused, since the answerer has met another life of the opener's id.
    IdInUse,
    /// The answerer cannot read what the batch holds at these keys. It can take in the rest.
    Unreadable(Vec<KeyHash>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefusalCode {
    /// The settings differ.
    Agreement,
    /// The request cannot be answered in this session.
    OutOfTurn,
    /// The answerer's budget for the session is used up.
    Budget,
    /// An entry at the answerer is longer than a message may be.
    EntryTooLong,
    /// The opener's message is longer than the answerer takes.
    MessageTooLong,
}

/// Decodes a message from exactly these bytes.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().and_then(|(message, rest)| rest.is_empty().then_some(message))
}

/// The common part of requests and replies: a message that ends the session early.
pub(crate) trait Message: Serialize {
    fn give_up(code: RefusalCode) -> Self;
}

impl Message for Request {
    fn give_up(code: RefusalCode) -> Self {
        match code {
            // Nothing is wrong, and the peer need not leave this side alone.
            RefusalCode::Budget => Self::Busy,
            _ => Self::Abort,
        }
    }
}

impl Message for Reply {
    fn give_up(code: RefusalCode) -> Self {
        Self::Refused(code)
    }
}
