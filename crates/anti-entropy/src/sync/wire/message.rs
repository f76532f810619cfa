//! What the two sides of a session say to each other (docs/protocol.md, "Messages").

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Inventory};
use crate::KeyHash;
use crate::clock::{RangeClocks, Tally};
use crate::summary::compare::{Answer, Ask};
use crate::summary::sketch::Chunk;
use crate::summary::{Root, Width};

/// What a side holds and has seen, in short. A short hash of the context is enough here: it only says whether contexts
/// need joining, and a collision by chance is mended by the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) root: Root,
    #[serde(with = "postcard::fixint::be")]
    pub(crate) context: u64,
}

/// What the opener says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Opens the session, or starts the comparison again.
    Open(Open),
    /// Asks for digests or entries of the answerer's snapshot.
    Ask(Ask),
    /// The opener's state of a range, against the answerer's snapshot.
    Batch(BatchRequest),
    /// Asks for the answerer's batch from here to the end of the range that the opener sent last.
    More {
        from: KeyHash,
        /// Whether all content is to be sent, since some that was named is not held.
        inline: bool,
    },
    /// The opener is through, and says how it is now; there is no reply.
    Close(State),
    /// The opener gives up; there is no reply.
    Abort,
    /// Asks which versions and parts the answerer holds at these keys, so that they need not be sent.
    Inventory(Vec<KeyHash>),
    /// The opener has got into a transfer with somebody else; there is no reply.
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
    /// How many entries the opener holds, and how much it has seen: by how much the two may differ.
    pub(crate) entries: u64,
    pub(crate) tally: Tally,
    /// How many cells of a sketch the opener takes at most; 0 if it wants none.
    pub(crate) max_cells: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchRequest {
    pub(crate) batch: Batch,
    /// The opener's state when it made the batch, if the batch ends at the top: who is in it then is done.
    pub(crate) state: Option<State>,
}

/// What the answerer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Root and context are equal.
    Equal,
    /// Something differs.
    Differs(Differs),
    /// The answerer is in a transfer with somebody else.
    Busy,
    /// Digests or entries that were asked for.
    Answer(Answer),
    /// What became of the opener's batch, and the answerer's own.
    Batch(BatchReply),
    /// Cells that were asked for: as many, or the first of them.
    Cells(Chunk),
    /// The answerer refuses, and why.
    Refused(RefusalCode),
    /// What is held at the keys that were asked for.
    Inventory(Inventory),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Differs {
    /// The number that names the session in further requests, so that an old session cannot be replayed.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) nonce: u64,
    pub(crate) cuts: Option<Vec<KeyHash>>,
    /// What the answerer has seen, so that it is not sent, if that is short.
    pub(crate) seen: Option<RangeClocks>,
    /// How to find out what differs.
    pub(crate) first: First,
}

/// The first step of finding what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum First {
    /// Only the contexts differ.
    Nothing,
    /// By comparing the trees: what Ask for the whole space would be answered.
    Tree(Answer),
    /// By a sketch: its first cells.
    Cells(Chunk),
    /// Not at all, since the opener holds so little of what the answerer does: it says what that is, in whole batches.
    Bulk {
        /// How many entries the answerer holds.
        entries: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchReply {
    pub(crate) verdict: Verdict,
    /// The answerer's state of the range, or the first part of it, against the opener's when it made its batch. None if
    /// they are equal.
    pub(crate) batch: Option<Batch>,
    /// The answerer's state now, if with this reply the opener has all of it up to the top.
    pub(crate) state: Option<State>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The batch was taken in.
    Joined,
    /// It did not add up.
    NotCertified,
    /// It names something that is not held.
    MissingContent,
    /// It was not taken in, and will not be.
    Rejected(String),
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

/// Reads a message; all of the bytes, or it is none.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().and_then(|(message, rest)| rest.is_empty().then_some(message))
}

/// What both kinds of message have in common: a way to give up.
pub(crate) trait Message: Serialize {
    fn give_up(code: RefusalCode) -> Self;
}

impl Message for Request {
    fn give_up(_code: RefusalCode) -> Self {
        Self::Abort
    }
}

impl Message for Reply {
    fn give_up(code: RefusalCode) -> Self {
        Self::Refused(code)
    }
}
