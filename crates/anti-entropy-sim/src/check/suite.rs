//! Several checkers over one history.

use super::{Checker, Knowledge, Staleness, Violation, all};
use crate::history::Record;

/// Feeds records to checkers, and keeps the first violation of each.
pub struct Suite {
    knowledge: Knowledge,
    /// The checkers that have found nothing yet.
    checkers: Vec<Box<dyn Checker>>,
    violations: Vec<Violation>,
    staleness: Staleness,
}

/// A suite of [`all`] checkers.
impl Default for Suite {
    fn default() -> Self {
        Self::of(all())
    }
}

impl Suite {
    /// A suite of these checkers.
    pub fn of(checkers: Vec<Box<dyn Checker>>) -> Self {
        Self { knowledge: Knowledge::default(), checkers, violations: Vec::new(), staleness: Staleness::default() }
    }

    /// Checks the next record.
    pub fn observe(&mut self, record: &Record) {
        let Self { knowledge, checkers, violations, staleness } = self;
        knowledge.apply(record);
        staleness.measure(record, knowledge);
        checkers.retain_mut(|checker| match checker.observe(record, knowledge) {
            Ok(()) => true,
            Err(violation) => {
                violations.push(violation);
                false
            }
        });
    }

    /// The violations so far in the order in which they were found; at most one for each checker.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter()
    }

    /// The staleness of reads, which is measured with any checkers.
    pub fn staleness(&self) -> &Staleness {
        &self.staleness
    }

    /// The state after the records so far.
    pub fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }
}

