//! The time in which hostile nodes go on, and the others have to exchange what they hold.

use std::collections::BTreeSet;

use crate::check::TIMES;
use crate::history::{Healed, NodeIndex, Record};
use crate::rounds_allowed;
use crate::subject::Subject;
use crate::world::World;
use crate::world::hostile::Hostile;
use crate::world::steps::LATE_US;

/// For how many rounds hostile nodes go on at least.
const LEAST_ROUNDS: u64 = 3;

/// What nodes have to exchange while others are hostile.
pub(in crate::world) struct Siege {
    core: Vec<NodeIndex>,
    /// The events of other than hostile nodes that a core node has seen, as ascending indices into the ledger.
    owed: Vec<usize>,
    from: u64,
    until: u64,
}

impl<S: Subject> World<S> {
    /// From here on these nodes have to exchange what they hold while the hostile ones go on.
    pub(in crate::world) fn besiege(&mut self, core: Vec<NodeIndex>) {
        let open = core.iter().map(|at| self.nodes[*at as usize].seen.open.iter().copied().collect::<BTreeSet<_>>());
        // What nobody has seen is open everywhere.
        let nowhere = open.reduce(|both, open| &both & &open).unwrap_or_default();
        let theirs = self.hostile.values().flat_map(Hostile::ids).collect::<BTreeSet<_>>();
        let owed = |index: &usize| {
            let event = self.ledger[*index];
            !event.void && !nowhere.contains(index) && !theirs.contains(&event.dot.replica)
        };
        let owed = (0..self.ledger.len()).filter(owed).collect();
        let nodes = u32::try_from(core.len()).unwrap_or(u32::MAX);
        let rounds = TIMES * rounds_allowed(nodes, self.scenario.healed_links.loss_permille);
        let until = self.now.saturating_add(rounds.saturating_mul(self.interval_us()));
        self.records.push(Record::Besieged(Healed { at: self.now, core: core.clone() }));
        self.siege = Some(Siege { core, owed, from: self.now, until });
    }

    /// Ends it as soon as everything has been exchanged, and when it has taken too long.
    pub(in crate::world) fn watch_siege(&mut self) {
        let Some(siege) = &self.siege else { return };
        let is_early = self.now < siege.from + LEAST_ROUNDS * self.interval_us();
        if is_early || (self.now < siege.until && !self.is_exchanged(siege)) {
            return;
        }
        let core = siege.core.clone();
        self.siege = None;
        let gone: Vec<NodeIndex> = core::mem::take(&mut self.hostile).into_keys().collect();
        for at in &gone {
            self.crash(*at);
            self.nodes[*at as usize].held_down = true;
        }
        self.queue.hurry(self.now, LATE_US, &gone);
        self.set_core(core);
    }

    fn is_exchanged(&self, siege: &Siege) -> bool {
        let lacks = |index: &usize| !self.ledger[*index].void && siege.owed.binary_search(index).is_ok();
        siege.core.iter().all(|at| !self.nodes[*at as usize].seen.open.iter().any(lacks))
    }
}
