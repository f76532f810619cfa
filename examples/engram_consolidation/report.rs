//! The result, in numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use anti_entropy::clock::Dot;
use anti_entropy_engram::view::{ConflictCounts, SemanticView};

use crate::cluster::State;
use crate::ledger::Ledger;
use crate::shared::program;
use crate::shared::terminal::Terminal;
use crate::show;
use crate::story::roots;

/// What came of it all.
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) patterns: usize,
    /// Whether the nodes certified that they are equal, in time.
    pub(crate) certified: bool,
    pub(crate) distinct_roots: usize,
    pub(crate) distinct_views: usize,
    pub(crate) view_items: usize,
    pub(crate) conflicts: ConflictCounts,
    /// Versions that a node gave last, and that some node does not hold.
    pub(crate) lost: usize,
    /// What the nodes told of patterns that they left out; of each once.
    pub(crate) refused: Vec<String>,
    /// How many patterns of the nodes' last snapshots are left out.
    pub(crate) standing: usize,
    /// Bytes of all frames sent since the first generation was everywhere.
    pub(crate) bytes_sent: u64,
    pub(crate) full_state_bytes: u64,
    /// How many nodes lacked any of the second generation.
    pub(crate) lacking: usize,
    /// Bytes of embeddings and episode lists that were sent, since then, to a node that held them.
    pub(crate) resent: u64,
    pub(crate) view_time: Duration,
}

impl Report {
    pub(crate) fn new(
        before: &[State],
        after: &[State],
        views: &[SemanticView],
        certified: bool,
        view_time: Duration,
        ledger: &Ledger,
    ) -> Self {
        let sent = |states: &[State]| states.iter().map(|state| state.status.bytes_sent).sum::<u64>();
        let parts = |states: &[State], which: usize| states.iter().map(|state| state.part_bytes[which]).sum::<u64>();
        let since = |which: usize| parts(after, which) - parts(before, which);
        Self {
            nodes: after.len(),
            patterns: after[0].entries.len(),
            certified,
            distinct_roots: roots(after).len(),
            distinct_views: views.iter().map(SemanticView::hash).collect::<BTreeSet<_>>().len(),
            view_items: views[0].len(),
            conflicts: views[0].counts(),
            lost: ledger.lost(after),
            refused: ledger.refused.clone(),
            standing: after.iter().map(|state| state.status.refused_patterns).sum(),
            bytes_sent: sent(after) - sent(before),
            full_state_bytes: after[0].full_bytes(),
            lacking: lacking(before, after),
            resent: since(0).saturating_sub(since(1)),
            view_time,
        }
    }

    /// Bytes of a copy of the full state to every node that lacked any of it.
    pub(crate) fn full_copy_bytes(&self) -> u64 {
        self.full_state_bytes * self.lacking as u64
    }
}

impl program::Report for Report {
    fn is_sound(&self) -> bool {
        self.certified && self.distinct_roots == 1 && self.distinct_views == 1 && self.lost == 0
    }

    fn show(&self, terminal: &mut Terminal) {
        show::report(terminal, self);
    }

    fn to_json(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a ratio is an estimate")]
        let ratio = self.bytes_sent as f64 / self.full_copy_bytes().max(1) as f64;
        let object = serde_json::json!({
            "nodes": self.nodes,
            "patterns": self.patterns,
            "distinct_roots": self.distinct_roots,
            "distinct_views": self.distinct_views,
            "view_items": self.view_items,
            "conflicts_type1": self.conflicts.type1,
            "conflicts_type2": self.conflicts.type2,
            "conflicts_type3": self.conflicts.type3,
            "conflicts_type4": self.conflicts.type4,
            "replicated": self.conflicts.replicated,
            "unresolved": self.conflicts.unresolved,
            "lost_patterns": self.lost,
            "refused": self.standing,
            "refused_told": self.refused.len(),
            "bytes_sent": self.bytes_sent,
            "full_state_bytes": self.full_state_bytes,
            "bytes_ratio": ratio,
            "embedding_bytes_resent": self.resent,
            "view_us": u64::try_from(self.view_time.as_micros()).unwrap_or(u64::MAX),
        });
        object.to_string()
    }
}

/// How many nodes lacked some version of the second generation: one that nobody held before and another node wrote.
fn lacking(before: &[State], after: &[State]) -> usize {
    let versions = |state: &State| -> Vec<(Dot, String)> {
        let all = state.entries.iter().flat_map(|(_, versions)| versions);
        all.map(|version| (version.dot, version.value.origin().to_owned())).collect()
    };
    let held: BTreeSet<Dot> = versions(&before[0]).into_iter().map(|(dot, _)| dot).collect();
    let new: Vec<String> =
        versions(&after[0]).into_iter().filter(|(dot, _)| !held.contains(dot)).map(|(_, origin)| origin).collect();
    after.iter().filter(|state| new.iter().any(|origin| *origin != state.status.node.as_str())).count()
}
