//! How long each write takes to reach all nodes.

use anti_entropy::KeyHash;
use anti_entropy::clock::Dot;

use super::{quantile, ratio};
use crate::history::NodeIndex;
use crate::subject::Subject;
use crate::world::World;

/// Follows writes until all nodes that are up have them. A node has a write when its context covers it: then reads return it or a
/// later one.
#[derive(Default)]
pub(super) struct Tracker {
    writes: Vec<Write>,
    /// By node, the writes that it does not have yet.
    missing: Vec<Vec<usize>>,
}

/// How long writes took.
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) max: f64,
}

struct Write {
    key: KeyHash,
    dot: Dot,
    at: u64,
    /// How many nodes do not have it yet.
    missing: usize,
    everywhere_at: Option<u64>,
}

impl Tracker {
    /// Writes at a key of a node, and follows the write. Returns whether the node accepted it.
    pub(super) fn write<S: Subject>(&mut self, world: &mut World<S>, node: NodeIndex, key: u32) -> bool {
        if !world.write(node, key) {
            return false;
        }
        let Some(replica) = world.replica(node) else { return false };
        let context = replica.context();
        let dot = Dot { replica: context.own_id(), counter: context.own_counter() };
        let place = world.key_hash(key);
        let others: Vec<usize> =
            world.nodes_up().into_iter().filter(|other| *other != node).map(|other| other as usize).collect();
        for other in &others {
            self.missing.resize_with(self.missing.len().max(other + 1), Vec::new);
            self.missing[*other].push(self.writes.len());
        }
        let (at, missing) = (world.now(), others.len());
        let everywhere_at = (missing == 0).then_some(at);
        self.writes.push(Write { key: place, dot, at, missing, everywhere_at });
        true
    }

    /// Runs the world until a time, and notes which nodes have which writes.
    pub(super) fn run_until<S: Subject>(&mut self, world: &mut World<S>, until: u64) {
        while world.next_at().is_some_and(|at| at <= until) {
            world.step();
            self.look(world);
        }
        world.run_until(until);
    }

    /// Runs the world until all writes are everywhere, or until a time.
    pub(super) fn run_until_everywhere<S: Subject>(&mut self, world: &mut World<S>, until: u64) {
        while !self.is_everywhere() && world.next_at().is_some_and(|at| at <= until) {
            world.step();
            self.look(world);
        }
    }

    fn look<S: Subject>(&mut self, world: &mut World<S>) {
        for node in world.take_changed() {
            let Some(replica) = world.replica(node) else { continue };
            let Some(missing) = self.missing.get_mut(node as usize) else { continue };
            let (context, writes, now) = (replica.context(), &mut self.writes, world.now());
            missing.retain(|index| {
                let write = &mut writes[*index];
                let has = context.covers(write.key, write.dot);
                write.missing -= usize::from(has);
                if has && write.missing == 0 {
                    write.everywhere_at = Some(now);
                }
                !has
            });
        }
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.missing.iter().all(Vec::is_empty)
    }

    /// How many writes there were.
    pub(super) fn writes(&self) -> u64 {
        self.writes.len() as u64
    }

    /// How long the writes took, in units of `unit_us` microseconds. Writes that are not everywhere yet count as if they were at
    /// `now`.
    pub(super) fn spread(&self, now: u64, unit_us: u64) -> Spread {
        let took = |write: &Write| write.everywhere_at.unwrap_or(now) - write.at;
        let mut sorted: Vec<u64> = self.writes.iter().map(took).collect();
        sorted.sort_unstable();
        Spread { median: ratio(quantile(&sorted, 500), unit_us), max: ratio(quantile(&sorted, 1000), unit_us) }
    }
}
