//! The effects of a scenario's steps, when they begin and when they end.

use anti_entropy::clock::Seed;
use anti_entropy::engine::Engine;
use anti_entropy::{Continuity, Opening, Replica};

use super::network::Cut;
use super::queue::What;
use super::tongue::CLAIMS;
use super::{Sabotage, World};
use crate::history::{self, Healed, NodeIndex, Opened, Record};
use crate::scenario::{Fault, Lie, Step};
use crate::subject::Subject;

/// How late a frame may be that was sent before the network healed.
pub(super) const LATE_US: u64 = 500_000;

impl<S: Subject> World<S> {
    /// The nodes of a step; all nodes if it names none.
    fn nodes_of(&self, step: &Step) -> Vec<NodeIndex> {
        if step.nodes.is_empty() { (0..self.scenario.nodes).collect() } else { step.nodes.clone() }
    }

    pub(super) fn begin(&mut self, index: usize) {
        let step = self.scenario.steps[index].clone();
        let nodes = self.nodes_of(&step);
        self.record_fault(&step, true);
        self.under_way.insert(index);
        match &step.fault {
            Fault::Split { groups } => self.network.cut(index, Cut::Split(groups.clone())),
            Fault::Flapping { .. } => self.flap(index, true),
            Fault::Mute => self.network.cut(index, Cut::Mute(nodes)),
            Fault::Deaf => self.network.cut(index, Cut::Deaf(nodes)),
            Fault::Isolate => self.network.cut(index, Cut::Isolate(nodes)),
            Fault::Ring => self.network.cut(index, Cut::Ring(self.scenario.nodes)),
            Fault::Degrade { links } => self.network.degrade(index, nodes, links.clone()),
            Fault::Cascade { every_ms } => {
                for (turn, node) in (0..).zip(nodes) {
                    self.nodes[node as usize].held_down = true;
                    self.queue.push(self.now + turn * every_ms * 1000, What::Crash(node));
                }
            }
            Fault::SlowDisk { .. } | Fault::DiskErrors { .. } | Fault::FullDisk => self.set_disks(&nodes),
            Fault::Limits { .. } => self.set_limits(&nodes),
            Fault::Pause => self.each(&nodes, |node| node.pauses += 1),
            Fault::ClockJump { by_ms } => self.jump(&nodes, *by_ms),
            Fault::ClockDrift { .. } => self.drift(&nodes),
            Fault::ClockFreeze => self.freeze(&nodes),
            Fault::Clone { running, one_name } => self.clone_node(nodes[0], nodes[1], *running, *one_name),
            other => nodes.into_iter().for_each(|node| self.begin_at(node, other)),
        }
    }

    /// Begins a step at each of its nodes.
    fn begin_at(&mut self, at: NodeIndex, fault: &Fault) {
        match fault {
            Fault::Crash { in_order: true, .. } => self.close(at),
            Fault::Crash { .. } | Fault::Wipe | Fault::Swap | Fault::SameSeed { .. } => self.crash(at),
            Fault::Restore { .. } => {
                let node = &mut self.nodes[at as usize];
                node.backup = Some(node.disk.copy());
            }
            Fault::RestoreMarker => self.back_up_with_marker(at),
            Fault::RestoreMemory { .. } => self.take_memory(at),
            Fault::Join => self.join(at),
            Fault::Leave => {
                self.close(at);
                self.dismiss(at);
            }
            Fault::Lie { lie } => self.begin_lying(at, *lie),
            Fault::Hostile { does } => self.turn_hostile(at, does),
            _ => {}
        }
        self.nodes[at as usize].held_down |=
            matches!(fault, Fault::Crash { .. } | Fault::Wipe | Fault::Swap | Fault::Leave | Fault::SameSeed { .. });
    }

    pub(super) fn finish(&mut self, index: usize) {
        let step = self.scenario.steps[index].clone();
        let nodes = self.nodes_of(&step);
        self.network.mend(index);
        self.record_fault(&step, false);
        self.under_way.remove(&index);
        match &step.fault {
            Fault::SlowDisk { .. } | Fault::DiskErrors { .. } | Fault::FullDisk => self.set_disks(&nodes),
            Fault::Limits { .. } => self.set_limits(&nodes),
            Fault::Pause => nodes.into_iter().for_each(|node| self.resume(node)),
            Fault::ClockJump { by_ms } => self.jump(&nodes, -by_ms),
            Fault::ClockDrift { .. } => self.drift(&nodes),
            Fault::ClockFreeze => self.freeze(&nodes),
            Fault::Swap => self.swap(&nodes),
            Fault::Clone { .. } => self.end_clone(nodes[0], nodes[1], step.end_ms >= self.scenario.duration_ms),
            Fault::Cascade { .. } => {
                for node in nodes {
                    self.crash(node);
                    self.come_back(node, Opened::Restarted, Continuity::Unproven);
                }
            }
            other => {
                let stays = step.end_ms >= self.scenario.duration_ms;
                for node in nodes {
                    self.finish_at(node, other, stays);
                }
            }
        }
    }

