//! Drawing faults, their times and their nodes.

use core::num::NonZeroUsize;
use std::collections::BTreeSet;

use super::class::Class;
use super::{SHORTEST_MS, Swarm, settings};
use crate::history::NodeIndex;
use crate::scenario::{DiskAge, Fault, Step};

/// Ten years in milliseconds.
pub(super) const TEN_YEARS: u64 = 10 * 365 * 24 * 3_600_000;

impl Swarm {
    /// Draws steps of some classes. Steps that would affect absent nodes are left out, so that there may be fewer.
    pub(super) fn steps(&mut self, classes: &[Class], count: u64) {
        for _ in 0..count {
            let (start_ms, end_ms) = self.time();
            let step = |nodes, fault| Some(Step { start_ms, end_ms, nodes, fault });
            let drawn = match self.random.one_of(classes) {
                Class::Partition => Some(self.parted(start_ms, end_ms)),
                Class::Degrade => {
                    let nodes = if self.random.permille(500) { self.several(2) } else { Vec::new() };
                    step(nodes, Fault::Degrade { links: settings::links(&mut self.random) })
                }
                Class::Process => self.restart(start_ms, end_ms),
                Class::Pause if self.random.permille(200) => step(self.some(), self.limits()),
                Class::Pause => step(self.some(), Fault::Pause),
                Class::Disk => step(self.some(), self.disk()),
                Class::Clock => step(self.some(), self.clock()),
                Class::Membership => self.membership(start_ms, end_ms),
            };
            if let Some(step) = drawn {
                self.push(step);
            }
        }
    }

    /// The time of a step: short, of any length, or until the end of the run.
    fn time(&mut self) -> (u64, u64) {
        let duration = self.scenario.duration_ms;
        let start = self.random.strength(0..=duration - SHORTEST_MS);
        let left = duration - start;
        let length = match self.random.between(0, 3) {
            0 | 1 => SHORTEST_MS + self.random.exponential(duration / 8),
            2 => self.random.strength(SHORTEST_MS..=left),
            _ => left,
        };
        (start, start + length.min(left))
    }

    /// One node, some, or all of them, for which the list is empty.
    fn some(&mut self) -> Vec<NodeIndex> {
        match self.random.between(0, 3) {
            0 | 1 => self.random.distinct(1, self.scenario.nodes),
            2 => self.several(1),
            _ => Vec::new(),
        }
    }

    /// At least this many nodes, in any order.
    fn several(&mut self, least: u32) -> Vec<NodeIndex> {
        let count = self.random.between_u32(least, self.scenario.nodes);
        self.random.distinct(count, self.scenario.nodes)
    }

    /// At least one node, and not all.
    fn few(&mut self) -> Vec<NodeIndex> {
        let count = if self.random.permille(500) { 1 } else { self.random.between_u32(1, self.scenario.nodes - 1) };
        self.random.distinct(count, self.scenario.nodes)
    }

    fn parted(&mut self, start_ms: u64, end_ms: u64) -> Step {
        let (nodes, fault) = match self.random.between(0, 8) {
            0 => (Vec::new(), Fault::Split { groups: self.groups(2, 0, true) }),
            1 => (Vec::new(), Fault::Split { groups: self.groups(2, 0, false) }),
            // A node in no group is a bridge.
            2 => (Vec::new(), Fault::Split { groups: self.groups(2, 1, true) }),
            3 => (Vec::new(), Fault::Split { groups: self.groups(3, 0, false) }),
            4 => (self.few(), Fault::Isolate),
            5 => (Vec::new(), Fault::Ring),
            6 => (self.few(), Fault::Mute),
            7 => (self.few(), Fault::Deaf),
            _ => {
                let period_ms = self.random.strength(SHORTEST_MS..=(end_ms - start_ms).min(10_000));
                (Vec::new(), Fault::Flapping { groups: self.groups(2, 0, false), period_ms })
            }
        };
        Step { start_ms, end_ms, nodes, fault }
    }

    /// Groups of any sizes, or of sizes that are as equal as possible, with some nodes in none. Fewer groups if there are too few
    /// nodes.
    fn groups(&mut self, count: u32, bridges: u32, equal: bool) -> Vec<Vec<NodeIndex>> {
        let mut nodes = self.random.distinct(self.scenario.nodes, self.scenario.nodes);
        nodes.truncate(nodes.len().saturating_sub(bridges as usize).max(2));
        let count = (count as usize).min(nodes.len());
        let mut groups = vec![Vec::new(); count];
        for (number, node) in nodes.into_iter().enumerate() {
            // The first nodes go to one group each, so that no group is empty.
            let group = if equal || number < count {
                number % count
            } else {
                self.random.between_u32(0, u32::try_from(count - 1).expect("at most 3 groups")) as usize
            };
            groups[group].push(node);
        }
        for group in &mut groups {
            group.sort_unstable();
        }
        groups
    }

