//! Scenarios: what is simulated, as data: nodes, network, operations, and faults with their times.
//!
//! A scenario is written in TOML, made with the builder methods of [`Scenario`], or drawn from a seed by
//! [`Profile::draw`]. All three are the same plain data, which a failing run is shrunk to and replayed from.

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

pub use error::ScenarioError;
pub use fault::{Fault, Lie, Step};
pub use settings::{Gossip, Links, Mix, Preset, Sketches, Workload};
pub use shipped::shipped;

use crate::history::{KeyIndex, NodeIndex, OpKind};

/// What is simulated. Times are in milliseconds of simulated time since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in histories and messages.
    #[serde(default)]
    pub name: String,
    /// How many nodes there are, those that join later included.
    pub nodes: NodeIndex,
    /// How many keys are written.
    #[serde(default = "default_keys")]
    pub keys: KeyIndex,
    /// How long faults and operations go on. Then the network heals, and the core has to become equal.
    pub duration_ms: u64,
    /// The least time that is simulated in all: what is left after the core has become equal is spent in quiet.
    #[serde(default)]
    pub at_least_ms: u64,
    /// How many peers each node knows; all others if it is 0.
    #[serde(default)]
    pub peers: u32,
    /// Nodes that do not come back: they are down, or cut off, when the network heals, and the others have to become equal
    /// without them.
    #[serde(default)]
    pub never_back: Vec<NodeIndex>,
    /// The gossip of every node.
    #[serde(default)]
    pub gossip: Gossip,
    /// Every link while there are faults.
    #[serde(default)]
    pub links: Links,
    /// Every link after the network has healed.
    #[serde(default)]
    pub healed_links: Links,
    /// What clients do, drawn from the seed; nothing if `operations` says it one by one.
    #[serde(default)]
    pub workload: Workload,
    /// What goes wrong, and when.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// What clients do, one by one, in the order of time.
    #[serde(default, rename = "operation")]
    pub operations: Vec<Operation>,
}

fn default_keys() -> KeyIndex {
    8
}

/// What a client does at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When, in microseconds: many fit in a millisecond.
    pub at_us: u64,
    /// The client; what it has read at a key is what its [`OpKind::WriteSeen`] replaces.
    pub process: u32,
    /// The node that it asks.
    pub node: NodeIndex,
    /// What it asks for.
    pub op: OpKind,
    /// At which keys: one, or several that are changed in one transaction.
    pub keys: Vec<KeyIndex>,
}

/// From which swarm a seed draws its scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Profile {
    /// Every fault.
    #[default]
    Swarm,
    /// Five nodes, parted two to three, with writes on both sides.
    Partition,
    /// Crashes, wipes, restores and disks.
    Crash,
    /// Clocks that jump, drift and stand still.
    Clock,
    /// Lying members.
    Byzantine,
}
