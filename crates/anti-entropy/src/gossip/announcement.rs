//! Announcements: a replica's state, in so few bytes that a failure detector's pings can carry it.

anti_entropy_summary::__opaque_bytes! {
    /// A digest of everything that a replica holds and has seen, and of its schema id, in 32 bytes: replicas with equal
    /// digests have nothing to tell each other (docs/protocol.md, "Announcements").
    pub struct StateDigest(32)
}

/// What a peer's announcement led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announced {
    /// The peer says that it holds the same. Rounds pass it over for a while, and for so many announcements.
    Equal,
    /// The peer holds something else, and a session with it was started.
    Differs,
    /// The peer holds something else, and no session was started: one was started a moment ago, or the peer failed and
    /// is in its back-off.
    DiffersStill,
    /// The engine has no such peer.
    UnknownPeer,
}
