//! What a person sees.

use std::collections::BTreeSet;

use anti_entropy::Version;

use crate::cluster::{Cluster, State, roots};
use crate::pattern::Pattern;
use crate::report::Report;
use crate::shared::program::Report as _;
use crate::shared::terminal::{Terminal, bytes};

/// A line for every replica. Equal roots have the same colour.
pub(crate) fn table(terminal: &mut Terminal, cluster: &Cluster, states: &[State]) {
    let colours = ["32", "33", "35", "34", "31"];
    let different: Vec<_> = roots(states).into_iter().collect();
    let heading =
        format!("  {:<6} {:>8} {:>10}   {:<18} {:>10}", "node", "entries", "conflicts", "root", "sent so far");
    let heading = terminal.styled("2", &heading);
    terminal.line(&heading);
    for (node, state) in cluster.nodes.iter().zip(states) {
        let colour = different.iter().position(|root| *root == state.status.root).unwrap_or(0);
        let root = terminal.styled(colours[colour % colours.len()], &state.status.root.to_string()[..16]);
        terminal.line(&format!(
            "  {:<6} {:>8} {:>10}   {root}.. {:>11}",
            node.name.as_str(),
            state.status.entries,
            state.status.conflicts,
            bytes(state.status.engine.bytes_sent)
        ));
    }
    let count = match different.len() {
        1 => "1 root: all are equal.".into(),
        several => format!("{several} roots."),
    };
    terminal.line(&format!("  {count}"));
}

/// What moving cost, beside what copying the whole store to the four others would have.
pub(crate) fn moved(terminal: &mut Terminal, moved: u64, full_copy: u64) {
    terminal.line(&format!(
        "  {} moved in all; a full copy to four replicas takes {}.",
        bytes(moved),
        bytes(full_copy)
    ));
}

/// One key at which both sides wrote, as an example.
pub(crate) fn conflict(terminal: &mut Terminal, state: &State) {
    // Preferably one at which the versions are not all alike.
    let confidences = |versions: &[Version<Pattern>]| {
        versions.iter().map(|version| version.value.meta.confidence.to_bits()).collect::<BTreeSet<_>>().len()
    };
    let most = state.entries.iter().max_by_key(|(_, versions)| (confidences(versions), versions.len()));
    let Some((key, versions)) = most.filter(|(_, versions)| versions.len() > 1) else { return };
    terminal.line(&format!("  For example {key} has {} siblings until somebody decides:", versions.len()));
    for version in versions {
        let confidence = version.value.meta.confidence;
        terminal.line(&format!("    written as {}, confidence {confidence:.3}", version.dot));
    }
}

/// How it ended, and what that means.
pub(crate) fn report(terminal: &mut Terminal, report: &Report) {
    let Report { replicas, entries, conflicts, audit, .. } = report;
    let verdict =
        if report.is_sound() { terminal.styled("1;32", "Certified:") } else { terminal.styled("1;31", "Failed:") };
    if report.converged {
        terminal.line(&format!(
            "\n{verdict} all {replicas} replicas have the Merkle root\n  {}\nover {entries} entries, each pair of them \
             compared it, and they have seen the same writes. Equal roots mean equal\nstores: every version and every \
             delete, bit for bit. {conflicts} keys hold concurrent versions; nothing chose between them.",
            report.root
        ));
    } else {
        terminal.line(&format!(
            "\n{verdict} the replicas did not certify that they are equal within a minute: they have {} different \
             roots.\nLook for a firewall on the loopback interface, or a machine that has no time to spare.",
            report.distinct_roots
        ));
    }
    terminal.line(&format!(
        "By the record of what was issued ({} writes, {} deletes), {} writes were replaced or deleted, {} of the \
         others are lost,\n{} came back, and {} versions are held that nobody wrote.",
        audit.writes, audit.deletes, audit.replaced, audit.lost, audit.resurrected, audit.invented
    ));
    for example in &audit.examples {
        terminal.line(&format!("  For example, {example}."));
    }
    terminal.line(&format!(
        "Healing moved {} in all, a full copy to four replicas takes {}. From start to end {} of values were sent, \
         and {} needed.",
        bytes(report.healing_bytes),
        bytes(report.full_copy_bytes),
        bytes(report.value_bytes_sent),
        bytes(report.value_bytes_needed)
    ));
}