    fn finish_at(&mut self, at: NodeIndex, fault: &Fault, stays: bool) {
        match fault {
            Fault::Crash { in_order, vouched } => {
                let continuity = match self.found_marker(at) {
                    _ if *vouched && !*in_order => Continuity::Vouched,
                    found => found,
                };
                self.come_back(at, Opened::Restarted, continuity);
            }
            Fault::Wipe => {
                let store = self.subject.store();
                self.nodes[at as usize].disk.replace(store);
                self.come_back(at, Opened::Wiped, Continuity::Unproven);
            }
            Fault::Restore { vouched } => self.restore(at, *vouched),
            Fault::RestoreMarker => self.put_back_with_marker(at),
            Fault::RestoreMemory { disk } => self.put_back_memory(at, *disk),
            Fault::SameSeed { wiped } => {
                let store = self.subject.store();
                let node = &mut self.nodes[at as usize];
                node.repeats_seed = true;
                let opened = if *wiped { Opened::Wiped } else { Opened::Restarted };
                if *wiped {
                    node.disk.replace(store);
                }
                self.come_back(at, opened, Continuity::Unproven);
            }
            Fault::OldRelease => self.upgrade(at),
            Fault::Join if !stays => {
                self.close(at);
                self.dismiss(at);
            }
            Fault::Leave => {
                self.admit(at);
                let continuity = self.found_marker(at);
                self.come_back(at, Opened::Restarted, continuity);
            }
            Fault::Lie { .. } => self.end_lying(at),
            Fault::Hostile { does } if !stays => self.calm_down(at, does),
            _ => {}
        }
    }

    /// The proof that an operator finds where the last orderly shutdown has left it. Some operators take it away, as they should,
    /// and others leave it there for all later openings.
    fn found_marker(&mut self, at: NodeIndex) -> Continuity {
        let stays = self.random.bool();
        let marker = &mut self.nodes[at as usize].marker;
        let found = if stays { *marker } else { marker.take() };
        found.map_or(Continuity::Unproven, Continuity::Marker)
    }

    pub(super) fn come_back(&mut self, at: NodeIndex, opened: Opened, continuity: Continuity) {
        let node = &mut self.nodes[at as usize];
        node.held_down = false;
        if !node.member || node.is_up() {
            return;
        }
        // What was done to its store before, and it could not be opened since, still counts.
        match core::mem::replace(&mut node.opens_as, Opened::Restarted) {
            earlier if earlier != Opened::Restarted && opened == Opened::Restarted => {
                self.start(at, earlier, Continuity::Unproven);
            }
            _ => self.start(at, opened, continuity),
        }
    }

    fn join(&mut self, at: NodeIndex) {
        if !self.nodes[at as usize].member {
            self.admit(at);
            // Another fault that begins now may keep it down.
            if !self.nodes[at as usize].held_down {
                self.start(at, Opened::New, Continuity::Unproven);
            }
        }
    }

    fn restore(&mut self, at: NodeIndex, vouched: bool) {
        let Some(backup) = self.nodes[at as usize].backup.take() else { return };
        self.crash(at);
        let node = &mut self.nodes[at as usize];
        node.disk.replace(backup);
        // A marker that was left at some closing may lie around: it does not fit, and proves nothing.
        let continuity = match node.marker {
            _ if vouched || self.sabotage == Some(Sabotage::RestoredStoreIsVouchedFor) => Continuity::Vouched,
            Some(marker) => Continuity::Marker(marker),
            None => Continuity::Unproven,
        };
        self.come_back(at, Opened::Restored, continuity);
    }

