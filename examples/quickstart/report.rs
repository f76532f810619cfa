//! The result, in numbers.

use std::time::Duration;

use crate::cluster::{State, roots};
use crate::ledger::Audit;
use crate::shared::program;
use crate::shared::terminal::Terminal;
use crate::show;

/// What came of it all.
pub(crate) struct Report {
    pub(crate) replicas: usize,
    pub(crate) entries: u64,
    /// Whether the replicas certified that they are equal, in time, and roots and contexts are equal indeed.
    pub(crate) converged: bool,
    pub(crate) distinct_roots: usize,
    pub(crate) root: String,
    pub(crate) rounds: u64,
    pub(crate) sessions: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) value_bytes_sent: u64,
    pub(crate) value_bytes_needed: u64,
    pub(crate) audit: Audit,
    /// Keys with concurrent versions after healing. Nothing resolved them since.
    pub(crate) conflicts: usize,
    pub(crate) elapsed: Duration,
    /// Bytes of all frames sent since the cut was healed, and of a copy of the store to all replicas but one.
    pub(crate) healing_bytes: u64,
    pub(crate) full_copy_bytes: u64,
}

impl Report {
    /// The report on the replicas as they are at the end, if `certified` by themselves.
    pub(crate) fn new(states: &[State], certified: bool, audit: Audit, elapsed: Duration) -> Self {
        let distinct_roots = roots(states).len();
        let first = &states[0];
        let same_context = states.iter().all(|state| state.context == first.context);
        let sum = |of: fn(&State) -> u64| states.iter().map(of).sum();
        Self {
            replicas: states.len(),
            entries: states.iter().map(|state| state.status.entries).max().unwrap_or(0),
            converged: certified && distinct_roots == 1 && same_context,
            distinct_roots,
            root: first.status.root.to_string(),
            rounds: sum(|state| state.status.engine.rounds),
            sessions: sum(|state| state.status.engine.sessions_opened),
            bytes_sent: sum(|state| state.status.engine.bytes_sent),
            value_bytes_sent: sum(|state| state.status.engine.value_bytes_sent),
            value_bytes_needed: sum(|state| state.status.replica.value_bytes_needed),
            audit,
            conflicts: states.iter().map(|state| state.status.conflicts).max().unwrap_or(0),
            elapsed,
            healing_bytes: 0,
            full_copy_bytes: (states.len() as u64 - 1) * first.value_bytes(),
        }
    }
}

impl program::Report for Report {
    fn is_sound(&self) -> bool {
        let Audit { lost, resurrected, invented, .. } = self.audit;
        self.converged && lost + resurrected + invented == 0
    }

    fn show(&self, terminal: &mut Terminal) {
        show::report(terminal, self);
    }

    fn to_json(&self) -> String {
        let object = serde_json::json!({
            "replicas": self.replicas,
            "entries": self.entries,
            "converged": self.converged,
            "distinct_roots": self.distinct_roots,
            "rounds": self.rounds,
            "sessions": self.sessions,
            "bytes_sent": self.bytes_sent,
            "value_bytes_sent": self.value_bytes_sent,
            "value_bytes_needed": self.value_bytes_needed,
            "lost_writes": self.audit.lost,
            "resurrected": self.audit.resurrected,
            "conflicts": self.conflicts,
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        object.to_string()
    }
}
