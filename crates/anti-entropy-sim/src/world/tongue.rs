//! What a lying member sends.

use anti_entropy::KeyHash;
use anti_entropy::clock::Dot;
use anti_entropy::engine::Engine;
use sha2::{Digest, Sha256};

use super::World;
use super::replies::push_frame;
use crate::history::NodeIndex;
use crate::random::{permille, place};
use crate::scenario::Lie;
use crate::subject::Subject;

/// How often a liar claims another member's next write.
pub(super) const CLAIMS: u32 = 4;

/// How many frames a liar remembers.
const REMEMBERED: usize = 256;

impl<S: Subject> World<S> {
    /// Sends something else instead of `frame`, or in addition to it.
    pub(super) fn lie(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) {
        match self.nodes[from as usize].lie {
            Some(Lie::Stall) => {}
            Some(Lie::Garbage) => {
                let garbage = (0..place(&mut self.random, 200)).map(|_| self.random.u8(..)).collect();
                self.transmit(from, to, garbage);
            }
            Some(Lie::Forge) => {
                let forged = if permille(&mut self.random, 300) { self.forge(frame) } else { frame };
                self.transmit(from, to, forged);
            }
            Some(Lie::Replay) => self.repeat(from, to, frame),
            Some(Lie::Counter) => {
                self.transmit(from, to, frame);
                self.claim_the_next_write(from, to);
            }
            Some(Lie::Twin | Lie::Impersonate | Lie::Poison) | None => self.transmit(from, to, frame),
        }
    }

    /// Flips a bit after the header, and corrects the checksum (docs/protocol.md, "Frames").
    fn forge(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        const HEADER: usize = 10;
        const CHECKSUM: usize = 8;
        let Some(end) = frame.len().checked_sub(CHECKSUM).filter(|end| *end > HEADER) else { return frame };
        frame[HEADER + place(&mut self.random, end - HEADER)] ^= 1 << self.random.u8(0..8);
        let checksum = Sha256::digest(&frame[..end]);
        frame[end..].copy_from_slice(&checksum[..CHECKSUM]);
        frame
    }

    /// Tells a peer that the member after the liar has deleted something, under the name of that member's next write.
    fn claim_the_next_write(&mut self, from: NodeIndex, to: NodeIndex) {
        let victim = (from + 1) % self.scenario.nodes;
        let node = &self.nodes[from as usize];
        let own = self.nodes[victim as usize].engine.as_ref().map(|engine| engine.replica().id());
        let (Some(engine), Some(own)) = (&node.engine, own.filter(|_| to != victim && node.claims > 0)) else { return };
        let counter = engine.replica().context().max_counter(own);
        // It has to know of the last one, or nobody would take it for the next.
        if !permille(&mut self.random, 100) {
            return;
        }
        if counter == 0 {
            return;
        }
        let [last, next] = [counter, counter + 1].map(|counter| Dot { replica: own, counter });
        let config = &self.config.session;
        let payload = postcard::to_allocvec(&(KeyHash::MIN, next, vec![last], None::<()>));
        let frame = push_frame(config.schema_id, &payload.expect("numbers can be encoded"));
        self.nodes[from as usize].claims -= 1;
        self.transmit(from, to, frame);
    }

    /// Sends the frame, and two of its earlier frames to random peers.
    fn repeat(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) {
        let said = &mut self.nodes[from as usize].said;
        if said.len() == REMEMBERED {
            said.swap_remove(place(&mut self.random, REMEMBERED));
        }
        said.push((to, frame.clone()));
        let again: Vec<Vec<u8>> = (0..2).map(|_| said[place(&mut self.random, said.len())].1.clone()).collect();
        self.transmit(from, to, frame);
        for frame in again {
            let to = self.random.u32(0..self.scenario.nodes);
            if to != from {
                self.transmit(from, to, frame);
            }
        }
    }

    /// Calls the second replica of a liar with two.
    pub(super) fn fire_twin(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        let now = node.clock.now(self.now);
        if let Some(twin) = node.twin.as_mut() {
            Engine::handle_timeout(twin, now);
            // It is forging, and so nobody looks at what happens to it.
            self.pump(at, true, &mut Vec::new());
        }
    }
}
