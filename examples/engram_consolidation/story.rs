//! What happens: gen1, converge, cut, gen2 and updates on both sides, heal, converge, and judge.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anti_entropy_engram::view::SemanticView;
use anti_entropy_engram::{ConsolidationSnapshot, SemanticPattern};

use crate::cluster::{Cluster, State};
use crate::data::Data;
use crate::ledger::Ledger;
use crate::report::Report;
use crate::shared::five::{Failure, NODES};
use crate::shared::terminal::Terminal;
use crate::shared::watch::watch;
use crate::show;

/// How many patterns gain confidence on one side of the cut, and lose some on the other.
const UPDATED: usize = 6;

/// Nodes by their place: one on either side of the cut.
const NODE_1: usize = 0;
const NODE_4: usize = 3;

/// Runs it all and reports.
pub(crate) async fn tell(data: Data, terminal: &mut Terminal) -> Result<Report, Failure> {
    let mut cluster = Cluster::start(&data.space, data.input)?;
    let mut ledger = Ledger::default();
    let [first, second] = data.generations;
    terminal.title("Five nodes of a semantic memory, each with what it consolidated from the episodes that it saw");

    terminal.stage("Every node hands over its gen1, and they converge", "A snapshot is compared with the node's last.");
    rebuild(&cluster, &mut ledger, first).await?;
    let mut certified = watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let before = cluster.states().await?;
    show::table(terminal, &before);

    terminal.stage(
        "The network is cut: {1, 2} | {3, 4, 5}",
        "Every node hands over its gen2, from more episodes. Both sides become equal among themselves.",
    );
    cluster.set_cut(true);
    let updated = rebuild(&cluster, &mut ledger, with_updates(second, &before)).await?;
    terminal.line(&format!(
        "  {updated} patterns are new or changed. Node 1 has become surer of {UPDATED} that all had, and node 4 less sure."
    ));
    certified &= watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    show::table(terminal, &cluster.states().await?);

    terminal
        .stage("The network heals, and all converge", "Every node's version is kept; resolving happens when reading.");
    cluster.set_cut(false);
    certified &= watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let after = cluster.states().await?;
    show::table(terminal, &after);

    terminal.stage(
        "Every node computes its view",
        "A pure function of what is held: conflicts between different patterns.",
    );
    let (views, view_time) = views(&cluster).await?;
    show::view(terminal, &views[NODE_1]);
    let report = Report::new(&before, &after, &views, certified, view_time, &ledger);
    cluster.shut_down().await?;
    Ok(report)
}

/// Every node hands over its snapshot. Gives how many patterns were written.
async fn rebuild(
    cluster: &Cluster,
    ledger: &mut Ledger,
    snapshots: [ConsolidationSnapshot; NODES],
) -> Result<usize, Failure> {
    let mut written = 0;
    for (node, snapshot) in snapshots.into_iter().enumerate() {
        let rebuilt = cluster.rebuild(node, snapshot.clone()).await?;
        ledger.record(cluster.nodes[node].name.as_str(), &snapshot, &rebuilt);
        written += rebuilt.written;
    }
    Ok(written)
}

/// The snapshots, where on either side of the cut one node has consolidated some patterns again that all nodes held before.
fn with_updates(mut snapshots: [ConsolidationSnapshot; NODES], before: &[State]) -> [ConsolidationSnapshot; NODES] {
    for (_, versions) in before[NODE_1].entries.iter().take(UPDATED) {
        let held = versions.first().map(|version| SemanticPattern::from(&version.value));
        for (node, change) in
            [(NODE_1, (|confidence| f32::midpoint(confidence, 1.0)) as fn(f32) -> f32), (NODE_4, |c| c / 2.0)]
        {
            let patterns = &mut snapshots[node].patterns;
            patterns.retain(|pattern| Some(&pattern.id) != held.as_ref().map(|held| &held.id));
            patterns.extend(
                held.clone().map(|held| SemanticPattern { schema_confidence: change(held.schema_confidence), ..held }),
            );
        }
    }
    snapshots
}

/// The view of every node, and how long the first took.
async fn views(cluster: &Cluster) -> Result<(Vec<SemanticView>, Duration), Failure> {
    let started = Instant::now();
    let mut views = vec![cluster.view(NODE_1).await?];
    let time = started.elapsed();
    for node in 1..NODES {
        views.push(cluster.view(node).await?);
    }
    Ok((views, time))
}

/// The different roots of some nodes.
pub(crate) fn roots(states: &[State]) -> BTreeSet<&str> {
    states.iter().map(|state| state.status.root.as_str()).collect()
}
