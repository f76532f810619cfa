//! The staleness of reads.

use std::collections::BTreeMap;

use super::{Checker, EventId, Fate, Knowledge, Violation};
use crate::history::{Op, OpKind, Record};

/// The staleness of reads: the age of the oldest write or delete that was acknowledged before the read began and that the
/// node had not seen; 0 if there is none.
///
/// It measures a distribution. As a checker it requires that reads of the core miss nothing once the core is equal. These reads
/// are not measured, since they would hide the staleness of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// How many reads had each staleness, in microseconds.
    ages: BTreeMap<u64, u64>,
    reads: u64,
}

impl Staleness {
    /// How many reads were measured.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// How many of them missed a write or delete.
    pub fn stale_reads(&self) -> u64 {
        self.reads - self.ages.get(&0).unwrap_or(&0)
    }

    /// The staleness in microseconds that `percent` per cent of the reads did not exceed; 0 if there were no reads. More than 100
    /// counts as 100.
    pub fn percentile(&self, percent: u8) -> u64 {
        let rank = (u128::from(self.reads) * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut so_far = 0;
        let within = |&(_, &reads): &(_, &u64)| {
            so_far += u128::from(reads);
            so_far >= rank
        };
        self.ages.iter().find(within).map_or(0, |(&age, _)| age)
    }

    /// Each staleness in microseconds that occurred, with the number of reads that had it.
    pub fn ages(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ages.iter().map(|(&age, &reads)| (age, reads))
    }

    /// Measures the next record, and checks nothing.
    pub fn measure(&mut self, record: &Record, knowledge: &Knowledge) {
        if let Record::Op(op) = record
            && op.op == OpKind::Read
            && knowledge.converged().is_none()
        {
            let age = missed(op, knowledge).next().map_or(0, |(_, age)| age);
            *self.ages.entry(age).or_default() += 1;
            self.reads += 1;
        }
    }
}

/// The events that were acknowledged before a read began and that its node had not seen, with their ages, oldest first.
fn missed<'a>(op: &'a Op, knowledge: &'a Knowledge) -> impl Iterator<Item = (EventId, u64)> + 'a {
    let node = knowledge.node(op.node);
    knowledge.events().of_key(op.key).iter().filter_map(move |&id| {
        let event = knowledge.events().get(id);
        let attempt = event.attempt.as_ref().filter(|_| !event.lost)?;
        let before = attempt.fate == Fate::Acknowledged && attempt.end < op.start;
        let missed = before && !node.is_some_and(|node| node.covered.contains(id));
        missed.then(|| (id, op.end.saturating_sub(attempt.end)))
    })
}

impl Checker for Staleness {
    fn name(&self) -> &'static str {
        "staleness"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        self.measure(record, knowledge);
        let (Record::Op(op), Some(healed)) = (record, knowledge.healed()) else { return Ok(()) };
        let equal = knowledge.converged().is_some_and(|at| op.start > at) && knowledge.is_core(op.node);
        if op.op != OpKind::Read || !equal {
            return Ok(());
        }
        // The core cannot return events that no core node has ever had.
        let in_core = |&(id, _): &_| {
            let mut core = healed.core.iter().filter_map(|&node| knowledge.node(node));
            core.any(|node| node.covered.contains(id))
        };
        missed(op, knowledge).find(in_core).map_or(Ok(()), |(id, age)| {
            let (node, dot, age) = (op.node, knowledge.dot(id), age / 1000);
            Err(self
                .violation(knowledge, format!("a read at node {node} of the equal core missed {dot}, {age} ms old")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, op};
    use super::super::{Suite, all};
    use super::*;
    use crate::history::Opened;

    /// Node 0 has made a write that node 1 does not have, and nodes 0, 1 and 2 read.
    fn reads() -> History {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(2, &[a], &[a]);
        for node in 0..3 {
            history.op(op(node, OpKind::Read, None, &[]));
        }
        history
    }

    #[test]
    fn ages_of_reads_are_measured() {
        let mut suite = Suite::of(all());
        suite.extend(reads().records);
        let staleness = suite.staleness();
        assert_eq!((staleness.reads(), staleness.stale_reads()), (3, 1));
        assert_eq!([0, 50, 66, 67, 100].map(|percent| staleness.percentile(percent)), [0, 0, 0, 4000, 4000]);
        assert_eq!(Staleness::default().percentile(50), 0);
    }

    #[test]
    fn reads_of_the_equal_core_are_not_measured() {
        let mut history = reads();
        history.healed(&[0, 1]).converged(0).op(op(0, OpKind::Read, None, &[]));
        let mut suite = Suite::of(all());
        suite.extend(history.records);
        assert_eq!(suite.staleness().reads(), 3);
    }

    #[test]
    fn stale_reads_before_convergence_are_fine_and_so_are_fresh_ones_after_it() {
        let mut history = reads();
        history.state(1, &[dot(1, 1)], &[dot(1, 1)]).healed(&[0, 1]).converged(0);
        history.op(op(1, OpKind::Read, None, &[dot(1, 1)]));
        assert_eq!(judge(Staleness::default(), &history), None);
    }

    #[test]
    fn a_stale_read_in_an_equal_core_is_found() {
        let mut history = reads();
        history.healed(&[0, 1]).converged(0).op(op(1, OpKind::Read, None, &[]));
        finds(Staleness::default(), &history, "a read at node 1 of the equal core missed");
    }

    #[test]
    fn a_node_that_is_wiped_after_convergence_is_found() {
        let mut history = reads();
        history.state(1, &[dot(1, 1)], &[dot(1, 1)]).healed(&[0, 1]).converged(0);
        history.life(0, Opened::Wiped, vec![], &[]).op(op(0, OpKind::Read, None, &[]));
        finds(Staleness::default(), &history, "a read at node 0");
    }

    #[test]
    fn what_only_nodes_outside_the_core_have_is_not_missed() {
        let mut history = reads();
        history.healed(&[1]).converged(0).op(op(1, OpKind::Read, None, &[]));
        assert_eq!(judge(Staleness::default(), &history), None);
    }
}
