//! Shrinking scenarios that fail.

mod nodes;
#[cfg(test)]
mod tests;

use core::ops::Range;
use std::collections::BTreeSet;

use crate::scenario::{Abuse, Fault, Gossip, Links, Scenario, Sketches};

/// Removes everything that a failure does not need: operations, steps, nodes, properties of links, limits of gossip, time,
/// clients.
///
/// `still_fails` runs a scenario and says whether it fails as the original one did. It is called at most `budget` times, and only
/// with scenarios that pass [`Scenario::check`]. The returned scenario failed when it was tried, or is `scenario` itself.
/// `scenario` has to list its operations [one by one](Scenario::expanded), since drawn operations cannot be removed.
///
/// The algorithm is delta debugging (Zeller and Hildebrandt, 2002): it removes all, halves, quarters and so on down to single
/// items, until nothing more can be removed.
///
/// ```
/// use anti_entropy_sim::scenario::Scenario;
/// use anti_entropy_sim::shrink::shrink;
///
/// let scenario = Scenario::new("busy", 5).operations(100).expanded(1);
/// // It "fails" as long as an operation asks node 3.
/// let small = shrink(scenario, 1_000, &mut |scenario| scenario.operations.iter().any(|operation| operation.node == 3));
/// assert_eq!((small.operations.len(), small.nodes), (1, 4));
/// ```
pub fn shrink(scenario: Scenario, budget: usize, still_fails: &mut dyn FnMut(&Scenario) -> bool) -> Scenario {
    let mut shrinker = Shrinker { smallest: scenario, tries: budget, still_fails };
    loop {
        let before = shrinker.smallest.clone();
        shrinker.round();
        if shrinker.smallest == before || shrinker.tries == 0 {
            return shrinker.smallest;
        }
    }
}

/// What hostile members do, in all steps.
fn abuses(scenario: &Scenario) -> impl Iterator<Item = Abuse> + '_ {
    let does = |fault: &Fault| if let Fault::Hostile { does } = fault { does.clone() } else { Vec::new() };
    scenario.steps.iter().flat_map(move |step| does(&step.fault))
}

/// Removes some of them, by their places among all.
fn drop_abuses(scenario: &mut Scenario, range: Range<usize>) {
    let mut place = 0..;
    for step in &mut scenario.steps {
        if let Fault::Hostile { does } = &mut step.fault {
            does.retain(|_| !place.next().is_some_and(|place| range.contains(&place)));
        }
    }
}

struct Shrinker<'a> {
    /// The smallest scenario so far that fails.
    smallest: Scenario,
    /// How many more may be tried.
    tries: usize,
    still_fails: &'a mut dyn FnMut(&Scenario) -> bool,
}

