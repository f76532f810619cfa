//! Layer 5, gossip: whom to talk to, when, within which budget.

mod peer_id;

pub use peer_id::PeerId;
