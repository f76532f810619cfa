//! What the steps of a scenario do when they begin and when they are over.

use anti_entropy::clock::Seed;
use anti_entropy::gossip::Engine;
use anti_entropy::replica::{Continuity, Opening, Replica};

use super::network::Cut;
use super::queue::What;
use super::{Sabotage, World};
use crate::history::{self, Healed, NodeIndex, Opened, Record};
use crate::scenario::{Fault, Lie, Step};
use crate::subject::Subject;

/// How late a frame may be that was sent before the network healed.
const LATE_US: u64 = 500_000;

impl<S: Subject> World<S> {
    /// The nodes of a step; all, if it names none.
    fn nodes_of(&self, step: &Step) -> Vec<NodeIndex> {
        if step.nodes.is_empty() { (0..self.scenario.nodes).collect() } else { step.nodes.clone() }
    }

    pub(super) fn begin(&mut self, index: usize) {
        let step = self.scenario.steps[index].clone();
        let nodes = self.nodes_of(&step);
        self.record_fault(&step, true);
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
            Fault::SlowDisk { commit_ms } => self.each(&nodes, |node| node.commit_us = commit_ms * 1000),
            Fault::DiskErrors { reads_permille, commits_permille, syncs_permille } => self.each(&nodes, |node| {
                node.disk.fail(|faults| {
                    faults.reads_permille = *reads_permille;
                    faults.commits_permille = *commits_permille;
                    faults.syncs_permille = *syncs_permille;
                });
            }),
            Fault::FullDisk => self.each(&nodes, |node| node.disk.fail(|faults| faults.full = true)),
            Fault::Pause => self.each(&nodes, |node| node.pauses += 1),
            Fault::ClockJump { by_ms } => self.each(&nodes, |node| node.clock.jump(*by_ms)),
            Fault::ClockDrift { ppm } => self.drift(&nodes, *ppm),
            Fault::ClockFreeze => self.freeze(&nodes, true),
            other => nodes.into_iter().for_each(|node| self.begin_at(node, other)),
        }
    }

    /// What begins at one node after the other.
    fn begin_at(&mut self, at: NodeIndex, fault: &Fault) {
        match fault {
            Fault::Crash { in_order: true, .. } => self.close(at),
            Fault::Crash { .. } | Fault::Wipe | Fault::Swap => self.crash(at),
            Fault::Restore { .. } => {
                let node = &mut self.nodes[at as usize];
                node.backup = Some(node.disk.copy());
            }
            Fault::Join => self.join(at),
            Fault::Leave => {
                self.close(at);
                self.dismiss(at);
            }
            Fault::Lie { lie } => self.begin_lying(at, *lie),
            _ => {}
        }
        self.nodes[at as usize].held_down |=
            matches!(fault, Fault::Crash { .. } | Fault::Wipe | Fault::Swap | Fault::Leave);
    }

    pub(super) fn finish(&mut self, index: usize) {
        let step = self.scenario.steps[index].clone();
        let nodes = self.nodes_of(&step);
        self.network.mend(index);
        self.record_fault(&step, false);
        match &step.fault {
            Fault::SlowDisk { .. } => self.each(&nodes, |node| node.commit_us = 0),
            Fault::DiskErrors { .. } | Fault::FullDisk => {
                self.each(&nodes, |node| {
                    node.disk.fail(|faults| {
                        let promises_too_much = faults.promises_too_much;
                        *faults = super::disk::DiskFaults { promises_too_much, ..Default::default() };
                    });
                });
            }
            Fault::Pause => nodes.into_iter().for_each(|node| self.resume(node)),
            Fault::ClockJump { by_ms } => self.each(&nodes, |node| node.clock.jump(-by_ms)),
            Fault::ClockDrift { .. } => self.drift(&nodes, 0),
            Fault::ClockFreeze => self.freeze(&nodes, false),
            Fault::Swap => self.swap(&nodes),
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
                let marker = self.nodes[at as usize].marker.take();
                let continuity = match marker {
                    Some(marker) if *in_order => Continuity::Marker(marker),
                    _ if *vouched => Continuity::Vouched,
                    _ => Continuity::Unproven,
                };
                self.come_back(at, Opened::Restarted, continuity);
            }
            Fault::Wipe => {
                let store = self.subject.store();
                self.nodes[at as usize].disk.replace(store);
                self.come_back(at, Opened::Wiped, Continuity::Unproven);
            }
            Fault::Restore { vouched } => self.restore(at, *vouched),
            Fault::Join if !stays => {
                self.close(at);
                self.dismiss(at);
            }
            Fault::Leave => {
                self.admit(at);
                let marker = self.nodes[at as usize].marker.take();
                self.come_back(at, Opened::Restarted, marker.map_or(Continuity::Unproven, Continuity::Marker));
            }
            Fault::Lie { .. } => self.end_lying(at),
            _ => {}
        }
    }

    fn come_back(&mut self, at: NodeIndex, opened: Opened, continuity: Continuity) {
        let node = &mut self.nodes[at as usize];
        node.held_down = false;
        if !node.member || node.is_up() {
            return;
        }
        // What was done to its store before, and it could not be opened since, still counts.
        match core::mem::replace(&mut node.opens_as, Opened::Restarted) {
            Opened::Restarted => self.start(at, opened, continuity),
            earlier => self.start(at, earlier, Continuity::Unproven),
        }
    }

    fn join(&mut self, at: NodeIndex) {
        if !self.nodes[at as usize].member {
            self.admit(at);
            self.start(at, Opened::New, Continuity::Unproven);
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

    /// Two nodes come back with each other's store, and their own markers.
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

    fn drift(&mut self, nodes: &[NodeIndex], ppm: i32) {
        for at in nodes {
            self.nodes[*at as usize].clock.drift(self.now, ppm);
            // Deadlines come sooner or later now.
            self.drive(*at, None, |_, _| {});
        }
    }

    fn freeze(&mut self, nodes: &[NodeIndex], frozen: bool) {
        let now = self.now;
        self.each(nodes, |node| node.clock.freeze(now, frozen));
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

    /// All faults are over, except that some nodes never come back.
    pub(super) fn heal(&mut self) {
        for at in self.scenario.never_back.clone() {
            self.crash(at);
            self.nodes[at as usize].held_down = true;
        }
        self.network.set_base(self.scenario.healed_links.clone());
        // What clogged links held up comes now, so that what comes later is of sessions that began on a whole network. What
        // nodes outside the core have said and nobody has heard is lost with them: the core may have become equal already.
        self.queue.hurry(self.now, LATE_US, &self.scenario.never_back);
        let is_core = |at: &NodeIndex| self.nodes[*at as usize].member && !self.scenario.never_back.contains(at);
        let core: Vec<NodeIndex> = (0..self.scenario.nodes).filter(is_core).collect();
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
        self.nodes[at as usize].has_forged |= self.is_forging(at);
        self.agreement.set(at, None);
        self.drive(at, None, |_, _| {});
    }

    /// Another replica on a copy of a node's store, under the same id.
    fn twin_of(&mut self, at: NodeIndex) -> Option<Engine<S::Value>> {
        let seed: Seed = self.fresh_seed();
        let opening = Opening { seed, continuity: Continuity::Vouched, config: self.replica_config() };
        let number = self.random.u64(..);
        let node = &self.nodes[at as usize];
        let replica = Replica::open(node.disk.copy(), self.subject.resolver(), opening).ok()?;
        let mut engine = Engine::new(replica, self.config.clone(), number, node.clock.now(self.now));
        engine.set_name(Some(node.name.clone()));
        for other in 0..self.scenario.nodes {
            engine.add_peer(self.nodes[other as usize].name.clone(), None);
        }
        Some(engine)
    }

    /// Who has lied is started anew, with an empty store.
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
            Fault::Crash { .. } | Fault::Cascade { .. } | Fault::Wipe | Fault::Restore { .. } | Fault::Swap
        );
        if partitions && !begins {
            self.counts.partitions_healed += 1;
        }
        self.note(&[3, u64::from(begins)], format!("{:?}", step.fault).as_bytes());
        let fault = format!("{:?} at {:?}", step.fault, step.nodes);
        self.records.push(Record::Fault(history::Fault { at: self.now, fault, begins, partitions, crashes }));
    }
}