impl Shrinker<'_> {
    /// Tries every kind of change once. Steps come first, since there are few, and runs with fewer faults are faster.
    fn round(&mut self) {
        self.drop_some(|scenario| scenario.steps.len(), |scenario, range| drop(scenario.steps.drain(range)));
        self.drop_some(|scenario| scenario.operations.len(), |scenario, range| drop(scenario.operations.drain(range)));
        self.drop_some(|scenario| scenario.never_back.len(), |scenario, range| drop(scenario.never_back.drain(range)));
        self.drop_some(|scenario| abuses(scenario).count(), drop_abuses);
        self.drop_nodes();
        self.drop_keys();
        self.merge_clients();
        self.calm_links();
        self.usual_gossip();
        self.cut_time();
    }

    /// Keeps a change if the scenario still fails with it. A change without effect, or one that makes the scenario invalid, is not
    /// tried.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        if self.tries == 0 {
            return false;
        }
        let mut changed = self.smallest.clone();
        change(&mut changed);
        if changed == self.smallest || changed.check().is_err() {
            return false;
        }
        self.tries -= 1;
        let fails = (self.still_fails)(&changed);
        if fails {
            self.smallest = changed;
        }
        fails
    }

    /// Removes ranges of a list: all of it, then halves, and so on.
    fn drop_some(&mut self, len: fn(&Scenario) -> usize, drop: fn(&mut Scenario, Range<usize>)) {
        let mut size = len(&self.smallest);
        while size > 0 && self.tries > 0 {
            let mut start = 0;
            while start < len(&self.smallest) {
                let end = (start + size).min(len(&self.smallest));
                if !self.attempt(|scenario| drop(scenario, start..end)) {
                    start = end;
                }
            }
            size /= 2;
        }
    }

    /// Removes nodes, half of them at first.
    fn drop_nodes(&mut self) {
        let mut by = self.smallest.nodes / 2;
        while by > 0 {
            let left = self.smallest.nodes.saturating_sub(by);
            if !self.attempt(|scenario| nodes::keep(scenario, left)) {
                by /= 2;
            }
        }
        self.attempt(|scenario| scenario.peers = 0);
    }

    /// Removes keys from operations, and then the keys that no operation uses.
    fn drop_keys(&mut self) {
        for number in 0..self.smallest.operations.len() {
            for key in self.smallest.operations[number].keys.clone() {
                self.attempt(|scenario| scenario.operations[number].keys.retain(|other| *other != key));
            }
        }
        let used = self.smallest.operations.iter().flat_map(|operation| &operation.keys).max().map_or(1, |key| key + 1);
        self.attempt(|scenario| scenario.keys = used);
    }

    /// Merges clients: all into one, or one into another.
    fn merge_clients(&mut self) {
        self.attempt(|scenario| scenario.operations.iter_mut().for_each(|operation| operation.process = 0));
        let clients = self.smallest.operations.iter().map(|operation| operation.process).collect::<BTreeSet<_>>();
        for client in &clients {
            for into in clients.range(..client) {
                let merge = |scenario: &mut Scenario| {
                    let theirs = scenario.operations.iter_mut().filter(|operation| operation.process == *client);
                    theirs.for_each(|operation| operation.process = *into);
                };
                if self.attempt(merge) {
                    break;
                }
            }
        }
    }

    /// Resets the properties of links to those of a network without faults: all, or one by one.
    fn calm_links(&mut self) {
        let all: [fn(&mut Scenario) -> &mut Links; 2] =
            [|scenario| &mut scenario.links, |scenario| &mut scenario.healed_links];
        let each: [fn(&mut Links, Links); 10] = [
            |links, calm| links.loss_permille = calm.loss_permille,
            |links, calm| links.duplicate_permille = calm.duplicate_permille,
            |links, calm| links.replay_permille = calm.replay_permille,
            |links, calm| links.reorder_permille = calm.reorder_permille,
            |links, calm| links.corrupt_permille = calm.corrupt_permille,
            |links, calm| links.truncate_permille = calm.truncate_permille,
            |links, calm| (links.clog_permille, links.clog_ms) = (calm.clog_permille, calm.clog_ms),
            |links, calm| links.delay_min_us = calm.delay_min_us,
            |links, calm| links.delay_mean_us = calm.delay_mean_us,
            |links, calm| links.bytes_per_second = calm.bytes_per_second,
        ];
        for of in all {
            self.attempt(|scenario| *of(scenario) = Links::default());
            for calm in each {
                self.attempt(|scenario| calm(of(scenario), Links::default()));
            }
        }
    }

    /// Resets settings of gossip to those of the preset: all, or one by one.
    fn usual_gossip(&mut self) {
        self.attempt(|scenario| scenario.gossip = Gossip { preset: scenario.gossip.preset, ..Gossip::default() });
        let each: [fn(&mut Gossip); 27] = [
            |gossip| (gossip.interval_ms, gossip.min_interval_ms) = (None, None),
            |gossip| gossip.min_interval_ms = None,
            |gossip| gossip.fanout = None,
            |gossip| gossip.push = None,
            |gossip| gossip.push_fanout = None,
            |gossip| gossip.max_queued_pushes = None,
            |gossip| gossip.max_sessions = None,
            |gossip| gossip.busy_retry_ms = None,
            |gossip| gossip.transfer_turn_ms = None,
            |gossip| (gossip.backoff_min_ms, gossip.backoff_max_ms) = (None, None),
            |gossip| gossip.announce_ms = None,
            |gossip| gossip.announcement_lifetime_ms = None,
            |gossip| gossip.certify_every = None,
            |gossip| gossip.frame_bytes = None,
            |gossip| gossip.batch_entries = None,
            |gossip| gossip.batch_bytes = None,
            |gossip| gossip.bulk_after = None,
            |gossip| gossip.answer_bytes = None,
            |gossip| gossip.resend_after_ms = None,
            |gossip| gossip.idle_timeout_ms = None,
            |gossip| gossip.context_pieces = None,
            |gossip| gossip.new_replicas = None,
            |gossip| gossip.first_message_bytes = None,
            |gossip| gossip.sketches = Sketches::On,
            |gossip| gossip.sketch_cells = None,
            |gossip| gossip.first_cells = None,
            |gossip| gossip.clock_counters = None,
        ];
        for usual in each {
            self.attempt(|scenario| usual(&mut scenario.gossip));
        }
    }

    /// Ends the scenario just after its last event.
    fn cut_time(&mut self) {
        self.attempt(|scenario| scenario.at_least_ms = 0);
        let operation = self.smallest.operations.last().map_or(0, |operation| operation.at_us / 1_000);
        let begin = self.smallest.steps.iter().map(|step| step.start_ms).max().unwrap_or(0);
        let end = self.smallest.steps.iter().map(|step| step.end_ms).max().unwrap_or(0);
        // Steps that last until the end of the run are shortened with it, if the scenario still fails.
        for last in [operation.max(begin) + 1, operation.max(end) + 1, operation.max(end)] {
            self.attempt(|scenario| {
                scenario.duration_ms = last.clamp(1, scenario.duration_ms);
                for step in &mut scenario.steps {
                    step.end_ms = step.end_ms.min(scenario.duration_ms);
                }
            });
        }
    }
}