    /// Starts two nodes with each other's stores and their own markers.
    fn swap(&mut self, nodes: &[NodeIndex]) {
        let [one, other] = [nodes[0], nodes[1]];
        let (store, theirs) = (self.nodes[one as usize].disk.copy(), self.nodes[other as usize].disk.copy());
        self.nodes[one as usize].disk.replace(theirs);
        self.nodes[other as usize].disk.replace(store);
        let seen = self.nodes[one as usize].seen.clone();
        let theirs = core::mem::replace(&mut self.nodes[other as usize].seen, seen);
        self.nodes[one as usize].seen = theirs;
        let unknown = core::mem::take(&mut self.nodes[one as usize].unknown);
        let theirs = core::mem::replace(&mut self.nodes[other as usize].unknown, unknown);
        self.nodes[one as usize].unknown = theirs;
        for at in [one, other] {
            let continuity = self.nodes[at as usize].marker.map_or(Continuity::Unproven, Continuity::Marker);
            self.come_back(at, Opened::Swapped, continuity);
        }
    }

    fn resume(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        node.pauses -= 1;
        if node.pauses > 0 {
            return;
        }
        for (from, frame) in core::mem::take(&mut node.inbox) {
            self.arrive(at, from, frame);
        }
        self.drive(at, None, Engine::handle_timeout);
    }

    /// The faults that have begun and not ended at a node, in the order of their steps. The end of one does not end another.
    fn faults_at(&self, at: NodeIndex) -> impl Iterator<Item = &Fault> {
        let steps = self.under_way.iter().map(|index| &self.scenario.steps[*index]);
        steps.filter(move |step| step.nodes.is_empty() || step.nodes.contains(&at)).map(|step| &step.fault)
    }

    /// Sets the faults of disks to the worst of all steps that have begun and not ended.
    fn set_disks(&mut self, nodes: &[NodeIndex]) {
        for at in nodes {
            let (mut commit_us, mut worst) = (self.scenario.commit_us, super::disk::DiskFaults::default());
            for fault in self.faults_at(*at) {
                match fault {
                    Fault::SlowDisk { commit_ms } => commit_us = commit_us.max(commit_ms * 1000),
                    Fault::FullDisk => worst.full = true,
                    Fault::DiskErrors { reads_permille, commits_permille, syncs_permille } => {
                        worst.reads_permille = worst.reads_permille.max(*reads_permille);
                        worst.commits_permille = worst.commits_permille.max(*commits_permille);
                        worst.syncs_permille = worst.syncs_permille.max(*syncs_permille);
                    }
                    _ => {}
                }
            }
            let node = &mut self.nodes[*at as usize];
            node.commit_us = commit_us;
            node.disk.fail(|faults| {
                *faults = super::disk::DiskFaults { promises_too_much: faults.promises_too_much, ..worst };
            });
        }
    }

    /// Gives running nodes the limits of the last step that has begun and not ended, or those of the scenario.
    fn set_limits(&mut self, nodes: &[NodeIndex]) {
        for at in nodes {
            let (mut replica, mut gossip) = (self.replica_config(*at), self.scenario.gossip.config_of(*at));
            let lower = self.faults_at(*at).filter_map(|fault| match fault {
                Fault::Limits { context_pieces, max_queued_pushes, batch_entries } => {
                    Some((*context_pieces, *max_queued_pushes, *batch_entries))
                }
                _ => None,
            });
            if let Some((pieces, pushes, entries)) = lower.last() {
                replica.max_context_pieces = pieces.min(replica.max_context_pieces);
                gossip.max_queued_pushes = pushes.min(gossip.max_queued_pushes);
                gossip.session.batch_entries = entries.min(gossip.session.batch_entries);
            }
            self.drive(*at, None, |engine, _| {
                engine.set_limits(replica, gossip).expect("lower limits are valid where higher ones are");
            });
        }
    }

    /// Sets the drift of clocks to that of the last step that has begun and not ended.
    fn drift(&mut self, nodes: &[NodeIndex]) {
        for at in nodes {
            let drifts = self.faults_at(*at).filter_map(|fault| match fault {
                Fault::ClockDrift { ppm } => Some(*ppm),
                _ => None,
            });
            let ppm = drifts.last().unwrap_or(0);
            self.nodes[*at as usize].clock.drift(self.now, ppm);
            // Deadlines come sooner or later now.
            self.drive(*at, None, |_, _| {});
        }
    }

    fn jump(&mut self, nodes: &[NodeIndex], by_ms: i64) {
        for &at in nodes {
            let clock = &mut self.nodes[at as usize].clock;
            clock.jump(by_ms);
            let unix_ms = clock.now(self.now).unix_ms;
            self.records.push(Record::Clock { at: self.now, node: at, unix_ms });
        }
    }

