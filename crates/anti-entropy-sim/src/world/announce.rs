//! Failure detectors, which carry root announcements.

use anti_entropy::engine::StateDigest;

use super::World;
use super::queue::What;
use crate::history::NodeIndex;
use crate::random::place;
use crate::subject::Subject;

impl<S: Subject> World<S> {
    /// Lets every node ping another one in each period, if the scenario has one. The nodes are not synchronised.
    pub(super) fn schedule_pings(&mut self) {
        let Some(period) = self.ping_period_us() else { return };
        for at in 0..self.scenario.nodes {
            let phase = self.random.u64(0..period);
            self.queue.push(phase, What::Ping(at));
        }
    }

    fn ping_period_us(&self) -> Option<u64> {
        self.scenario.gossip.announce_ms.map(|ms| ms * 1000)
    }

    /// A node pings one of its peers and announces its root at that time. A liar announces anything.
    pub(super) fn ping(&mut self, from: NodeIndex) {
        let Some(period) = self.ping_period_us() else { return };
        self.queue.push(self.now + period, What::Ping(from));
        let node = &mut self.nodes[from as usize];
        let is_able = node.member && node.pauses == 0 && !node.peers.is_empty();
        let Some(engine) = node.engine.as_mut().filter(|_| is_able) else { return };
        let to = node.peers.iter().copied().nth(place(&mut self.random, node.peers.len()));
        let state = match node.lie {
            None => engine.announcement(),
            Some(_) => StateDigest::from_bytes(core::array::from_fn(|_| self.random.u8(..))),
        };
        let Some(to) = to.map(|to| self.answers_to(to, from)) else { return };
        if let Some(at) = self.network.ping(self.now, from, to) {
            self.queue.push(at, What::Announcement { to, from, state });
        }
    }

    /// A ping arrives. It is lost at a node that is down or paused.
    pub(super) fn hear(&mut self, to: NodeIndex, from: NodeIndex, state: StateDigest) {
        if self.nodes[to as usize].pauses > 0 {
            return;
        }
        self.note(&[6, u64::from(to), u64::from(from)], state.as_bytes());
        let name = self.nodes[from as usize].name.clone();
        self.drive(to, None, |engine, now| {
            engine.handle_announcement(&name, state, now);
        });
    }
}
