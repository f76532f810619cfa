//! S3: no resurrection.

use super::{Checker, Knowledge, Violation};
use crate::history::Record;

/// S3: a node never again holds a version that it has seen replaced or deleted, or has seen and no longer holds, within one
/// life of its store.
#[derive(Debug, Default)]
pub struct Resurrection;

impl Checker for Resurrection {
    fn name(&self) -> &'static str {
        "S3"
    }

    fn observe(&mut self, _: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        for change in knowledge.changes() {
            let Some(node) = knowledge.node(change.node) else { continue };
            let replaced = |&&(id, _): &&_| knowledge.events().is_replaced(id, &node.covered);
            let dead = change.held.iter().find(replaced).map(|&(id, _)| (id, "although it has seen what replaces it"));
            let dead = dead.or_else(|| Some((*change.returned.first()?, "again, after it was gone there")));
            if let Some((id, why)) = dead {
                let detail = format!("node {} holds {} {why}, key {}", change.node, knowledge.dot(id), change.key);
                return Err(self.violation(knowledge, detail));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key};
    use super::*;
    use crate::history::Opened;

    /// Node 0 has seen the write `1:1` and its delete.
    fn deleted() -> History {
        let (a, gone) = (dot(1, 1), dot(1, 2));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]);
        history.delete(0, gone, &[a]).state(0, &[], &[gone]);
        history
    }

    #[test]
    fn the_deleted_stays_away_and_a_store_put_back_may_have_it() {
        let (a, gone) = (dot(1, 1), dot(1, 2));
        let mut history = deleted();
        history.state(1, &[], &[gone]).life(1, Opened::Restored, vec![key(&[a], &[a])], &[]).state(1, &[], &[gone]);
        history.life(0, Opened::Wiped, vec![], &[]).state(0, &[a], &[a]);
        assert_eq!(judge(Resurrection, &history), None);
    }

    #[test]
    fn a_deleted_version_that_comes_back_is_found() {
        let mut history = deleted();
        history.state(0, &[dot(1, 1)], &[]);
        finds(Resurrection, &history, "although it has seen what replaces it");
    }

    #[test]
    fn a_deleted_version_that_comes_back_with_a_restart_is_found() {
        let (a, gone) = (dot(1, 1), dot(1, 2));
        let mut history = deleted();
        history.life(0, Opened::Restarted, vec![key(&[a], &[a, gone])], &[]);
        finds(Resurrection, &history, "although it has seen what replaces it");
    }

    #[test]
    fn a_version_that_was_seen_and_not_held_and_comes_later_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(1, &[], &[a]).state(1, &[a], &[]);
        finds(Resurrection, &history, "again, after it was gone");
    }

    #[test]
    fn a_delete_that_leaves_the_version_is_found() {
        let mut history = deleted();
        history.state(1, &[dot(1, 1)], &[dot(1, 2)]);
        finds(Resurrection, &history, "although it has seen what replaces it");
    }
}
