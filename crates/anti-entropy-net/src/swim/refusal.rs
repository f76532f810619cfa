use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::refusal_reasons::refusal_reasons;

/// A datagram that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatagramRefusal {
    /// The sender's address, which may be forged.
    pub from: SocketAddr,
    /// Why it was refused.
    pub reason: DatagramRefusalReason,
    /// What else is known, for a person to read: both names if it is of another cluster. Empty if there is nothing.
    pub detail: String,
}

impl fmt::Display for DatagramRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.from, self.reason)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

refusal_reasons! {
    /// Why a membership datagram was refused. Each reason has a counter in [`RefusedDatagrams`].
    #[serde(rename_all = "snake_case")]
    enum DatagramRefusalReason;

    /// How many datagrams were refused, by reason.
    struct RefusedDatagrams;

    /// It is shorter or longer than any datagram of this protocol.
    Length length "it is shorter or longer than a membership datagram";
    /// It is of another version of the protocol, or of another protocol.
    OtherVersion other_version "it is of another version, or of another protocol";
    /// Its kind is unknown.
    UnknownKind unknown_kind "its kind is not known";
    /// It is a hello of a cluster of another name that has the same key.
    OtherCluster other_cluster "it is of another cluster";
    /// It cannot be decrypted: it was encrypted with another cluster key, or for another node or an earlier process of
    /// this one, or it was changed on its way.
    NotOpened not_opened "it was encrypted with another cluster key or for another process of a node, or changed on its way";
    /// It was received before.
    Replayed replayed "it was received before";
    /// It is so old that this node no longer knows whether it was received before.
    TooOld too_old "it is too old to tell whether it was received before";
    /// Its sender, a process of a peer, has not introduced itself.
    NoSession no_session "its sender has not introduced itself";
    /// It answers nothing that this node asked lately.
    Unasked unasked "it answers nothing that was asked lately";
    /// This node sent it itself.
    OwnEcho own_echo "this node sent it itself";
    /// It can be decrypted, but its contents are malformed.
    Malformed malformed "its contents are malformed";
    /// It asks for an answer, and too many were given in the last second.
    TooMany too_many "too many ask for an answer";
    /// There is no room for another session or member.
    NoRoom no_room "there is no room for another member";
}
