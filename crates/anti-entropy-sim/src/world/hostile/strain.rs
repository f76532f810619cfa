//! What hostile nodes use up of others, beyond what every node may.

use std::collections::BTreeSet;

use core::hash::Hasher;

use anti_entropy::KeyRange;
use anti_entropy::SessionConfig;
use anti_entropy::clock::ReplicaId;
use anti_entropy::session::{Frame, FrameKind};
use twox_hash::XxHash3_64;

use super::crafted::{Differs, differs};
use crate::history::{NodeIndex, Record};
use crate::subject::Subject;
use crate::world::World;

impl<S: Subject> World<S> {
    /// Counts a reply that is sent to a hostile node, each frame by itself. That there is no room for a session is said as often
    /// as somebody asks for one.
    pub(in crate::world) fn count_replies(&mut self, from: NodeIndex, to: NodeIndex, bytes: &[u8]) {
        let Some(hostile) = self.hostile.get_mut(&to) else { return };
        let Ok(frame) = Frame::decode(bytes, &SessionConfig::default()) else { return };
        if frame.kind == FrameKind::Reply && !matches!(differs(&frame), Differs::Over) {
            let mut hash = XxHash3_64::with_seed(0);
            hash.write(bytes);
            *hostile.heard.entry((from, hash.finish())).or_default() += 1;
        }
    }

    /// Records what hostile nodes have used up of a node that is none.
    pub(in crate::world) fn record_strain(&mut self, at: NodeIndex) {
        if self.hostile.is_empty() || self.hostile.contains_key(&at) {
            return;
        }
        let heard = self.hostile.values().flat_map(|hostile| &hostile.heard);
        let most = heard.filter(|((from, _), _)| *from == at).map(|(_, times)| *times).max().unwrap_or(0);
        self.push_strain(at, "times sent one reply", most, u64::from(self.config.session.max_repeats) + 1);
        if let Some(strangers) = self.strangers(at) {
            // Each peer may bring so many in the first hour, and scenarios with hostile nodes are over by then.
            let of_each = self.replica_config(at).new_replicas_per_hour;
            let limit = (of_each * self.nodes[at as usize].peers.len()) as u64;
            self.push_strain(at, "ids that nobody has", strangers, limit);
        }
    }

    fn push_strain(&mut self, node: NodeIndex, what: &str, used: u64, limit: u64) {
        self.records.push(Record::Strain { at: self.now, node, what: what.to_owned(), used, limit });
    }

    /// How many ids a node has seen writes of, of which no write is known. Only what is made up is not known.
    fn strangers(&self, at: NodeIndex) -> Option<u64> {
        let context = self.nodes[at as usize].engine.as_ref()?.replica().context();
        let known: BTreeSet<ReplicaId> = self.ledger.iter().map(|event| event.dot.replica).collect();
        Some(context.pieces(&KeyRange::ALL).replicas().filter(|id| !known.contains(id)).count() as u64)
    }
}
