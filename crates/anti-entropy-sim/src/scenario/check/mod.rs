//! Checking that a scenario can be simulated.

mod absence;
mod refuse;
mod steps;

use std::collections::BTreeSet;

pub(super) use absence::{Absence, absences, clashes};
pub(super) use refuse::invalid;
use refuse::{Checked, MAX_MS, MAX_NUMBER, require};

use super::{Gossip, Links, Mix, Operation, Scenario, ScenarioError};
use crate::history::{NodeIndex, OpKind};

impl Scenario {
    /// The greatest number of nodes.
    pub const MAX_NODES: NodeIndex = 10_000;

    /// Checks that every value is in its range, and that none contradicts another.
    ///
    /// ```
    /// use anti_entropy_sim::scenario::{Fault, Scenario};
    ///
    /// let error = Scenario::new("typo", 3).step(0, 1_000, [3], Fault::Wipe).check().unwrap_err();
    /// assert_eq!(error.to_string(), "step 1 (wipe): there is no node 3; the last one is 2");
    /// ```
    ///
    /// # Errors
    /// The first value that is wrong, its place, and what to do.
    pub fn check(&self) -> Result<(), ScenarioError> {
        self.check_sizes()?;
        self.gossip.check()?;
        self.links.check("links")?;
        self.healed_links.check("healed_links")?;
        let lost = self.healed_links.loss_permille.max(self.healed_links.corrupt_permille);
        require(lost.max(self.healed_links.truncate_permille) < 1_000, "healed_links", || {
            "no frame would arrive, and the core could never become equal; take less than 1000".into()
        })?;
        steps::check(self)?;
        self.check_core()?;
        self.check_operations()
    }

    fn check_sizes(&self) -> Checked {
        require((2..=Self::MAX_NODES).contains(&self.nodes), "nodes", || {
            format!("{} is not from 2 to {}", self.nodes, Self::MAX_NODES)
        })?;
        require(self.keys > 0, "keys", || "there has to be at least 1".into())?;
        require((1..=MAX_MS).contains(&self.duration_ms), "duration_ms", || {
            format!("{} is not from 1 to {MAX_MS}, a hundred years", self.duration_ms)
        })?;
        require(self.at_least_ms <= MAX_MS, "at_least_ms", || format!("it is more than {MAX_MS}, a hundred years"))?;
        require(self.commit_us <= 3_600_000_000, "commit_us", || "it is more than an hour; take less".into())?;
        require(self.peers < self.nodes, "peers", || {
            format!("a node has at most {} peers; 0 stands for all of them", self.nodes - 1)
        })
    }

    /// At least two nodes have to be there at the beginning, and at least two have to be left to become equal.
    fn check_core(&self) -> Checked {
        self.check_nodes("never_back", &self.never_back)?;
        let mut outside = self.never_back.iter().copied().collect::<BTreeSet<_>>();
        outside.extend((0..self.nodes).filter(|node| self.is_hostile(*node)));
        let mut later = BTreeSet::new();
        for step in &self.steps {
            let nodes = step.joining().iter().copied();
            if step.end_ms < self.duration_ms {
                outside.extend(nodes.clone());
            }
            later.extend(nodes);
        }
        let left = |gone: &BTreeSet<NodeIndex>| u64::from(self.nodes) - gone.len() as u64;
        require(left(&outside) >= 2, "never_back", || {
            "with the nodes that join and leave again, and hostile ones, fewer than 2 nodes are left to become equal; take some out"
                .into()
        })?;
        require(left(&later) >= 2, "step", || "fewer than 2 nodes are there from the beginning; let fewer join".into())
    }

    fn check_nodes(&self, place: &str, nodes: &[NodeIndex]) -> Checked {
        let mut met = BTreeSet::new();
        for node in nodes {
            require(*node < self.nodes, place, || {
                format!("there is no node {node}; the last one is {}", self.nodes - 1)
            })?;
            require(met.insert(node), place, || format!("node {node} stands there twice; name it once"))?;
        }
        Ok(())
    }

    fn check_operations(&self) -> Checked {
        require(self.operations.is_empty() || self.workload.operations == 0, "workload", || {
            "it is not used when there are operations one by one; set its operations to 0, or remove those".into()
        })?;
        require(self.workload.operations == 0 || self.workload.mix.total() > 0, "workload.mix", || {
            "every weight is 0; give at least one kind of operation a weight".into()
        })?;
        let mut before = 0;
        for (number, operation) in self.operations.iter().enumerate() {
            let place = format!("operation {}", number + 1);
            require(operation.at_us >= before, &place, || {
                format!("it is at {}, before the one ahead of it; sort them by time", operation.at_us)
            })?;
            before = operation.at_us;
            self.check_operation(&place, operation)?;
        }
        Ok(())
    }

    fn check_operation(&self, place: &str, operation: &Operation) -> Checked {
        require(operation.at_us <= self.duration_ms * 1_000, place, || {
            format!("it is at {} microseconds, after the {} ms of the scenario", operation.at_us, self.duration_ms)
        })?;
        self.check_nodes(place, &[operation.node])?;
        require(operation.op != OpKind::Compact, place, || "nodes compact on their own; clients cannot ask".into())?;
        require(!operation.keys.is_empty(), place, || "it names no key".into())?;
        require(operation.op != OpKind::Read || operation.keys.len() == 1, place, || {
            "a read is of one key; make it several".into()
        })?;
        let mut met = BTreeSet::new();
        for key in &operation.keys {
            require(*key < self.keys, place, || format!("there is no key {key}; the last one is {}", self.keys - 1))?;
            require(met.insert(key), place, || format!("key {key} stands there twice; name it once"))?;
        }
        Ok(())
    }
}

