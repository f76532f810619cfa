//! Machines that are put back or cloned, with their memory or without, and releases that follow each other.

use anti_entropy::Continuity;
use anti_entropy::engine::Engine;

use super::node::Memory;
use super::{World, name_of};
use crate::history::{NodeIndex, Opened};
use crate::scenario::DiskAge;
use crate::subject::{Release, Subject};

impl<S: Subject> World<S> {
    /// Takes a snapshot of a node's memory and disk, as it runs.
    pub(super) fn take_memory(&mut self, at: NodeIndex) {
        let (store, resolver) = (self.subject.store(), self.resolver());
        let node = &mut self.nodes[at as usize];
        // Nothing is asked of a snapshot before it has its disk again.
        let engine = node.engine.as_ref().filter(|_| !node.is_doubtful).map(|engine| engine.fork(store, resolver));
        let elapsed_us = elapsed_us(node, self.now);
        node.memory = Some(Memory { engine, store: node.disk.copy(), elapsed_us, marker: None });
    }

    /// Puts a node back to its snapshot. Of its disk it has what it had then, or what it has now.
    pub(super) fn put_back_memory(&mut self, at: NodeIndex, disk: DiskAge) {
        let Some(memory) = self.nodes[at as usize].memory.take() else { return };
        let Some(engine) = memory.engine else { return };
        self.crash(at);
        let resolver = self.resolver();
        let node = &mut self.nodes[at as usize];
        if !node.member || node.held_down {
            return;
        }
        if disk == DiskAge::Then {
            node.disk.replace(memory.store);
        }
        node.clock.put_back(self.now, memory.elapsed_us);
        let engine = engine.fork(node.disk.handle(), resolver);
        self.resume_as(at, engine, Opened::Restored);
    }

    /// Lets a node go on as this process.
    fn resume_as(&mut self, at: NodeIndex, engine: Engine<S::Value>, opened: Opened) {
        let node = &mut self.nodes[at as usize];
        node.value_bytes_counted = engine.stats().value_bytes_sent;
        node.engine = Some(engine);
        node.life += 1;
        (node.timer_at, node.busy_until, node.up_since) = (u64::MAX, self.now, self.now);
        (node.is_doubtful, node.opens_as) = (false, Opened::Restarted);
        self.observe_life(at, opened);
        // Half of all machines tell their processes at once, or let them find out.
        if self.random.bool() {
            let seed = self.fresh_seed();
            self.drive(at, None, |engine, now| drop(engine.put_back(seed, now)));
        } else {
            self.drive(at, None, |_, _| {});
        }
    }

    /// Closes a node in order, copies its disk with the marker, and starts it again.
    pub(super) fn back_up_with_marker(&mut self, at: NodeIndex) {
        self.close(at);
        let node = &mut self.nodes[at as usize];
        let marker = node.marker.take();
        node.memory = Some(Memory { engine: None, store: node.disk.copy(), elapsed_us: 0, marker });
        self.come_back(at, Opened::Restarted, marker.map_or(Continuity::Unproven, Continuity::Marker));
    }

    pub(super) fn put_back_with_marker(&mut self, at: NodeIndex) {
        let Some(memory) = self.nodes[at as usize].memory.take() else { return };
        self.crash(at);
        self.nodes[at as usize].disk.replace(memory.store);
        let continuity = memory.marker.map_or(Continuity::Unproven, Continuity::Marker);
        self.come_back(at, Opened::Restored, continuity);
    }

    /// Makes `clone` a copy of `source`, which goes on.
    pub(super) fn clone_node(&mut self, source: NodeIndex, clone: NodeIndex, running: bool, one_name: bool) {
        if self.nodes[clone as usize].member || !self.nodes[source as usize].is_up() {
            return;
        }
        let (store, resolver) = (self.nodes[clone as usize].disk.handle(), self.resolver());
        let forked =
            self.nodes[source as usize].engine.as_ref().filter(|_| running).map(|engine| engine.fork(store, resolver));
        if !running {
            self.close(source);
        }
        let marker = self.nodes[source as usize].marker.filter(|_| !running);
        let copy = self.nodes[source as usize].disk.copy();
        self.nodes[clone as usize].disk.replace(copy);
        if one_name {
            self.clones.insert(source, clone);
            self.nodes[clone as usize].name = name_of(source);
            self.nodes[clone as usize].peers.remove(&source);
            // Whoever has a session with that name cannot say with which of the two.
            self.nodes[source as usize].has_forged = true;
            self.nodes[clone as usize].has_forged = true;
            self.nodes[clone as usize].member = true;
        } else {
            self.admit(clone);
        }
        let continuity = marker.map_or(Continuity::Unproven, Continuity::Marker);
        if let Some(mut engine) = forked {
            if !one_name {
                engine.set_name(Some(name_of(clone)));
                engine.add_peer(name_of(source), None);
                engine.remove_peer(&name_of(clone));
            }
            self.nodes[clone as usize].clock = self.nodes[source as usize].clock.clone();
            self.resume_as(clone, engine, Opened::Cloned);
        } else {
            self.start(clone, Opened::Cloned, continuity);
            self.come_back(source, Opened::Restarted, continuity);
        }
    }

    /// Ends a clone, unless it stays.
    pub(super) fn end_clone(&mut self, source: NodeIndex, clone: NodeIndex, stays: bool) {
        if self.clones.remove(&source).is_some() {
            self.crash(clone);
            self.nodes[clone as usize].member = false;
        } else if !stays && self.nodes[clone as usize].member {
            self.close(clone);
            self.dismiss(clone);
        }
    }

    /// Which node gets what is sent to a name: of two with one name, each hears from half of all others.
    pub(super) fn answers_to(&self, name: NodeIndex, from: NodeIndex) -> NodeIndex {
        match self.clones.get(&name) {
            Some(clone) if from % 2 == 1 && *clone != from => *clone,
            _ => name,
        }
    }

    /// Restarts a node with the new release.
    pub(super) fn upgrade(&mut self, at: NodeIndex) {
        self.close(at);
        let node = &mut self.nodes[at as usize];
        node.release = Release::New;
        let continuity = node.marker.take().map_or(Continuity::Unproven, Continuity::Marker);
        self.come_back(at, Opened::Restarted, continuity);
    }
}

fn elapsed_us<S: Subject>(node: &super::Node<S>, now: u64) -> u64 {
    u64::try_from(node.clock.now(now).elapsed.as_micros()).unwrap_or(u64::MAX)
}
