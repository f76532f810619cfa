use std::net::SocketAddr;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;
use serde::{Deserialize, Serialize};

/// Another node that is up, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Its name. No other node has the same.
    pub name: PeerId,
    /// The address to which membership datagrams for it are sent.
    pub address: SocketAddr,
    /// The address to which the data transport connects.
    pub transport: SocketAddr,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// A number that grows when the node restarts, and when it comes back after it was declared down.
    pub generation: u32,
}

/// A change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipEvent {
    /// A node has joined, or has come back. Its announcements follow at once as [`Announced`](Self::Announced), if any
    /// are known.
    Up {
        /// The node.
        member: Member,
    },
    /// A node has left, or has failed.
    Down {
        /// Its name.
        peer: PeerId,
    },
    /// A node has restarted, or has changed its addresses or its zone.
    Changed {
        /// The node as it is now.
        member: Member,
    },
    /// A member announces the state of its replica of a space. The event is repeated while the state stays the same.
    Announced {
        /// The member.
        peer: PeerId,
        /// The space.
        space: u64,
        /// The digest of the replica's state.
        state: StateDigest,
    },
}
