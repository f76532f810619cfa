//! What a person sees.

use anti_entropy_engram::view::{Conflict, SemanticView};

use crate::cluster::State;
use crate::report::Report;
use crate::shared::program::Report as _;
use crate::shared::terminal::{Terminal, bytes};
use crate::story::roots;

/// How many patterns that were left out are listed.
const SHOWN: usize = 5;

/// A line for every node. Equal roots have the same colour.
pub(crate) fn table(terminal: &mut Terminal, states: &[State]) {
    let colours = ["32", "33", "35", "34", "31"];
    let different = roots(states);
    let heading =
        format!("  {:<6} {:>8} {:>12}   {:<18} {:>11}", "node", "patterns", "conflicting", "root", "sent so far");
    let heading = terminal.styled("2", &heading);
    terminal.line(&heading);
    for State { status, .. } in states {
        let colour = different.iter().position(|root| *root == status.root).unwrap_or(0);
        let root = terminal.styled(colours[colour % colours.len()], &status.root[..16]);
        terminal.line(&format!(
            "  {:<6} {:>8} {:>12}   {root}.. {:>11}",
            status.node.as_str(),
            status.patterns,
            status.conflicts.type3,
            bytes(status.bytes_sent)
        ));
    }
    let count = match different.len() {
        1 => "1 root: all are equal.".into(),
        several => format!("{several} roots."),
    };
    terminal.line(&format!("  {count}"));
}

/// How many conflicts there are, and one of each type.
pub(crate) fn view(terminal: &mut Terminal, view: &SemanticView) {
    let counts = view.counts();
    terminal.line(&format!("  {} items, view {}..", view.len(), &view.hash().to_string()[..16]));
    let types = [
        (counts.type1, "mostly the same episodes, close meanings", "merged where every pair of a cluster is"),
        (counts.type2, "close meanings, other episodes", "both kept and linked, confidence lowered"),
        (counts.type3, "versions of one pattern that differ", "put to the vote"),
        (counts.type4, "the same episodes, other meanings", "both kept, confidence lowered"),
    ];
    for (kind, (count, what, done)) in (1..).zip(types) {
        let heading = terminal.styled("1", &format!("type {kind}"));
        terminal.line(&format!("  {heading}: {count:>4}  {what}: {done}"));
        if let Some(conflict) = example(view, kind) {
            describe(terminal, view, &conflict);
        }
    }
    let heading = terminal.styled("1", "replicated");
    terminal.line(&format!(
        "  {heading}: {}  patterns of which several nodes say the same: no conflict",
        counts.replicated
    ));
    terminal.line(&format!("  {} clusters are merged, {} wait for an operator:", counts.merged, counts.unresolved));
    if let Some(component) = view.unresolved().next() {
        terminal.line(&format!("      {} are not all of type 1 among each other", list(&component)));
    }
}

/// The deepest disagreement of its type: the siblings that agree least, and the pair that is closest.
fn example(view: &SemanticView, kind: u8) -> Option<Conflict> {
    let depth = |conflict: &Conflict| match conflict {
        Conflict::SameCore { resolved: false, .. } => -1.0,
        Conflict::SameCore { cosine, .. } | Conflict::Similar { cosine, .. } => *cosine,
        Conflict::Siblings { agreement, .. } => 1.0 - agreement,
        Conflict::Contested { overlap, .. } => *overlap,
    };
    let of_type = view.conflicts().filter(|conflict| conflict.kind() == kind);
    of_type.max_by(|a, b| depth(a).total_cmp(&depth(b)))
}

fn describe(terminal: &mut Terminal, view: &SemanticView, conflict: &Conflict) {
    let (ids, how) = match conflict {
        Conflict::SameCore { a, b, overlap, cosine, .. }
        | Conflict::Similar { a, b, overlap, cosine }
        | Conflict::Contested { a, b, overlap, cosine, .. } => {
            (vec![a, b], format!("overlap {overlap:.2}, cosine {cosine:.3}"))
        }
        Conflict::Siblings { id, siblings, agreement } => (
            vec![id],
            format!("{siblings} versions, the deepest disagreement: they agree to {:.0} %", 100.0 * agreement),
        ),
    };
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    terminal.line(&format!("      {}: {how}", names.join(" and ")));
    let mut items: Vec<_> = ids.iter().filter_map(|id| view.item_of(id)).collect();
    items.dedup_by_key(|item| item.patterns());
    for item in items {
        let episodes: Vec<&str> = item.episodes().iter().collect();
        let (from, to) = (item.base_confidence(), item.confidence());
        let confidence = if from > to { format!("{from:.2} lowered to {to:.2}") } else { format!("{to:.2}") };
        terminal.line(&format!("        {} (confidence {confidence})", list(&episodes)));
    }
}

/// The first few of some names.
fn list(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// How it ended, and what that means.
pub(crate) fn report(terminal: &mut Terminal, report: &Report) {
    let verdict = if report.is_sound() { ("1;32", "Equal") } else { ("1;31", "Not equal") };
    let verdict = terminal.styled(verdict.0, verdict.1);
    terminal.line(&format!(
        "\n{verdict}: {} nodes, {} patterns, {} root, {} view of {} items. {} of the versions that nodes gave are lost.",
        report.nodes, report.patterns, report.distinct_roots, report.distinct_views, report.view_items, report.lost
    ));
    terminal.line(&format!(
        "The second generation moved {}; a full copy to the {} nodes that lacked some of it takes {}. {} of embeddings \
         and\nepisode lists went to nodes that held them. A view took {:.1} ms.",
        bytes(report.bytes_sent),
        report.lacking,
        bytes(report.full_copy_bytes()),
        bytes(report.resent),
        report.view_time.as_secs_f64() * 1000.0
    ));
    for refused in report.refused.iter().take(SHOWN) {
        terminal.line(&format!("Left out: {refused}"));
    }
    if report.refused.len() > SHOWN {
        terminal.line(&format!("Left out: {} more.", report.refused.len() - SHOWN));
    }
}
