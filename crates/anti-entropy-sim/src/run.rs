//! One run of a scenario, from the first operation until the core is equal and quiet.

use core::ops::ControlFlow;

use crate::history::{NodeIndex, Record};
use crate::scenario::Scenario;
use crate::subject::Subject;
use crate::world::{Counts, Detail, Sabotage, World};

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// A hash of all events in order. Equal scenarios, seeds and code give equal hashes.
    pub trace_hash: u64,
    /// The length of the run in microseconds of simulated time.
    pub simulated_us: u64,
    /// How many gossip intervals it took from the end of all faults until all core nodes were equal; `None` if they never were.
    pub rounds_to_converge: Option<u64>,
    /// The error of [`Subject::inspect`] at the end, if there was one.
    pub objection: Option<String>,
    /// Counts of what happened.
    pub counts: Counts,
}

/// How many rounds a core of this many nodes may take to become equal, if this many thousandths of all frames are lost.
///
/// Four times the doublings that a rumour needs to reach all nodes, plus eight rounds for time-outs. Twice that where a fifth of
/// all frames or more is lost, and in proportion in between.
pub fn rounds_allowed(core: u32, loss_permille: u16) -> u64 {
    let doublings = u64::from(core.max(1).next_power_of_two().trailing_zeros());
    let rounds = 4 * doublings + 8;
    rounds + rounds * u64::from(loss_permille.min(200)) / 200
}

/// Runs an [expanded](Scenario::expanded) scenario. Calls `watch` with every record, which can end the run.
pub fn run<S: Subject>(
    scenario: &Scenario,
    seed: u64,
    subject: S,
    watch: impl FnMut(&Record) -> ControlFlow<()>,
) -> Run {
    run_sabotaged(scenario, seed, subject, Detail::Everything, None, watch)
}

/// The same with a bug that the checkers have to find.
pub(crate) fn run_sabotaged<S: Subject>(
    scenario: &Scenario,
    seed: u64,
    subject: S,
    detail: Detail,
    sabotage: Option<Sabotage>,
    mut watch: impl FnMut(&Record) -> ControlFlow<()>,
) -> Run {
    let mut world = World::sabotaged(scenario, seed, subject, detail, sabotage);
    let mut end = End::new(scenario);
    'run: while world.now() < end.at {
        world.step();
        for record in world.take_records() {
            end.follow(&record);
            if watch(&record).is_break() {
                break 'run;
            }
        }
    }
    let mut objection = None;
    if end.converged_at.is_some() {
        world.read_everywhere();
        // In a run that was ended early, resolvers may still be writing.
        if world.now() >= end.at {
            objection = world.inspect(&end.core).err();
        }
    }
    world.end();
    for record in world.take_records() {
        if watch(&record).is_break() {
            break;
        }
    }
    Run {
        seed,
        trace_hash: world.trace_hash(),
        simulated_us: world.now(),
        rounds_to_converge: end.rounds_to_converge(),
        objection,
        counts: world.counts(),
    }
}

/// When a run is over.
struct End {
    at: u64,
    at_least: u64,
    interval: u64,
    /// How long the equal core is observed.
    quiet: u64,
    loss_permille: u16,
    healed_at: u64,
    core: Vec<NodeIndex>,
    converged_at: Option<u64>,
}

impl End {
    fn new(scenario: &Scenario) -> Self {
        let config = scenario.gossip.config();
        let us = |span: core::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let interval = us(config.interval).max(1);
        // The pace falls back from the shortest to the usual interval by doubling.
        let slowing: u64 = (interval / us(config.min_interval).max(1)).ilog2().into();
        // L3 looks after four time-outs or eight rounds, twice as many where frames are lost.
        let patience = 1 + u64::from(scenario.healed_links.loss_permille.min(200)).div_ceil(200);
        let quiet = (4 * us(config.session.idle_timeout) + (8 + slowing) * interval) * patience;
        Self {
            at: u64::MAX,
            at_least: scenario.at_least_ms * 1000,
            interval,
            quiet,
            loss_permille: scenario.healed_links.loss_permille,
            healed_at: 0,
            core: Vec::new(),
            converged_at: None,
        }
    }

    fn follow(&mut self, record: &Record) {
        match record {
            Record::Healed(healed) => {
                let core = u32::try_from(healed.core.len()).unwrap_or(u32::MAX);
                self.healed_at = healed.at;
                self.core.clone_from(&healed.core);
                self.at = healed.at + 2 * rounds_allowed(core, self.loss_permille) * self.interval;
            }
            Record::Converged(converged) => {
                self.converged_at = Some(converged.at);
                // L5 looks at whole intervals from ten rounds after healing on.
                let rested = self.healed_at + 12 * self.interval;
                self.at = (converged.at + self.quiet).max(rested).max(self.at_least);
            }
            _ => {}
        }
    }

    fn rounds_to_converge(&self) -> Option<u64> {
        self.converged_at.map(|at| (at - self.healed_at).div_ceil(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::OpKind;
    use crate::scenario::Gossip;
    use crate::subject::Items;

    /// A core that is equal at once, with long rounds and short time-outs, so that nothing else takes long.
    fn records() -> Vec<Record> {
        let mut scenario = Scenario::new("short", 3).operations(20).duration_ms(1_000);
        scenario.gossip = Gossip {
            interval_ms: Some(10_000),
            min_interval_ms: Some(10_000),
            resend_after_ms: Some(50),
            idle_timeout_ms: Some(100),
            ..Gossip::default()
        };
        let mut records = Vec::new();
        run(&scenario.expanded(1), 1, Items::default(), |record| {
            records.push(record.clone());
            ControlFlow::Continue(())
        });
        records
    }

    #[test]
    fn a_run_is_watched_until_its_rate_has_to_be_that_of_rest() {
        let records = records();
        let converged = records.iter().find_map(|record| match record {
            Record::Converged(converged) => Some(converged.at),
            _ => None,
        });
        assert!(converged.unwrap() < 15_000_000, "it has to be early, so that ten rounds after healing are later");
        let rests = |record: &Record| matches!(record, Record::Traffic(traffic) if traffic.from >= 101_000_000);
        assert!(records.iter().any(rests));
    }

    #[test]
    fn every_node_of_the_equal_core_is_read_in_the_end() {
        let records = records();
        let converged = records.iter().position(|record| matches!(record, Record::Converged(_))).unwrap();
        for node in 0..3 {
            let reads = |record: &Record| matches!(record, Record::Op(op) if op.node == node && op.op == OpKind::Read);
            assert!(records[converged..].iter().any(reads));
        }
    }
}
