use std::net::SocketAddr;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;
use serde::{Deserialize, Serialize};

/// Another node that is alive, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Its name: one node has one name.
    pub name: PeerId,
    /// Where it takes membership datagrams.
    pub address: SocketAddr,
    /// Where it takes the data transport's connections.
    pub transport: SocketAddr,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Grows when the node restarts, or comes back after it was declared down.
    pub generation: u32,
}

/// What happened in the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipEvent {
    /// A node has joined, or came back. What it announces follows at once, as [`Announced`](Self::Announced).
    Up {
        /// The node.
        member: Member,
    },
    /// A node has left, or failed.
    Down {
        /// Its name.
        peer: PeerId,
    },
    /// A node has restarted, or has other addresses or another zone than before.
    Changed {
        /// The node as it is now.
        member: Member,
    },
    /// A member announces the state of its replica of a space; it is told again while it stays valid.
    Announced {
        /// The member.
        peer: PeerId,
        /// The space.
        space: u64,
        /// The digest of the replica's state.
        state: StateDigest,
    },
}