impl Mix {
    /// The sum of the weights.
    pub(super) fn total(&self) -> u64 {
        let weights = [self.write, self.delete, self.read, self.write_seen, self.delete_seen, self.transaction];
        weights.into_iter().map(u64::from).sum()
    }
}

impl Links {
    /// The probabilities, by name.
    pub(crate) fn permilles(&self) -> [(&'static str, u16); 7] {
        [
            ("loss_permille", self.loss_permille),
            ("duplicate_permille", self.duplicate_permille),
            ("replay_permille", self.replay_permille),
            ("reorder_permille", self.reorder_permille),
            ("corrupt_permille", self.corrupt_permille),
            ("truncate_permille", self.truncate_permille),
            ("clog_permille", self.clog_permille),
        ]
    }

    fn check(&self, place: &str) -> Checked {
        for (name, permille) in self.permilles() {
            require(permille <= 1_000, place, || format!("{name} is {permille}, and cannot be more than 1000"))?;
        }
        let times = [("delay_min_us", self.delay_min_us), ("delay_mean_us", self.delay_mean_us)];
        for (name, us) in times.into_iter().chain([("clog_ms", self.clog_ms.saturating_mul(1_000))]) {
            require(us <= 3_600_000_000, place, || format!("{name} is more than an hour; take less"))?;
        }
        require(self.bytes_per_second <= MAX_NUMBER, place, || {
            "bytes_per_second is too large; 0 stands for no limit".into()
        })
    }
}

impl Gossip {
    fn check(&self) -> Checked {
        let times = [
            ("interval_ms", self.interval_ms),
            ("min_interval_ms", self.min_interval_ms),
            ("busy_retry_ms", self.busy_retry_ms),
            ("transfer_turn_ms", self.transfer_turn_ms),
            ("backoff_min_ms", self.backoff_min_ms),
            ("backoff_max_ms", self.backoff_max_ms),
            ("announce_ms", self.announce_ms),
            ("announcement_lifetime_ms", self.announcement_lifetime_ms),
            ("resend_after_ms", self.resend_after_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
        ];
        for (name, ms) in times.into_iter().filter_map(|(name, ms)| Some((name, ms?))) {
            require((1..=MAX_MS).contains(&ms), "gossip", || {
                format!("{name} is {ms}, and has to be from 1 to {MAX_MS}")
            })?;
        }
        let delay = self.push_delay_ms.unwrap_or_default();
        require(delay <= MAX_MS, "gossip", || format!("push_delay_ms is {delay}, and has to be from 0 to {MAX_MS}"))?;
        let number = |number: Option<usize>| number.map(|number| number as u64);
        let sizes = [
            ("fanout", number(self.fanout), 1),
            ("push_fanout", number(self.push_fanout), 1),
            ("max_queued_pushes", number(self.max_queued_pushes), 0),
            ("max_buffered_pushes", number(self.max_buffered_pushes), 0),
            ("max_buffered_bytes", number(self.max_buffered_bytes), 0),
            ("bytes_per_second", self.bytes_per_second.map(Into::into), 1),
            ("burst_bytes", self.burst_bytes.map(Into::into), 1),
            ("max_transfers", number(self.max_transfers.map(Into::into)), 1),
            ("max_sessions", number(self.max_sessions.map(Into::into)), 2),
            ("certify_every", self.certify_every.map(Into::into), 1),
            ("frame_bytes", number(self.frame_bytes), 512),
            ("batch_entries", number(self.batch_entries.map(Into::into)), 1),
            ("batch_bytes", number(self.batch_bytes), 1),
            ("bulk_after", self.bulk_after, 0),
            ("answer_bytes", number(self.answer_bytes), 1),
            ("sketch_cells", number(self.sketch_cells), 0),
            ("first_cells", number(self.first_cells), 0),
            ("clock_counters", number(self.clock_counters), 0),
            ("context_pieces", number(self.context_pieces.map(Into::into)), 1),
            ("clock_replicas", number(self.clock_replicas), 1),
            ("new_replicas", number(self.new_replicas), 1),
            ("first_message_bytes", number(self.first_message_bytes), 4096),
        ];
        for (name, size, least) in sizes.into_iter().filter_map(|(name, size, least)| Some((name, size?, least))) {
            require((least..=MAX_NUMBER).contains(&size), "gossip", || {
                format!("{name} is {size}, and has to be from {least} to {MAX_NUMBER}")
            })?;
        }
        let config = self.config();
        require(config.min_interval <= config.interval, "gossip", || {
            format!("min_interval_ms, {:?}, is more than interval_ms, {:?}", config.min_interval, config.interval)
        })?;
        require(config.backoff_min <= config.backoff_max, "gossip", || {
            format!("backoff_min_ms, {:?}, is more than backoff_max_ms, {:?}", config.backoff_min, config.backoff_max)
        })?;
        // What the engine would refuse, in its own words.
        let refused = config.validate().and(self.config_of(0).validate()).err();
        require(refused.is_none(), "gossip", || refused.iter().map(ToString::to_string).collect())
    }
}
