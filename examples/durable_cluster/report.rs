//! The result, in numbers.

use std::time::Duration;

use crate::terminal::Terminal;

/// What came of it all.
pub(crate) struct Report {
    pub(crate) processes: usize,
    /// Writes and deletes that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Acknowledged writes that a node does not hold at the end.
    pub(crate) lost_writes: usize,
    /// Keys that a node holds although their deletion was acknowledged.
    pub(crate) resurrected: usize,
    pub(crate) distinct_roots: usize,
    /// From the start of the process that was killed until it takes requests again.
    pub(crate) restart: Duration,
    /// From the same moment until all have certified that they are equal.
    pub(crate) converge: Duration,
}

impl Report {
    /// Whether everything is as it must be.
    pub(crate) fn is_sound(&self) -> bool {
        self.lost_writes == 0 && self.resurrected == 0 && self.distinct_roots == 1
    }

    pub(crate) fn show(&self, terminal: &mut Terminal) {
        let verdict = if self.is_sound() {
            terminal.styled("1;32", "Nothing is lost:")
        } else {
            terminal.styled("1;31", "Something is wrong:")
        };
        terminal.line(&format!(
            "\n{verdict} of {} writes and deletes that were acknowledged, {} writes are missing somewhere and {} deletes \
             were\nundone; the {} nodes have {} root, and each has certified it with each other one.",
            self.acknowledged, self.lost_writes, self.resurrected, self.processes, self.distinct_roots
        ));
    }

    /// The report as one flat JSON object.
    pub(crate) fn to_json(&self) -> String {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let object = serde_json::json!({
            "processes": self.processes,
            "acknowledged": self.acknowledged,
            "lost_writes": self.lost_writes,
            "resurrected": self.resurrected,
            "distinct_roots": self.distinct_roots,
            "restart_ms": ms(self.restart),
            "converge_ms": ms(self.converge),
        });
        object.to_string()
    }
}
