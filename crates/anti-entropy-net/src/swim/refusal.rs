use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::refusal_reasons::refusal_reasons;

/// A datagram that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatagramRefusal {
    /// Where it came from, or said it did.
    pub from: SocketAddr,
    /// Why it was refused.
    pub reason: DatagramRefusalReason,
}

refusal_reasons! {
    /// Why a membership datagram was refused. Each reason has a counter in [`RefusedDatagrams`].
    #[serde(rename_all = "snake_case")]
    enum DatagramRefusalReason;

    /// How many datagrams were refused, by reason.
    struct RefusedDatagrams;

    /// Shorter or longer than any datagram of this protocol.
    Length length "it is shorter or longer than a membership datagram";
    /// Of another version of the protocol, or of another protocol.
    OtherVersion other_version "it is of another version, or of another protocol";
    /// Of no known kind.
    UnknownKind unknown_kind "its kind is not known";
    /// Sealed with another cluster key, or for another node or another life of this one, or changed on its way.
    NotOpened not_opened "it was sealed with another cluster key or for another life of a node, or damaged";
    /// Received before.
    Replayed replayed "it was received before";
    /// So old that it cannot be told whether it was received before.
    TooOld too_old "it is too old to tell whether it was received before";
    /// From a life of a peer that has not introduced itself.
    NoSession no_session "its sender has not introduced itself";
    /// An answer to nothing that was asked lately.
    Unasked unasked "it answers nothing that was asked lately";
    /// Sent by this node itself.
    OwnEcho own_echo "this node sent it itself";
    /// Sealed well, but its contents make no sense.
    Malformed malformed "its contents make no sense";
    /// Asked for an answer at a time when too many had been given.
    TooMany too_many "too many ask for an answer";
    /// There is no room for another session or member.
    NoRoom no_room "there is no room for another member";
}