    fn freeze(&mut self, nodes: &[NodeIndex]) {
        for at in nodes {
            let frozen = self.faults_at(*at).any(|fault| *fault == Fault::ClockFreeze);
            self.nodes[*at as usize].clock.freeze(self.now, frozen);
        }
    }

    pub(super) fn flap(&mut self, index: usize, apart: bool) {
        let step = &self.scenario.steps[index];
        let over = self.now >= step.end_ms.min(self.scenario.duration_ms) * 1000;
        let Fault::Flapping { groups, period_ms } = &step.fault else { return };
        if over {
            return;
        }
        if apart {
            self.network.cut(index, Cut::Split(groups.clone()));
        } else {
            self.network.mend(index);
            self.counts.partitions_healed += 1;
        }
        let half = (period_ms * 1000 / 2).max(1);
        self.queue.push(self.now + half, What::Flap { step: index, apart: !apart });
    }

    /// Ends all faults, except that some nodes never come back.
    pub(super) fn heal(&mut self) {
        for at in self.scenario.never_back.clone() {
            self.crash(at);
            self.nodes[at as usize].held_down = true;
        }
        // Who was hostile before may still know what others do not.
        for at in (0..self.scenario.nodes).filter(|at| self.scenario.is_hostile(*at)).collect::<Vec<_>>() {
            if !self.hostile.contains_key(&at) {
                self.crash(at);
                self.nodes[at as usize].held_down = true;
            }
        }
        self.network.set_base(self.scenario.healed_links.clone());
        // What clogged links held up comes now, so that what comes later is of sessions that began on a whole network. What
        // nodes outside the core have said and nobody has heard is lost with them: the core may have become equal already.
        self.queue.hurry(self.now, LATE_US, &self.scenario.never_back);
        let is_core = |at: &NodeIndex| self.nodes[*at as usize].member && !self.scenario.is_outside(*at);
        let core: Vec<NodeIndex> = (0..self.scenario.nodes).filter(is_core).collect();
        if self.hostile.is_empty() {
            self.set_core(core);
        } else {
            self.besiege(core);
        }
    }

    /// From here on these nodes have to become equal.
    pub(super) fn set_core(&mut self, core: Vec<NodeIndex>) {
        self.agreement.members = core.len();
        self.records.push(Record::Healed(Healed { at: self.now, core }));
        self.healed = true;
        self.note_agreement();
    }

    fn begin_lying(&mut self, at: NodeIndex, lie: Lie) {
        let victim = (at + 1) % self.scenario.nodes;
        match lie {
            Lie::Twin => self.nodes[at as usize].twin = self.twin_of(at),
            Lie::Impersonate => {
                let liar = self.twin_of(victim);
                self.count_value_bytes(at);
                self.nodes[at as usize].engine = liar;
                self.nodes[at as usize].value_bytes_counted = 0;
            }
            _ => {}
        }
        self.nodes[at as usize].lie = Some(lie);
        self.nodes[at as usize].has_forged |= matches!(lie, Lie::Forge | Lie::Twin | Lie::Impersonate);
        if lie == Lie::Counter {
            self.nodes[at as usize].claims = CLAIMS;
        }
        self.agreement.set(at, None);
        self.drive(at, None, |_, _| {});
    }

    /// Opens a second replica with the same id on a copy of a node's store.
    fn twin_of(&mut self, at: NodeIndex) -> Option<Engine<S::Value>> {
        let seed: Seed = self.fresh_seed();
        let opening = Opening::from(seed).with(|config| {
            config.continuity = Continuity::Vouched;
            config.config = self.replica_config(at);
        });
        let number = self.random.u64(..);
        let node = &self.nodes[at as usize];
        let replica = Replica::open(node.disk.copy(), self.resolver(), opening).ok()?;
        let now = node.clock.now(self.now);
        let engine = Engine::new(replica, self.scenario.gossip.config_of(at), number, now);
        let mut engine = engine.expect("the settings of a scenario are checked before it runs");
        engine.set_name(Some(node.name.clone()));
        for other in 0..self.scenario.nodes {
            engine.add_peer(self.nodes[other as usize].name.clone(), None);
        }
        Some(engine)
    }