/// Checks the records one after the other.
impl Extend<Record> for Suite {
    fn extend<T: IntoIterator<Item = Record>>(&mut self, records: T) {
        records.into_iter().for_each(|record| self.observe(&record));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::{ROUND, dot, end, finds_all, key, op, value};
    use super::super::{by_name, testing};
    use super::*;
    use crate::history::*;

    /// The number of a node or key.
    fn number(index: usize) -> u32 {
        u32::try_from(index).unwrap()
    }

    /// A cluster without a network: nodes take over each other's whole state of a key.
    #[derive(Clone, Default)]
    struct Replica {
        covered: Vec<BTreeSet<WriteName>>,
        held: Vec<BTreeSet<WriteName>>,
    }

    impl Replica {
        fn state(&self, key: usize, covered: Vec<WriteName>) -> KeyState {
            let held: Vec<_> = self.held[key].iter().copied().collect();
            KeyState { key: number(key), held: testing::held(&held), covered, forgotten: vec![] }
        }

        fn all(&self) -> Vec<KeyState> {
            (0..self.held.len()).map(|key| self.state(key, self.covered[key].iter().copied().collect())).collect()
        }

        /// Rule 3 of the data model.
        fn join(&mut self, other: &Self, key: usize) -> Option<KeyState> {
            let new: Vec<_> = other.covered[key].difference(&self.covered[key]).copied().collect();
            let (mine, theirs) = (&self.held[key], &other.held[key]);
            let kept = mine.iter().filter(|dot| theirs.contains(dot) || !other.covered[key].contains(dot));
            let taken = theirs.iter().filter(|dot| !self.covered[key].contains(dot));
            self.held[key] = kept.chain(taken).copied().collect();
            self.covered[key].extend(&new);
            (!new.is_empty()).then(|| self.state(key, new))
        }
    }

    /// A clean run of so many nodes and operations at 8 keys.
    fn run(nodes: u32, ops: u64) -> testing::History {
        let mut history = testing::History::new();
        if let Record::Start(start) = &mut history.records[0] {
            start.nodes = nodes;
        }
        for node in 3..nodes {
            history.life(node, Opened::New, vec![], &[]);
        }
        let empty = Replica { covered: vec![BTreeSet::new(); 8], held: vec![BTreeSet::new(); 8] };
        let mut replicas = vec![empty; nodes as usize];
        let mut random = fastrand::Rng::with_seed(7);
        let mut counters = vec![0; nodes as usize];
        for _ in 0..ops {
            let (at, key) = (random.usize(..nodes as usize), random.usize(..8));
            let node = number(at);
            let seen: Vec<_> = replicas[at].held[key].iter().copied().collect();
            let kind = [OpKind::Write, OpKind::Write, OpKind::Read, OpKind::Delete][random.usize(..4)];
            if kind == OpKind::Delete && seen.is_empty() {
                continue;
            }
            let name = (kind != OpKind::Read).then(|| {
                counters[at] += 1;
                dot(u128::from(node), counters[at])
            });
            let value = name.filter(|_| kind == OpKind::Write).map(value);
            history.op(Op { key: number(key), value, ..op(node, kind, name, &seen) });
            if let Some(name) = name {
                replicas[at].covered[key].insert(name);
                replicas[at].held[key] = (kind == OpKind::Write).then_some(name).into_iter().collect();
                history.state_of(node, vec![replicas[at].state(key, vec![name])], true);
            }
            for _ in 0..3 {
                gossip(&mut replicas, &mut history, &mut random);
            }
        }
        heal(replicas, history)
    }

    fn gossip(replicas: &mut [Replica], history: &mut testing::History, random: &mut fastrand::Rng) {
        let from = replicas[random.usize(..replicas.len())].clone();
        let to = random.usize(..replicas.len());
        let keys: Vec<_> = (0..8).filter_map(|key| replicas[to].join(&from, key)).collect();
        if !keys.is_empty() {
            history.state_of(number(to), keys, true);
        }
    }

    fn heal(mut replicas: Vec<Replica>, mut history: testing::History) -> testing::History {
        let core: Vec<_> = (0..number(replicas.len())).collect();
        history.healed(&core);
        for round in 0..2 * replicas.len() - 1 {
            let (from, to) = (round % replicas.len(), (round + 1) % replicas.len());
            let from = replicas[from].clone();
            let keys: Vec<_> = (0..8).filter_map(|key| replicas[to].join(&from, key)).collect();
            history.state_of(number(to), keys, true);
        }
        history.converged(ROUND);
        for (node, replica) in (0..).zip(&replicas) {
            history.push(Record::End(end(node, replica.all())));
        }
        history
    }

    #[test]
    fn a_clean_run_passes_all_checkers() {
        let mut suite = Suite::default();
        suite.extend(run(7, 300).records);
        assert_eq!(suite.violations().collect::<Vec<_>>(), Vec::<&Violation>::new());
        assert!(suite.staleness().reads() > 0);
    }

    #[test]
    fn every_checker_keeps_its_first_violation() {
        let a = dot(1, 1);
        let mut history = testing::History::new();
        history.state(0, &[a], &[a]).state(0, &[], &[]).state(0, &[a], &[]);
        assert_eq!(finds_all(&history), ["S2", "S1", "S5", "S7", "S3"]);
    }

    #[test]
    fn a_file_is_judged_like_the_run() {
        let mut history = testing::History::new();
        history.write(0, dot(1, 1), &[]).state(0, &[], &[dot(1, 1)]).end(0, vec![key(&[], &[])]);
        let mut file = Vec::new();
        for record in &history.records {
            write_line(&mut file, record).unwrap();
        }
        let mut suite = Suite::default();
        suite.extend(read(file.as_slice()).map(Result::unwrap));
        let found: Vec<_> = suite.violations().map(|violation| violation.invariant).collect();
        assert_eq!(found, finds_all(&history));
        assert!(found.contains(&"S1"));
    }

    #[test]
    fn checkers_are_found_by_their_names() {
        let names: BTreeSet<_> = all().iter().map(|checker| checker.name()).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.iter().all(|name| by_name(&name.to_lowercase()).is_some_and(|found| found.name() == *name)));
        assert!(by_name("S99").is_none());
    }

    /// `cargo test --release -p anti-entropy-sim -- --ignored --nocapture cost_of_a_run`
    #[test]
    #[ignore = "it measures"]
    fn cost_of_a_run() {
        let history = run(25, 1000);
        let began = std::time::Instant::now();
        for _ in 0..100 {
            let mut suite = Suite::default();
            for record in &history.records {
                suite.observe(record);
            }
            assert_eq!(suite.violations().next(), None);
        }
        println!("{} records: {:?} a run", history.records.len(), began.elapsed() / 100);
    }
}
