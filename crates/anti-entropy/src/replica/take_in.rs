//! Counting and reporting what is unusual in data from peers.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::version::Sibling;
use super::{Notice, Replica, Replicated, Staged};
use crate::clock::{Dot, Now};
use crate::refusal::{NotTaken, Refusal};

impl<V: Replicated> Replica<V> {
    /// Rule 8: a peer has seen `claimed` writes under the present id. If that is more than this replica made, its store
    /// was rolled back without notice, and it takes another id. It does so once after each opening, or peers that lie
    /// would fill the clocks with ids.
    pub(crate) fn notice_claim(&mut self, claimed: u64) -> Result<(), NotTaken> {
        plant!(notice_claim());
        let made = self.context.own_counter();
        if claimed <= made {
            return Ok(());
        }
        if self.alarmed {
            return Err(Refusal::ClaimsMyWrites { claimed, made }.into());
        }
        let from = self.id();
        let mut context = self.context.clone();
        let to = self.fresh_id(&mut context);
        self.persist(Staged { records: BTreeMap::new(), context, context_changed: true })?;
        self.alarmed = true;
        self.stats.renamings += 1;
        self.notices.push(Notice::Renamed { from, to, made });
        Ok(())
    }

    /// Counts and completes versions that are new here; says whether the siblings changed at all.
    pub(crate) fn take_in(&mut self, old: &[Sibling<V>], new: &mut [Sibling<V>], now: Now) -> bool {
        let same = |sibling: &Sibling<V>| {
            old.iter().any(|held| held.dot() == sibling.dot() && held.content == sibling.content)
        };
        let mut changed = old.len() != new.len();
        for index in 0..new.len() {
            let (earlier, rest) = new.split_at_mut(index);
            let sibling = &mut rest[0];
            if same(sibling) {
                continue;
            }
            changed = true;
            sibling.inherit(old);
            let new = sibling.new_bytes(earlier);
            self.stats.value_bytes_needed += new.all;
            self.stats.part_bytes_needed += new.parts;
            if let Err(skew) = self.clock.observe(sibling.version.timestamp, now.unix_ms) {
                self.notices.push(Notice::ClockSkew(skew));
            }
        }
        changed
    }

    pub(crate) fn report_clashes(&mut self, clashes: Vec<(V::Key, Dot)>) {
        for (key, dot) in clashes {
            self.stats.content_clashes += 1;
            self.notices.push(Notice::ContentClash { key, dot });
        }
    }
}