    /// Restarts a node that has lied with an empty store.
    fn end_lying(&mut self, at: NodeIndex) {
        self.crash(at);
        self.nodes[at as usize].lie = None;
        let store = self.subject.store();
        self.nodes[at as usize].disk.replace(store);
        self.come_back(at, Opened::Wiped, Continuity::Unproven);
    }

    fn each(&mut self, nodes: &[NodeIndex], mut change: impl FnMut(&mut super::Node<S>)) {
        for node in nodes {
            change(&mut self.nodes[*node as usize]);
        }
    }

    fn record_fault(&mut self, step: &Step, begins: bool) {
        let partitions = matches!(
            step.fault,
            Fault::Split { .. } | Fault::Flapping { .. } | Fault::Mute | Fault::Deaf | Fault::Isolate | Fault::Ring
        );
        let crashes = matches!(
            step.fault,
            Fault::Crash { .. }
                | Fault::Cascade { .. }
                | Fault::Wipe
                | Fault::Restore { .. }
                | Fault::RestoreMarker
                | Fault::RestoreMemory { .. }
                | Fault::SameSeed { .. }
                | Fault::OldRelease
                | Fault::Swap
        );
        if partitions && !begins {
            self.counts.partitions_healed += 1;
        }
        self.note(&[3, u64::from(begins)], format!("{:?}", step.fault).as_bytes());
        let fault = format!("{:?} at {:?}", step.fault, step.nodes);
        self.records.push(Record::Fault(history::FaultChange { at: self.now, fault, begins, partitions, crashes }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::subject::Items;
    use crate::world::Detail;

    const ERRORS: Fault = Fault::DiskErrors { reads_permille: 20, commits_permille: 1, syncs_permille: 0 };

    fn world(first: Fault, second: Fault) -> World<Items> {
        let scenario =
            Scenario::new("", 3).duration_ms(10_000).step(100, 1_000, [0], first).step(500, 2_000, [], second);
        World::new(&scenario, 1, Items::default(), Detail::Everything)
    }

    #[test]
    fn the_end_of_a_step_does_not_end_another() {
        let mut world = world(Fault::FullDisk, ERRORS);
        let faults = |world: &World<Items>| world.nodes[0].disk.faults();
        world.run_until(600_000);
        assert!(faults(&world).full && faults(&world).reads_permille == 20);
        world.run_until(1_500_000);
        assert!(!faults(&world).full && faults(&world).reads_permille == 20);
        world.run_until(2_500_000);
        assert_eq!(faults(&world).reads_permille, 0);
    }

    #[test]
    fn what_a_forger_certifies_is_not_looked_at() {
        for (lie, forges) in [(Lie::Forge, true), (Lie::Twin, true), (Lie::Impersonate, true), (Lie::Replay, false)] {
            let scenario = Scenario::new("", 3).duration_ms(1_000).step(10, 1_000, [0], Fault::Lie { lie });
            let mut world = World::new(&scenario, 1, Items::default(), Detail::Everything);
            world.run_until(1_500_000);
            assert_eq!(world.nodes[0].has_forged, forges, "{lie:?}");
        }
    }

    #[test]
    fn disks_and_clocks_are_as_slow_as_what_is_under_way() {
        let mut slow = world(Fault::SlowDisk { commit_ms: 7 }, Fault::SlowDisk { commit_ms: 5 });
        let mut drifts = world(Fault::ClockDrift { ppm: 70 }, Fault::ClockDrift { ppm: 50 });
        let mut frozen = world(Fault::ClockFreeze, Fault::ClockFreeze);
        let mut at = |time| {
            for world in [&mut slow, &mut drifts, &mut frozen] {
                world.run_until(time);
            }
            let wall = |time| frozen.nodes[0].clock.now(time).unix_ms;
            let stands = wall(time) == wall(time + 5_000_000);
            let shows = |time| drifts.nodes[0].clock.now(time).elapsed.as_micros();
            let runs = shows(time + 1_000_000) - shows(time);
            (slow.nodes[0].commit_us / 1000, runs - 1_000_000, stands, wall(time))
        };
        let (first, second, third, fourth) = (at(400_000), at(600_000), at(1_500_000), at(2_500_000));
        assert_eq!((first.0, first.1, first.2), (7, 70, true));
        assert_eq!((second.0, second.1, second.2), (7, 50, true));
        assert_eq!((third.0, third.1, third.2), (5, 50, true));
        assert_eq!((fourth.0, fourth.1, fourth.2), (0, 0, false));
        assert!(first.3 == second.3 && first.3 == third.3, "it stands where it stood");
    }
}
