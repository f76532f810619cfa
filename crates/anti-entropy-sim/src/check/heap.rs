//! S9 by bytes: what a node has on the heap is bounded.

use super::{Checker, Knowledge, Violation};
use crate::history::Record;

/// S9 by bytes: a core node has at most as much on the heap, besides its store, as the scenario says, at every step. Judged where
/// bytes are counted; see [`count_heap`](crate::world::count_heap).
#[derive(Debug, Default)]
pub(crate) struct BoundedHeap;

impl Checker for BoundedHeap {
    fn name(&self) -> &'static str {
        "S9 by bytes"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let Record::Heap(heap) = record else { return Ok(()) };
        match heap.limit_bytes {
            Some(limit) if heap.most_bytes > limit => {
                let (node, most, held) = (heap.node, heap.most_bytes, heap.held_bytes);
                let detail = format!("node {node} had {most} bytes on the heap, and has {held}: more than {limit}");
                Err(self.violation(knowledge, detail))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, finds, judge};
    use super::*;
    use crate::history::Heap;

    fn heap(most_bytes: u64, limit_bytes: Option<u64>) -> History {
        let mut history = History::new();
        history.push(Record::Heap(Heap { at: 1, node: 2, held_bytes: 10, most_bytes, limit_bytes }));
        history
    }

    #[test]
    fn a_heap_within_its_limit_is_fine_and_one_without_a_limit_as_well() {
        assert_eq!(judge(BoundedHeap, &heap(100, Some(100))), None);
        assert_eq!(judge(BoundedHeap, &heap(100, None)), None);
    }

    #[test]
    fn a_heap_that_was_too_large_is_found_whatever_is_left_of_it() {
        finds(BoundedHeap, &heap(101, Some(100)), "node 2 had 101 bytes on the heap, and has 10: more than 100");
    }
}
