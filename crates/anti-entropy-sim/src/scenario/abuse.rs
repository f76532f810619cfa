//! What a hostile member does.

use serde::{Deserialize, Serialize};

/// What a hostile member does, besides taking part as every member does. Nothing of it breaks the protocol in a way that a single
/// frame shows: a member that is slow or broken does much of it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Abuse {
    /// It takes a third of a session's time-out for each frame that it gets.
    SlowReader,
    /// It sends one frame in a third of a session's time-out to each peer.
    SlowWriter,
    /// It opens and answers sessions, and never says what became of a batch.
    NeverAcknowledges,
    /// It writes ten times a second, so that it always has a little more.
    AlwaysMore,
    /// It opens fifty sessions a second with each peer, and gives up half of them at once and the others without a word.
    OpensAndCloses,
    /// It repeats its last request to each peer twenty times a second.
    RepeatsRequests,
    /// It opens a session with each peer, and keeps it by one question in half of a session's time-out.
    HoldsTheSlot,
    /// It sends a hundred frames a second to each peer that are whole and mean nothing.
    Floods,
    /// It writes the largest values that the subject has, one a second, at three keys.
    LargestValues,
    /// It writes sixty siblings at one key.
    MostSiblings,
    /// It loses the proof of its id with each write, so that clocks get longer.
    LongestClocks,
    /// It says eight times that ids which it has made up have written, other ones in each of 64 ranges.
    MostPieces,
    /// It sends, once a second, a batch with one value that has a hundred thousand empty parts.
    EmptyParts,
    /// It tells each peer, in the name of all others, that they are equal, and says nothing else.
    SaysEqual,
    /// It pushes a hundred deletes in a frame, five times a second, and each is the next one of an id that it has made up.
    TinyPushes,
}

impl Abuse {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::SlowReader,
        Self::SlowWriter,
        Self::NeverAcknowledges,
        Self::AlwaysMore,
        Self::OpensAndCloses,
        Self::RepeatsRequests,
        Self::HoldsTheSlot,
        Self::Floods,
        Self::LargestValues,
        Self::MostSiblings,
        Self::LongestClocks,
        Self::MostPieces,
        Self::EmptyParts,
        Self::SaysEqual,
        Self::TinyPushes,
    ];

    /// What [`Profile::Hostile`](super::Profile::Hostile) does not draw, since it takes seconds to simulate; the rows of
    /// `tests/fairness.rs` and `tests/bytes.rs` have it.
    pub(crate) const SLOW_TO_SIMULATE: Self = Self::MostPieces;
}
