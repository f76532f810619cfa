//! The checks of a state.

use std::collections::{HashMap, HashSet};

use super::bounds::{Bounds, MAX_REPLICAS};
use super::disk::{ByHash, Wide, side_by_side};
use super::ghost::{self, Event, Named, Node, Violation};
use super::replicas::ReplicaRef;
use super::steps::Steps;
use super::world::World;

/// Checks states of the whole cluster, and each part of a state once.
pub(super) struct Judge {
    bounds: Bounds,
    /// Replicas that passed the checks, with the events that there were.
    sound: HashSet<u128, ByHash>,
    /// Final states that were found to converge.
    settled: HashSet<[ReplicaRef; MAX_REPLICAS]>,
    /// What the replicas held at the end, by the operations that were done.
    results: HashMap<[u32; MAX_REPLICAS], u128>,
}

impl Judge {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, sound: HashSet::default(), settled: HashSet::new(), results: HashMap::new() }
    }

    fn histories(&self, steps: &Steps, replicas: &[ReplicaRef; MAX_REPLICAS]) -> [u32; MAX_REPLICAS] {
        let mut histories = [0; MAX_REPLICAS];
        for (history, at) in histories.iter_mut().zip(replicas).take(usize::from(self.bounds.replicas)) {
            *history = steps.replicas.get(*at).history;
        }
        histories
    }

    /// All events by the replica that made them.
    fn events<'a>(&self, steps: &'a Steps, replicas: &[ReplicaRef; MAX_REPLICAS]) -> Vec<&'a [Event]> {
        let own = |at: &ReplicaRef| &*steps.replicas.get(*at).own;
        replicas[..usize::from(self.bounds.replicas)].iter().map(own).collect()
    }

    pub(super) fn check(&mut self, steps: &Steps, world: &World, node: u8) -> Result<(), Violation> {
        let at = world.replicas[usize::from(node)];
        let [first, second, third] = self.histories(steps, &world.replicas);
        if self.sound.insert(side_by_side([at, first, second, third])) {
            ghost::check(&steps.replicas.get(at).views, &self.events(steps, &world.replicas)).map_err(|violation| {
                Violation::new(violation.check, format!("at {}, {}", Node(node), violation.detail))
            })?;
        }
        Ok(())
    }

    /// Sessions without disturbance make all replicas equal, with everything that was done (S1). The result depends only on
    /// what was done, and not on the order of anything else (S5).
    pub(super) fn check_end(&mut self, steps: &mut Steps, world: &World) -> Result<(), Violation> {
        if !self.settled.insert(world.replicas) {
            return Ok(());
        }
        let mut replicas = world.replicas;
        let nodes = usize::from(self.bounds.replicas);
        // All to the first, and the first to all, and once more for those that were first.
        for _ in 0..2 {
            for other in 1..nodes {
                (replicas[0], replicas[other]) = steps.run_clean(replicas[0], replicas[other])?;
            }
        }
        let kept = |at: ReplicaRef| steps.replicas.get(at);
        let equal = |other: &ReplicaRef| {
            kept(*other).agreed == kept(replicas[0]).agreed && kept(*other).records == kept(replicas[0]).records
        };
        if let Some(other) = replicas[..nodes].iter().position(|other| !equal(other)) {
            let detail = format!(
                "{} and {} differ after undisturbed sessions",
                Node(0),
                Node(u8::try_from(other).unwrap_or(u8::MAX))
            );
            return Err(Violation::new("not equal in the end", detail));
        }
        let events = self.events(steps, &replicas);
        for at in &replicas[..nodes] {
            ghost::check(&kept(*at).views, &events)?;
            if let Some(missing) = ghost::first_missing(&kept(*at).views, &events) {
                return Err(Violation::new("lost in the end (S1)", Named(missing).to_string()));
            }
        }
        let histories = self.histories(steps, &replicas);
        let result = Wide::of(&(kept(replicas[0]).agreed, kept(replicas[0]).records));
        if *self.results.entry(histories).or_insert(result) != result {
            return Err(Violation::new(
                "another order, another result (S5)",
                "the same was done, and the bytes differ",
            ));
        }
        Ok(())
    }
}
