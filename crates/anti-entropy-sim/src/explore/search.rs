//! Breadth-first search over all states, so that the first violation has a shortest path.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::bounds::{Bounds, MAX_REPLICAS};
use super::disk::ByHash;
use super::ghost::Violation;
use super::judge::Judge;
use super::replicas::Replicas;
use super::report::{Counterexample, Report};
use super::slot::Slot;
use super::steps::{Step, Steps};
use super::world::{Action, World};

/// How many states are expanded between two reports of progress.
const STATES_PER_REPORT: u64 = 1 << 16;

pub(super) struct Search {
    bounds: Bounds,
    steps: Steps,
    report: Report,
    seen: HashSet<u128, ByHash>,
    /// For each state, the state from which it was first reached, and the event.
    origins: Vec<(u32, Action)>,
    judge: Judge,
}

impl Search {
    pub(super) fn run(
        bounds: Bounds,
        progress: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> Result<Report, Counterexample> {
        let replicas = Replicas::new(bounds.replicas, bounds.keys);
        let at_once = |violation| Counterexample::new(bounds, &violation, Vec::new(), Report::default());
        let mut search = Self {
            bounds,
            steps: Steps::new(replicas.map_err(at_once)?),
            report: Report::default(),
            seen: HashSet::default(),
            origins: Vec::new(),
            judge: Judge::new(bounds),
        };
        search.report.complete = search.explore(progress)?;
        Ok(search.report())
    }

    fn report(&self) -> Report {
        Report { executed: self.steps.replicas.executed, ..self.report }
    }

    /// Searches until the end. Returns whether all states were expanded.
    fn explore(&mut self, progress: &mut dyn FnMut(&Report) -> ControlFlow<()>) -> Result<bool, Counterexample> {
        let first = World::new(self.bounds);
        let mut frontier = Vec::new();
        self.reach(first, (0, Action::Operate { node: 0, choice: 0 }), &mut frontier);
        while !frontier.is_empty() {
            let mut next = Vec::new();
            for (index, world) in frontier {
                if let Err((action, violation)) = self.expand(&world, index, &mut next) {
                    return Err(self.counterexample(index, action, &violation));
                }
                self.report.expanded += 1;
                if self.report.expanded.is_multiple_of(STATES_PER_REPORT) && progress(&self.report()).is_break() {
                    return Ok(false);
                }
            }
            frontier = next;
            self.report.deepest += u32::from(!frontier.is_empty());
        }
        Ok(true)
    }

    fn reach(&mut self, world: World, origin: (u32, Action), frontier: &mut Vec<(u32, World)>) {
        if self.seen.insert(world.hash()) {
            let index = u32::try_from(self.origins.len()).expect("fewer states than fit into memory");
            self.origins.push(origin);
            self.report.states += 1;
            frontier.push((index, world));
        }
    }

    fn expand(
        &mut self,
        world: &World,
        index: u32,
        next: &mut Vec<(u32, World)>,
    ) -> Result<(), (Option<Action>, Violation)> {
        let offered = self.offered(world).map_err(|violation| (None, violation))?;
        let actions = world.actions(self.bounds, &self.steps, offered);
        if actions.is_empty() {
            self.report.terminal_states += 1;
            return self.judge.check_end(&mut self.steps, world).map_err(|violation| (None, violation));
        }
        for action in actions {
            let after = self.take(world, action).map_err(|violation| (Some(action), violation))?;
            self.report.transitions += 1;
            self.reach(after, (index, action), next);
        }
        Ok(())
    }

    /// How many operations are possible at each replica.
    fn offered(&mut self, world: &World) -> Result<[u8; MAX_REPLICAS], Violation> {
        let mut offered = [0; MAX_REPLICAS];
        for (node, offered) in (0..self.bounds.replicas).zip(&mut offered) {
            if world.may_operate(node, self.bounds, &self.steps) {
                let operations = self.steps.replicas.operations(world.replicas[usize::from(node)])?;
                *offered = u8::try_from(operations.len()).expect("few operations");
            }
        }
        Ok(offered)
    }

    /// The state after an event, after its checks.
    fn take(&mut self, world: &World, action: Action) -> Result<World, Violation> {
        let mut after = *world;
        after.act();
        let changed = match action {
            Action::Operate { node, choice } => {
                let operations = self.steps.replicas.operations(world.replicas[usize::from(node)])?;
                after.operate(node, operations[usize::from(choice)].1);
                Some(node)
            }
            Action::Open(slot) => {
                let opened = self.steps.open(world.replicas[usize::from(slot.opener)], slot)?;
                let Step { half, sent, .. } = self.steps.step(opened);
                after.open(slot, *half);
                after.send(sent);
                None
            }
            Action::Deliver(frame) => {
                after.take(frame);
                Some(self.deliver(&mut after, frame)?)
            }
            Action::DeliverOnce(frame) => {
                after.duplicate();
                Some(self.deliver(&mut after, frame)?)
            }
            Action::Lose(frame) => {
                after.lose(frame);
                let slot = self.steps.frame(frame).slot;
                if after.is_waiting(slot, &self.steps) {
                    self.time_out(&mut after, slot)?;
                }
                None
            }
            Action::TimeOut(slot) => {
                self.time_out(&mut after, slot)?;
                None
            }
        };
        if let Some(node) =
            changed.filter(|node| after.replicas[usize::from(*node)] != world.replicas[usize::from(*node)])
        {
            self.judge.check(&self.steps, &after, node)?;
        }
        Ok(after)
    }

    fn time_out(&mut self, after: &mut World, slot: Slot) -> Result<(), Violation> {
        let timed_out = self.steps.time_out(after.pair_mut(slot).opener, slot)?;
        let Step { half, sent, .. } = self.steps.step(timed_out);
        after.pair_mut(slot).opener = *half;
        after.send(sent);
        Ok(())
    }

    fn deliver(&mut self, after: &mut World, frame: u32) -> Result<u8, Violation> {
        let sent = self.steps.frame(frame);
        let (slot, to_opener, node) = (sent.slot, sent.to_opener, sent.receiver());
        let at = after.replicas[usize::from(node)];
        let pair = after.pair_mut(slot);
        let half = if to_opener { &mut pair.opener } else { &mut pair.answerer };
        let delivered = self.steps.deliver(at, *half, frame)?;
        let step = self.steps.step(delivered);
        *half = step.half;
        after.replicas[usize::from(node)] = step.replica;
        after.send(&step.sent);
        self.drop_stale(after)?;
        Ok(node)
    }

    /// Removes frames that their receivers ignore. A frame with an old number is ignored whenever it arrives, so its arrival
    /// commutes with all events, and it is enough to explore that it arrives at once. Losing or duplicating it has the same
    /// effect, with fewer losses and duplicates left.
    fn drop_stale(&mut self, world: &mut World) -> Result<(), Violation> {
        if self.bounds.duplicates == 0 {
            return Ok(());
        }
        for frame in world.frames() {
            let sent = self.steps.frame(frame);
            let (to_opener, at) = (sent.to_opener, world.replicas[usize::from(sent.receiver())]);
            let pair = world.pair(sent.slot).expect("a frame is of a session that was opened");
            let half = if to_opener { pair.opener } else { pair.answerer };
            let delivered = self.steps.deliver(at, half, frame)?;
            let step = self.steps.step(delivered);
            if (step.replica, step.half) == (at, half) && step.sent.is_empty() {
                world.take_all(frame);
            }
        }
        Ok(())
    }

    /// The path from the first state to the violation.
    fn counterexample(&mut self, from: u32, last: Option<Action>, violation: &Violation) -> Counterexample {
        let mut actions: Vec<Action> = last.into_iter().collect();
        let mut index = from;
        while index > 0 {
            let (before, action) = self.origins[index as usize];
            actions.push(action);
            index = before;
        }
        actions.reverse();
        let report = self.report();
        let mut world = World::new(self.bounds);
        let mut path = Vec::new();
        for action in actions {
            path.push(self.describe(&world, action));
            match self.take(&world, action) {
                Ok(after) => world = after,
                // The last one, which is the violation.
                Err(_) => break,
            }
        }
        Counterexample::new(self.bounds, violation, path, report)
    }

    fn describe(&mut self, world: &World, action: Action) -> String {
        let Action::Operate { node, choice } = action else { return action.describe(None, 0, &self.steps) };
        let at = world.replicas[usize::from(node)];
        let event = u8::try_from(self.steps.replicas.get(at).own.len() + 1).expect("few operations");
        let operations = self.steps.replicas.operations(at).ok();
        let operation = operations.as_ref().and_then(|operations| operations.get(usize::from(choice)));
        action.describe(operation.map(|(operation, _)| operation), event, &self.steps)
    }
}
