//! Building scenarios in code.

use super::{Fault, Gossip, Links, Scenario, Step, Workload};
use crate::history::{KeyIndex, NodeIndex};

impl Scenario {
    /// A scenario of this many nodes on a local network without faults, 30 seconds long, with eight keys and no operations.
    ///
    /// ```
    /// use anti_entropy_sim::scenario::{Fault, Scenario};
    ///
    /// let split = Fault::Split { groups: vec![vec![0, 1], vec![2, 3, 4]] };
    /// let scenario = Scenario::new("parted", 5).operations(100).step(5_000, 25_000, [], split);
    /// scenario.check()?;
    /// # Ok::<(), anti_entropy_sim::scenario::ScenarioError>(())
    /// ```
    pub fn new(name: impl Into<String>, nodes: NodeIndex) -> Self {
        Self {
            name: name.into(),
            nodes,
            keys: super::default_keys(),
            duration_ms: 30_000,
            at_least_ms: 0,
            peers: 0,
            never_back: Vec::new(),
            compacts: false,
            commit_us: 0,
            heap_bytes: None,
            gossip: Gossip::default(),
            links: Links::default(),
            healed_links: Links::default(),
            workload: Workload::default(),
            steps: Vec::new(),
            operations: Vec::new(),
        }
    }

    /// Sets how many keys are written.
    pub fn keys(mut self, keys: KeyIndex) -> Self {
        self.keys = keys;
        self
    }

    /// Sets how long faults and operations last.
    pub fn duration_ms(mut self, duration_ms: u64) -> Self {
        self.duration_ms = duration_ms;
        self
    }

    /// Sets the least time that is simulated in all.
    pub fn at_least_ms(mut self, at_least_ms: u64) -> Self {
        self.at_least_ms = at_least_ms;
        self
    }

    /// Sets how many operations of clients are drawn from the seed.
    pub fn operations(mut self, operations: u32) -> Self {
        self.workload.operations = operations;
        self
    }

    /// Sets the properties of all links until the network heals.
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Sets the properties of all links after the network has healed.
    pub fn healed_links(mut self, links: Links) -> Self {
        self.healed_links = links;
        self
    }

    /// Sets the gossip settings of all nodes.
    pub fn gossip(mut self, gossip: Gossip) -> Self {
        self.gossip = gossip;
        self
    }

    /// Adds a fault that affects these nodes from `start_ms` to `end_ms`.
    pub fn step(
        mut self,
        start_ms: u64,
        end_ms: u64,
        nodes: impl IntoIterator<Item = NodeIndex>,
        fault: Fault,
    ) -> Self {
        self.steps.push(Step { start_ms, end_ms, nodes: nodes.into_iter().collect(), fault });
        self
    }

    /// Sets the nodes that do not come back.
    pub fn never_back(mut self, nodes: impl IntoIterator<Item = NodeIndex>) -> Self {
        self.never_back = nodes.into_iter().collect();
        self
    }
}
