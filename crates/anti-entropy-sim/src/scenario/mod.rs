//! Scenarios: the nodes, network, operations and faults of a run, as plain data.
//!
//! A scenario is written in TOML, made with the builder methods of [`Scenario`], or drawn from a seed by [`Profile::draw`]. A
//! failing run is shrunk to a scenario too, from which it can be replayed.
//!
//! The structs here are test data, which tests write as struct literals. They are therefore exhaustive, and a release may add
//! fields to them. [`Scenario::check`] refuses values out of range and contradictions.

mod abuse;
mod builder;
mod check;
mod error;
mod expand;
mod fault;
pub(crate) mod random;
mod settings;
mod shipped;
mod swarm;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};

pub use abuse::Abuse;
pub use error::ScenarioError;
pub use fault::{DiskAge, Fault, Lie, Step};
pub use settings::{Gossip, Links, Mix, Preset, Sketches, Workload};
pub use shipped::shipped;
#[cfg(feature = "mutants")]
pub(crate) use swarm::dense;

use crate::history::{KeyIndex, NodeIndex, OpKind};

/// What is simulated. Times are milliseconds of simulated time since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name in histories and messages.
    #[serde(default)]
    pub name: String,
    /// How many nodes there are, those that join later included: 2 to [`MAX_NODES`](Self::MAX_NODES).
    pub nodes: NodeIndex,
    /// How many keys are written; at least 1.
    #[serde(default = "default_keys")]
    pub keys: KeyIndex,
    /// How long faults and operations last, 1 ms to a hundred years. Then the network heals, and the core has to become equal.
    pub duration_ms: u64,
    /// The least time that is simulated in all, a hundred years at most. If the core is equal earlier, the rest is quiet.
    #[serde(default)]
    pub at_least_ms: u64,
    /// How many peers each node knows, fewer than there are nodes. 0 stands for all other nodes.
    #[serde(default)]
    pub peers: u32,
    /// Nodes that do not come back: they are down or cut off when the network heals, and the others have to become equal without
    /// them. At least two others have to be left.
    #[serde(default)]
    pub never_back: Vec<NodeIndex>,
    /// Whether nodes write back what their resolver makes of concurrent versions; by default that is left to the subject's
    /// resolver.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compacts: bool,
    /// How long a commit takes at every node, at all times; at most an hour. By default it takes no time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub commit_us: u64,
    /// How many bytes a node may have on the heap besides its store, where they are counted; no limit by default. See
    /// [`count_heap`](crate::world::count_heap).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap_bytes: Option<u64>,
    /// The gossip settings of all nodes.
    #[serde(default)]
    pub gossip: Gossip,
    /// The properties of all links until the network heals.
    #[serde(default)]
    pub links: Links,
    /// The properties of all links after the network has healed. Some frames have to arrive whole.
    #[serde(default)]
    pub healed_links: Links,
    /// Operations of clients that are drawn from the seed. It has to be empty if there are `operations`.
    #[serde(default)]
    pub workload: Workload,
    /// The faults, and when they happen.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// The operations of clients one by one, in the order of time.
    #[serde(default, rename = "operation")]
    pub operations: Vec<Operation>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn default_keys() -> KeyIndex {
    8
}

/// An operation of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When the client asks, in microseconds, and not in milliseconds, since many operations happen in a millisecond.
    pub at_us: u64,
    /// The client. Its [`OpKind::WriteSeen`] and [`OpKind::DeleteSeen`] replace what this client has read at the key.
    pub process: u32,
    /// The node that the client asks.
    pub node: NodeIndex,
    /// The kind of the operation; not [`OpKind::Compact`].
    pub op: OpKind,
    /// The keys: one, or several that are changed in one transaction. A read has one key.
    pub keys: Vec<KeyIndex>,
}

/// What kind of scenario a seed draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Profile {
    /// Every fault except lies.
    #[default]
    Swarm,
    /// Five nodes, partitioned two to three, with writes on both sides.
    Partition,
    /// Crashes, wiped and restored stores, and failing disks.
    Crash,
    /// Clocks that jump, drift and stand still.
    Clock,
    /// Lying members.
    Byzantine,
    /// Few nodes, few keys, and many operations within seconds.
    Dense,
    /// Machines that are put back or cloned, constant seeds, and lies about the counters of others: names of writes are used
    /// twice.
    Twice,
    /// One member that is slow, broken or hostile, and goes on when everything else is over: the others have to become equal all
    /// the same.
    Hostile,
}
