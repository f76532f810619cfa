//! Drawing operations from a seed.

use super::random::Random;
use super::{Mix, Operation, Scenario, Workload};
use crate::history::{KeyIndex, NodeIndex, OpKind};

/// The stream of these draws, which nothing else uses.
const STREAM: u64 = 0x6f70_6572_6174_696f;

impl Scenario {
    /// Draws the operations of the workload from a seed, and lists them one by one. A scenario without a workload is unchanged.
    ///
    /// Each client mostly asks one node, and sometimes another one, so that it replaces at one node what it read at another. Half
    /// of all operations are at one key.
    ///
    /// ```
    /// use anti_entropy_sim::scenario::Scenario;
    ///
    /// let scenario = Scenario::new("busy", 3).operations(40).expanded(7);
    /// assert_eq!(scenario.operations.len(), 40);
    /// assert_eq!(scenario.workload.operations, 0);
    /// ```
    pub fn expanded(mut self, seed: u64) -> Self {
        if self.workload.operations == 0 {
            return self;
        }
        let workload = core::mem::take(&mut self.workload);
        let mut clients = Clients { random: Random::new(seed, STREAM), scenario: &self, reads: Vec::new() };
        let operations = clients.operations(&workload);
        self.operations = operations;
        self
    }
}

/// Draws what clients do.
struct Clients<'a> {
    random: Random,
    scenario: &'a Scenario,
    /// Which clients have read which keys. A client that replaces what it has read should mostly have read something.
    reads: Vec<(u32, KeyIndex)>,
}

impl Clients<'_> {
    fn operations(&mut self, workload: &Workload) -> Vec<Operation> {
        let last_us = self.scenario.duration_ms.saturating_mul(1_000).saturating_sub(1);
        let mut times = (0..workload.operations).map(|_| self.random.between(0, last_us)).collect::<Vec<_>>();
        times.sort_unstable();
        times.into_iter().map(|at_us| self.operation(at_us, &workload.mix)).collect()
    }

    fn operation(&mut self, at_us: u64, mix: &Mix) -> Operation {
        let (op, transaction) = self.kind(mix);
        let process = self.random.between_u32(0, 2 * self.scenario.nodes - 1);
        let (process, keys) = match op {
            OpKind::WriteSeen | OpKind::DeleteSeen if !self.reads.is_empty() && self.random.permille(750) => {
                let (process, key) = self.random.one_of(&self.reads);
                (process, vec![key])
            }
            _ if transaction => (process, self.keys()),
            _ => (process, vec![self.key()]),
        };
        if op == OpKind::Read {
            self.reads.push((process, keys[0]));
        }
        Operation { at_us, process, node: self.node_of(process), op, keys }
    }

    /// The kind of an operation, and whether it has several keys.
    fn kind(&mut self, mix: &Mix) -> (OpKind, bool) {
        let kinds = [
            (mix.write, OpKind::Write),
            (mix.delete, OpKind::Delete),
            (mix.read, OpKind::Read),
            (mix.write_seen, OpKind::WriteSeen),
            (mix.delete_seen, OpKind::DeleteSeen),
        ];
        let mut left = self.random.between(1, mix.total());
        for (weight, kind) in kinds {
            if left <= u64::from(weight) {
                return (kind, false);
            }
            left -= u64::from(weight);
        }
        (if self.random.permille(750) { OpKind::Write } else { OpKind::Delete }, true)
    }

    fn node_of(&mut self, process: u32) -> NodeIndex {
        if self.random.permille(850) {
            process % self.scenario.nodes
        } else {
            self.random.between_u32(0, self.scenario.nodes - 1)
        }
    }

    fn key(&mut self) -> KeyIndex {
        if self.random.permille(500) { 0 } else { self.random.between_u32(0, self.scenario.keys - 1) }
    }

    /// Two or three different keys, or fewer if the scenario has fewer.
    fn keys(&mut self) -> Vec<KeyIndex> {
        let count = self.random.between_u32(2, 3).min(self.scenario.keys) as usize;
        let mut keys = vec![self.key()];
        while keys.len() < count {
            let key = self.random.between_u32(0, self.scenario.keys - 1);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_drawn_from_the_seed() {
        let scenario = || Scenario::new("", 4).keys(5).operations(4_000);
        let drawn = scenario().expanded(1);
        drawn.check().unwrap();
        assert_eq!(drawn, scenario().expanded(1));
        assert_ne!(drawn, scenario().expanded(2));
        assert_eq!(drawn.clone().expanded(2), drawn, "there is nothing left to draw");
        let share =
            |count: fn(&Operation) -> bool| drawn.operations.iter().filter(|operation| count(operation)).count();
        assert!((3_400..3_700).contains(&share(|operation| operation.process % 4 == operation.node)));
        assert!((300..500).contains(&share(|operation| operation.keys.len() > 1)));
        assert!((700..900).contains(&share(|operation| operation.op == OpKind::Read)));
        assert!(share(|operation| operation.keys == [0]) > 2_000);
        assert!(share(|operation| operation.process == 7) > 300);
        let one_key = Scenario::new("", 2).keys(1).operations(100).expanded(3);
        assert!(one_key.operations.iter().all(|operation| operation.keys == [0]));
    }
}
