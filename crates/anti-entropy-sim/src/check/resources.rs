//! S9: resources are bounded.

use super::{Checker, Knowledge, Violation};
use crate::history::Record;

/// S9: a node never exceeds the limits of its resources.
#[derive(Debug, Default)]
pub struct BoundedResources;

impl Checker for BoundedResources {
    fn name(&self) -> &'static str {
        "S9"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        if let Record::Strain { node, what, used, limit, .. } = record
            && used > limit
        {
            return Err(self.violation(knowledge, format!("node {node} has {used} {what}, more than {limit}")));
        }
        let (Record::Usage(usage), Some(start)) = (record, knowledge.start()) else { return Ok(()) };
        let limits = &start.limits;
        let resources = [
            ("bytes of a frame", usage.frame_bytes, limits.frame_bytes),
            ("sessions", usage.sessions, limits.sessions),
            ("queued frames", usage.queued_frames, limits.queued_frames),
            ("peers", usage.peers, limits.peers),
            ("pieces of a context", usage.context_pieces, limits.context_pieces),
        ];
        match resources.into_iter().find(|&(_, used, limit)| used > limit) {
            Some((what, used, limit)) => {
                let detail = format!("node {} has {used} {what} in use, more than {limit}", usage.node);
                Err(self.violation(knowledge, detail))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, finds, judge};
    use super::*;
    use crate::history::Usage;

    fn full() -> Usage {
        let (sessions, queued_frames, peers, context_pieces) = (4, 10, 2, 8);
        let (at, node, frame_bytes, oldest_session_us) = (0, 1, 100, 0);
        Usage { at, node, frame_bytes, sessions, queued_frames, peers, context_pieces, oldest_session_us }
    }

    fn history(usage: &Usage) -> History {
        let mut history = History::new();
        history.usage(usage);
        history
    }

    #[test]
    fn limits_that_are_reached_are_fine() {
        assert_eq!(judge(BoundedResources, &history(&full())), None);
    }

    #[test]
    fn what_hostile_members_use_up_is_found_beyond_its_limit() {
        let strain = |used| {
            let mut history = History::new();
            let what = "ids that nobody has".to_owned();
            history.push(Record::Strain { at: 1, node: 2, what, used, limit: 9 });
            history
        };
        assert_eq!(judge(BoundedResources, &strain(9)), None);
        finds(BoundedResources, &strain(10), "node 2 has 10 ids that nobody has, more than 9");
    }

    #[test]
    fn each_limit_that_is_passed_is_found() {
        let passed = [
            (Usage { frame_bytes: 101, ..full() }, "bytes of a frame"),
            (Usage { sessions: 5, ..full() }, "5 sessions in use"),
            (Usage { queued_frames: 11, ..full() }, "queued frames"),
            (Usage { peers: 3, ..full() }, "peers"),
            (Usage { context_pieces: 9, ..full() }, "pieces of a context"),
        ];
        for (usage, words) in passed {
            finds(BoundedResources, &history(&usage), words);
        }
    }
}
