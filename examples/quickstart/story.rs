//! What happens: load, converge, cut, change on both sides, heal, converge, and judge.

use std::collections::BTreeSet;
use std::time::Instant;

use anti_entropy::Missing;

use crate::cluster::{Cluster, State};
use crate::data::Data;
use crate::ledger::Ledger;
use crate::pattern::Pattern;
use crate::report::Report;
use crate::shared::five::Failure;
use crate::shared::terminal::Terminal;
use crate::shared::watch::watch;
use crate::show;

/// How many patterns are changed on both sides of the cut, and how many are deleted on one.
const CHANGED: usize = 6;
const DELETED: usize = 4;

/// Nodes by their place: the left side of the cut is 0 and 1.
const NODE_1: usize = 0;
const NODE_2: usize = 1;
const NODE_4: usize = 3;

/// Runs it all and reports.
pub(crate) async fn tell(data: Data, terminal: &mut Terminal) -> Result<Report, Failure> {
    let started = Instant::now();
    let cluster = Cluster::start().await?;
    let mut ledger = Ledger::default();
    terminal
        .title("Five replicas, each with what one node of a semantic memory consolidated, over TCP on this machine");

    terminal.stage("Every node loads its own gen1", "Gossip begins by itself; little has moved yet.");
    adopt(&cluster, &mut ledger, &data.generations[0]).await?;
    show::table(terminal, &cluster, &cluster.states().await?);

    terminal.stage("They converge", "Each compares Merkle roots with its peers and fetches what differs.");
    let mut certified = watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let loaded = cluster.states().await?;
    show::table(terminal, &cluster, &loaded);
    show::moved(terminal, bytes_sent(&loaded), 4 * loaded[0].value_bytes());

    terminal.stage("The network is cut: {1, 2} | {3, 4, 5}", "Both sides go on, and become equal among themselves.");
    cluster.set_cut(true);
    adopt(&cluster, &mut ledger, &data.generations[1]).await?;
    terminal.line("Every node loads its own gen2; what has not changed is not written.");
    certified &= watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let (changed, deleted) = change(&cluster, &mut ledger, &data, &loaded[NODE_1]).await?;
    terminal.line(&format!(
        "{changed} patterns are changed on both sides: node1 gains confidence in them, node4 loses some. \
         {deleted} are deleted on node2."
    ));
    certified &= watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let apart = cluster.states().await?;
    show::table(terminal, &cluster, &apart);

    terminal.stage(
        "The network heals, and all converge",
        "Concurrent versions are kept as siblings; deletes stay deletes.",
    );
    cluster.set_cut(false);
    certified &= watch(terminal, cluster.converge(), || cluster.distinct_roots()).await?;
    let healed = cluster.states().await?;
    show::table(terminal, &cluster, &healed);
    show::conflict(terminal, &healed[NODE_1]);

    let audit = ledger.audit(&healed);
    let mut report = Report::new(&healed, certified, audit, started.elapsed());
    report.healing_bytes = bytes_sent(&healed) - bytes_sent(&apart);
    show::moved(terminal, report.healing_bytes, report.full_copy_bytes);
    cluster.shut_down().await?;
    Ok(report)
}

/// Every node takes over its file.
async fn adopt(cluster: &Cluster, ledger: &mut Ledger, patterns: &[Vec<Pattern>]) -> Result<(), Failure> {
    for (index, (node, patterns)) in cluster.nodes.iter().zip(patterns).enumerate() {
        // What a file does not name is kept: it may be another node's.
        let adopted = node.handle.adopt(patterns.clone(), Missing::Keep).await?;
        ledger.adopted(index, patterns, &adopted);
    }
    Ok(())
}

/// Changes some patterns that all nodes had before the cut on both sides of it, and deletes others on one side. Returns how
/// many of each.
async fn change(
    cluster: &Cluster,
    ledger: &mut Ledger,
    data: &Data,
    before: &State,
) -> Result<(usize, usize), Failure> {
    // To be deleted are preferably those that no gen2 on the other side writes again, since such a write survives.
    let [_, _, right @ ..] = &data.generations[1];
    let rewritten: BTreeSet<&str> = right.iter().flatten().map(|pattern| pattern.id.as_str()).collect();
    let mut keys: Vec<&String> = before.entries.iter().map(|(key, _)| key).collect();
    keys.sort_by_key(|key| (!rewritten.contains(key.as_str()), *key));
    let changed = &keys[..keys.len().min(CHANGED)];
    let deleted = &keys[keys.len() - (keys.len() - changed.len()).min(DELETED)..];
    for key in changed {
        write(cluster, ledger, NODE_1, key, |confidence| f64::midpoint(confidence, 1.0)).await?;
        write(cluster, ledger, NODE_4, key, |confidence| confidence * 0.9).await?;
    }
    for key in deleted {
        if let Some(gone) = cluster.nodes[NODE_2].handle.delete((*key).clone()).await? {
            ledger.record(NODE_2, &gone, None);
        }
    }
    Ok((changed.len(), deleted.len()))
}

/// Reads a pattern at a node, and writes it with another confidence in place of what was read.
async fn write(
    cluster: &Cluster,
    ledger: &mut Ledger,
    node: usize,
    key: &str,
    change: impl Fn(f64) -> f64,
) -> Result<(), Failure> {
    let handle = &cluster.nodes[node].handle;
    let read = handle.read(key.to_owned()).await?;
    let seen = read.seen();
    if let Some(mut pattern) = read.into_value() {
        pattern.meta.confidence = change(pattern.meta.confidence);
        let written = handle.write_seen(pattern.clone(), seen).await?;
        ledger.record(node, &written, Some(&pattern));
    }
    Ok(())
}

fn bytes_sent(states: &[State]) -> u64 {
    states.iter().map(|state| state.status.engine.bytes_sent).sum()
}
