//! `engram_core::cluster`: membership, its messages and their transport, and where spaces are placed.

pub mod assignment;
pub mod config;
pub mod consolidated; // Guide: with #[cfg(feature = "cluster_consolidation")] there.
pub mod error;
pub mod membership;
pub mod placement;
pub mod transport;

pub use assignment::{CachedAssignment, SpaceAssignmentManager};
pub use error::ClusterError;
pub use membership::{
    MembershipUpdate, NodeInfo, NodeState, SwimHandle, SwimMembership, SwimMessage, SwimObserver, SwimRuntime,
};
pub use placement::{SpaceAssignment, SpaceAssignmentPlanner};
pub use transport::{SwimTrailers, SwimTransport}; // Guide: SwimTrailers.