    /// Of ten restarts, three are with a wiped store, one from a backup, and one with another node's store.
    fn restart(&mut self, start_ms: u64, end_ms: u64) -> Option<Step> {
        let (nodes, fault) = match self.random.between(0, 9) {
            0 => (self.random.distinct(2, self.scenario.nodes), Fault::Swap),
            1 => (self.few(), Fault::Restore { vouched: false }),
            // Not all nodes, since without any store nothing would be left to lose.
            2..=4 => (self.few(), Fault::Wipe),
            5 => {
                let nodes = self.several(2);
                let most = (end_ms - start_ms - 1) / (nodes.len() as u64 - 1);
                if most == 0 {
                    return None;
                }
                (nodes, Fault::Cascade { every_ms: self.random.strength(1..=most) })
            }
            _ => {
                let (in_order, vouched) = (self.random.permille(500), self.random.permille(300));
                (self.some(), Fault::Crash { in_order, vouched })
            }
        };
        Some(Step { start_ms, end_ms, nodes, fault })
    }

    /// A machine that is put back or cloned, a seed that is used again, or a lie about another member's counter.
    pub(super) fn used_twice(&mut self) -> Step {
        let (start_ms, mut end_ms) = self.time();
        let one = self.random.distinct(1, self.scenario.nodes);
        let (nodes, fault) = match self.random.between(0, 9) {
            0 => (one, Fault::Restore { vouched: true }),
            1 => (one, Fault::RestoreMarker),
            2 | 3 => (one, Fault::RestoreMemory { disk: DiskAge::Then }),
            4 => (one, Fault::RestoreMemory { disk: DiskAge::Now }),
            5 | 6 => (one, Fault::SameSeed { wiped: self.random.permille(500) }),
            number if self.scenario.nodes > 3 && self.scenario.steps.iter().all(|step| step.joining().is_empty()) => {
                // It joins after all others, and its place is that of no other fault.
                let clone = self.scenario.nodes - 1;
                let source = self.random.between_u32(0, clone - 1);
                let one_name = self.random.permille(300);
                let fault = Fault::Clone { running: number > 7, one_name };
                if one_name {
                    self.scenario.never_back = vec![clone];
                    end_ms = end_ms.min(self.scenario.duration_ms - 1).max(start_ms + 1);
                } else {
                    end_ms = self.scenario.duration_ms;
                }
                (vec![source, clone], fault)
            }
            _ => (one, Fault::RestoreMarker),
        };
        Step { start_ms, end_ms, nodes, fault }
    }

    /// Limits that are changed while a node runs.
    fn limits(&mut self) -> Fault {
        let mut some = |most: u64| usize::try_from(self.random.strength(0..=most)).unwrap_or(0);
        let (pieces, max_queued_pushes, entries) = (some(8), some(100), some(20));
        let at_least_one = |number: usize| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Fault::Limits { context_pieces: at_least_one(pieces), max_queued_pushes, batch_entries: at_least_one(entries) }
    }

    fn disk(&mut self) -> Fault {
        match self.random.between(0, 3) {
            0 => Fault::SlowDisk { commit_ms: self.random.strength(1..=2_000) },
            1 => Fault::FullDisk,
            _ => Fault::DiskErrors {
                reads_permille: self.random.strength_permille(50),
                commits_permille: self.random.strength_permille(200),
                syncs_permille: self.random.strength_permille(100),
            },
        }
    }

    fn clock(&mut self) -> Fault {
        let backwards = self.random.permille(500);
        match self.random.between(0, 3) {
            0 => {
                let ppm = i32::try_from(self.random.strength(1..=50_000)).expect("at most 50000");
                Fault::ClockDrift { ppm: if backwards { -ppm } else { ppm } }
            }
            1 => Fault::ClockFreeze,
            _ => {
                // Up to a millisecond, a minute, a day, or ten years.
                let most = self.random.one_of(&[1, 60_000, 86_400_000, TEN_YEARS]);
                let by_ms = i64::try_from(self.random.strength(1..=most)).expect("ten years at most");
                Fault::ClockJump { by_ms: if backwards { -by_ms } else { by_ms } }
            }
        }
    }

    /// Nodes that join later, nodes that leave and come back, and nodes that join and leave.
    fn membership(&mut self, start_ms: u64, end_ms: u64) -> Option<Step> {
        if self.random.permille(500) {
            return Some(Step { start_ms, end_ms, nodes: self.few(), fault: Fault::Leave });
        }
        let joined = self.scenario.steps.iter().filter(|step| step.fault == Fault::Join).flat_map(|step| &step.nodes);
        let joined = joined.copied().collect::<BTreeSet<_>>();
        // Two nodes are there from the beginning.
        let free = (2..self.scenario.nodes).filter(|node| !joined.contains(node)).collect::<Vec<_>>();
        if free.is_empty() {
            return None;
        }
        let node = self.random.one_of(&free);
        let mut lost = self.scenario.never_back.iter().copied().collect::<BTreeSet<_>>();
        lost.insert(node);
        let may_go = u32::try_from(lost.len()).is_ok_and(|lost| lost <= self.minority());
        let goes = end_ms < self.scenario.duration_ms && may_go;
        let end_ms = if goes { end_ms } else { self.scenario.duration_ms };
        let step = Step { start_ms, end_ms, nodes: vec![node], fault: Fault::Join };
        if self.push(step) && goes {
            // It left for good, so the others have to become equal without it.
            self.scenario.never_back = lost.into_iter().collect();
        }
        None
    }
}
