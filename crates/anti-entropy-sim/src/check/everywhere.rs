//! S12: what was acknowledged is everywhere in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Knowledge, Violation};
use crate::history::{Acknowledged, End, KeyIndex, NodeIndex, Op, OpKind, Opened, Record, ValueHash, WriteName};

/// A value at a key, which tells writes apart even where two have one name.
type Content = (KeyIndex, u64);

/// S12: every value that a core node has acknowledged, or has held in its present life, is held by every core node in the end,
/// unless somebody has replaced or deleted it.
///
/// It goes by values and not by the names of writes, so that it also judges what becomes of names that are used twice: what was
/// acknowledged is everywhere then, or was refused with an error.
#[derive(Debug, Default)]
pub(crate) struct Everywhere {
    /// What each node has acknowledged or held, since its store was last lost, put back, or exchanged.
    owed: BTreeMap<NodeIndex, BTreeSet<Content>>,
    /// What writes and deletes have replaced.
    replaced: BTreeSet<Content>,
    /// The values that were written under a name.
    named: BTreeMap<(KeyIndex, WriteName), Vec<u64>>,
    /// What the core owes in the end.
    by_core: Option<BTreeSet<Content>>,
}

impl Checker for Everywhere {
    fn name(&self) -> &'static str {
        "S12"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            Record::Op(op) if op.op != OpKind::Read && op.ok != Acknowledged::No => self.follow(op, knowledge),
            // What was only there is lost with the store.
            Record::Life(life) if life.opened != Opened::Restarted => {
                self.owed.remove(&life.node);
            }
            // A history of real processes has several rounds, each with its end.
            Record::Healed(_) => self.by_core = None,
            Record::End(end) if end.core => return self.check(end, knowledge),
            _ => {}
        }
        for change in knowledge.changes() {
            let owed = self.owed.entry(change.node).or_default();
            owed.extend(change.held.iter().map(|(_, value)| (change.key, value.to_u64())));
        }
        Ok(())
    }
}

impl Everywhere {
    fn follow(&mut self, op: &Op, knowledge: &Knowledge) {
        let written = op.value.map(ValueHash::to_u64);
        let at_key = knowledge.node(op.node).and_then(|node| node.keys.get(&op.key));
        for seen in &op.seen {
            let held = at_key.and_then(|at_key| at_key.held.iter().find(|(id, _)| knowledge.dot(*id) == *seen));
            // If the node does not hold it, it was read elsewhere, under a name that may be that of several.
            let values = match held {
                Some((_, value)) => vec![value.to_u64()],
                None => self.named.get(&(op.key, *seen)).cloned().unwrap_or_default(),
            };
            // A resolver writes again one of the values that it replaces.
            let others = values.into_iter().filter(|value| Some(*value) != written);
            self.replaced.extend(others.map(|value| (op.key, value)));
        }
        let Some(value) = written else { return };
        if let Some(dot) = op.dot {
            self.named.entry((op.key, dot)).or_default().push(value);
        }
        if op.ok == Acknowledged::Yes {
            self.owed.entry(op.node).or_default().insert((op.key, value));
        }
    }

    fn check(&mut self, end: &End, knowledge: &Knowledge) -> Result<(), Violation> {
        let by_core = self.by_core.get_or_insert_with(|| {
            let core = self.owed.iter().filter(|(node, _)| knowledge.is_core(**node));
            let owed: BTreeSet<Content> = core.flat_map(|(_, owed)| owed.iter().copied()).collect();
            owed.difference(&self.replaced).copied().collect()
        });
        let held = end.keys.iter().flat_map(|at_key| at_key.held.iter().map(|held| (at_key.key, held.value.to_u64())));
        let held: BTreeSet<Content> = held.collect();
        let lost = by_core.difference(&held).count();
        match by_core.difference(&held).next() {
            None => Ok(()),
            Some((key, value)) => {
                let detail = format!(
                    "core node {} ends without the value {value:016x} of key {key}, which the core had and nobody has replaced; \
                     {lost} like this",
                    end.node
                );
                Err(self.violation(knowledge, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key};
    use super::*;

    #[test]
    fn what_is_held_everywhere_or_was_replaced_is_fine() {
        let (a, b, gone) = (dot(1, 1), dot(2, 1), dot(2, 2));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]).write(1, b, &[a]).state(1, &[b], &[b]);
        history.healed(&[0, 1]).end(0, vec![key(&[b], &[a, b])]).end(1, vec![key(&[b], &[a, b])]);
        assert_eq!(judge(Everywhere::default(), &history), None);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]).delete(1, gone, &[a]).state(1, &[], &[gone]);
        history.healed(&[0, 1]).end(0, vec![key(&[], &[a, gone])]).end(1, vec![key(&[], &[a, gone])]);
        assert_eq!(judge(Everywhere::default(), &history), None);
    }

    /// The store of node 0 is put back to before its write, which nobody else had.
    #[test]
    fn what_was_lost_with_the_only_store_is_not_owed_and_what_others_have_is() {
        let a = dot(1, 1);
        let lost = |known: bool| {
            let mut history = History::new();
            history.write(0, a, &[]).state(0, &[a], &[a]);
            if known {
                history.state(1, &[a], &[a]);
            }
            history.life(0, Opened::Restored, vec![key(&[], &[])], &[]).state(1, &[], &[]).healed(&[0, 1]);
            history.end(0, vec![key(&[], &[])]).end(1, vec![key(&[], &[])]);
            history
        };
        assert_eq!(judge(Everywhere::default(), &lost(false)), None);
        finds(Everywhere::default(), &lost(true), "which the core had and nobody has replaced");
    }

    #[test]
    fn what_is_replaced_after_a_first_end_is_not_owed_at_a_second() {
        let (a, b) = (dot(1, 1), dot(2, 1));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]).healed(&[0, 1]);
        history.end(0, vec![key(&[a], &[a])]).end(1, vec![key(&[a], &[a])]);
        history.write(1, b, &[a]).state(1, &[b], &[a, b]).state(0, &[b], &[a, b]).healed(&[0, 1]);
        history.end(0, vec![key(&[b], &[a, b])]).end(1, vec![key(&[b], &[a, b])]);
        assert_eq!(judge(Everywhere::default(), &history), None);
    }

    #[test]
    fn a_write_under_a_name_that_another_has_is_found_if_it_vanishes() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]);
        history.life(0, Opened::Restored, vec![key(&[], &[])], &[]);
        let mut second = history.records.iter().find(|record| matches!(record, Record::Op(_))).cloned().unwrap();
        if let Record::Op(op) = &mut second {
            (op.op_id, op.value) = (99, Some(crate::history::ValueHash::from_u64(77)));
        }
        history.push(second).healed(&[0, 1]).end(0, vec![key(&[a], &[a])]).end(1, vec![key(&[a], &[a])]);
        finds(Everywhere::default(), &history, "000000000000004d of key 0");
    }
}
