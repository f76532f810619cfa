//! What happens, stage by stage.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::Failure;
use crate::cluster::{Cluster, Node};
use crate::report::Report;
use crate::terminal::{Terminal, bytes};
use crate::wire::{Request, Status};

/// How many processes there are.
const NODES: usize = 3;

/// Which of them is killed.
const VICTIM: usize = 1;

/// How many writes each node makes before and after the kill.
const WRITES: usize = 200;

/// How long the nodes may take to notice who is there, and to become equal.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged: every key with the value that it has to have, or `None` if its deletion was acknowledged last.
type Ledger = BTreeMap<String, Option<String>>;

pub(crate) async fn tell(terminal: &mut Terminal) -> Result<Report, Failure> {
    let cluster = Cluster::new(NODES)?;
    let mut ledger = Ledger::new();
    terminal.title("Three processes, each with a database of its own, QUIC with mutual TLS between them, and SWIM");

    terminal.stage("Start", "The first knows nobody; the others are told its address, and find each other through it.");
    for node in 0..NODES {
        cluster.start(node).await?;
    }
    wait_for_members(terminal, &cluster, NODES - 1).await?;
    table(terminal, &cluster).await?;
    terminal.line("  All hold the same, as their failure detectors announce: who has heard so opens no connection.");

    terminal.stage(
        "Work",
        "All write and delete, each write is on disk when it is acknowledged, and is pushed to the others.",
    );
    let mut acknowledged = 0;
    for node in &cluster.nodes {
        acknowledged += work(node, "before", WRITES, &mut ledger).await?;
    }
    table(terminal, &cluster).await?;

    let victim = &cluster.nodes[VICTIM];
    terminal.stage(
        "Kill",
        &format!("{} is killed in the middle of its writes, as by kill -9. The others go on.", victim.name),
    );
    acknowledged += work_until_killed(victim, &mut ledger).await?;
    let killed_at = Instant::now();
    for node in others(&cluster) {
        acknowledged += work(node, "meanwhile", WRITES, &mut ledger).await?;
    }
    wait_until(terminal, "to notice", || survivors_agree_that_it_is_down(&cluster)).await?;
    let seconds = killed_at.elapsed().as_secs_f64();
    terminal.line(&format!("  The others know after {seconds:.1} s, and stopped waiting for it."));
    table(terminal, &cluster).await?;

    terminal.stage("Restart", "It opens its database, finds the others, and they bring each other up to date.");
    let restarted_at = Instant::now();
    let found = cluster.start(VICTIM).await?;
    let restart = restarted_at.elapsed();
    wait_until(terminal, "to be equal", || is_converged(&cluster)).await?;
    let converge = restarted_at.elapsed();
    terminal.line(&format!(
        "  It was up after {} ms with the {found} entries of its database ({}), and equal to the others after {} ms.",
        restart.as_millis(),
        bytes(cluster.database_bytes(VICTIM)?),
        converge.as_millis()
    ));
    table(terminal, &cluster).await?;

    let report = audit(&cluster, &ledger, acknowledged, restart, converge).await?;
    for node in &cluster.nodes {
        node.stop().await?;
    }
    Ok(report)
}

fn others(cluster: &Cluster) -> impl Iterator<Item = &Node> {
    let others = cluster.nodes.iter().enumerate().filter(|(node, _)| *node != VICTIM);
    others.map(|(_, node)| node)
}

/// Writes a number of values, and deletes every fifth again. Returns how many of these operations were acknowledged.
async fn work(node: &Node, when: &str, writes: usize, ledger: &mut Ledger) -> Result<usize, Failure> {
    let mut acknowledged = 0;
    for number in 0..writes {
        let (key, value) = (format!("{}/{when}/{number}", node.name), format!("value {number} of {}", node.name));
        node.ask(&Request::Write { key: key.clone(), value: value.clone() }).await?;
        ledger.insert(key.clone(), Some(value));
        acknowledged += 1;
        if number % 5 == 4 {
            node.ask(&Request::Delete { key: key.clone() }).await?;
            ledger.insert(key, None);
            acknowledged += 1;
        }
    }
    Ok(acknowledged)
}

/// Lets a node write until it is killed. What was under way then counts as not acknowledged.
async fn work_until_killed(node: &Node, ledger: &mut Ledger) -> Result<usize, Failure> {
    let mut written = Vec::new();
    let write = async {
        for number in 0.. {
            let (key, value) = (format!("{}/killed/{number}", node.name), format!("value {number}"));
            if node.ask(&Request::Write { key: key.clone(), value: value.clone() }).await.is_err() {
                break;
            }
            written.push((key, Some(value)));
        }
    };
    let kill = async {
        sleep(Duration::from_millis(300)).await;
        node.kill().await
    };
    let ((), killed) = tokio::join!(write, kill);
    killed?;
    let acknowledged = written.len();
    ledger.extend(written);
    Ok(acknowledged)
}

/// Waits until every node knows that so many others are up.
async fn wait_for_members(terminal: &mut Terminal, cluster: &Cluster, others: usize) -> Result<(), Failure> {
    wait_until(terminal, "to find each other", || async {
        for node in &cluster.nodes {
            if node.status().await?.up.len() != others {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

async fn survivors_agree_that_it_is_down(cluster: &Cluster) -> Result<bool, Failure> {
    for node in others(cluster) {
        if node.status().await?.up.contains(&cluster.nodes[VICTIM].name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether every node sees all others, has certified that it is equal to each, and all have the same root indeed.
async fn is_converged(cluster: &Cluster) -> Result<bool, Failure> {
    let mut roots = Vec::new();
    for node in &cluster.nodes {
        let status = node.status().await?;
        if status.up.len() != NODES - 1 {
            return Ok(false);
        }
        node.ask(&Request::Converge).await?;
    }
    for node in &cluster.nodes {
        roots.push(node.status().await?.root);
    }
    Ok(roots.windows(2).all(|pair| pair[0] == pair[1]))
}

async fn wait_until<C>(terminal: &mut Terminal, what: &str, condition: impl Fn() -> C) -> Result<(), Failure>
where
    C: Future<Output = Result<bool, Failure>>,
{
    let started = Instant::now();
    while !condition().await? {
        if started.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            let question = "is there a firewall on the loopback interface?";
            return Err(format!("{seconds} seconds were too few for the nodes {what}; {question}").into());
        }
        terminal.progress(&format!("{:.1} s {what}", started.elapsed().as_secs_f64()));
        sleep(Duration::from_millis(20)).await;
    }
    terminal.end_progress();
    Ok(())
}

async fn table(terminal: &mut Terminal, cluster: &Cluster) -> Result<(), Failure> {
    terminal.line(
        &terminal.styled("2", "  node     others up   entries   root               connections   sent in frames"),
    );
    for node in &cluster.nodes {
        let line = match node.status().await {
            Ok(Status { root, entries, up, connections, bytes_sent, .. }) => format!(
                "  {:<8} {:>9} {entries:>9}   {}.. {connections:>11} {:>16}",
                node.name.as_str(),
                up.len(),
                &root[..16],
                bytes(bytes_sent)
            ),
            Err(_) => format!("  {:<8}   is not running", node.name.as_str()),
        };
        terminal.line(&line);
    }
    Ok(())
}

/// Compares what every node holds with what was acknowledged.
async fn audit(
    cluster: &Cluster,
    ledger: &Ledger,
    acknowledged: usize,
    restart: Duration,
    converge: Duration,
) -> Result<Report, Failure> {
    let (mut roots, mut lost, mut resurrected) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for node in &cluster.nodes {
        roots.push(node.status().await?.root);
        let held: BTreeMap<String, Vec<String>> = node.entries().await?.into_iter().collect();
        for (key, value) in ledger {
            match (value, held.get(key)) {
                (Some(value), found) if found.is_none_or(|found| !found.contains(value)) => {
                    lost.insert(key, &node.name)
                }
                (None, Some(_)) => resurrected.insert(key, &node.name),
                _ => None,
            };
        }
    }
    roots.sort_unstable();
    roots.dedup();
    Ok(Report {
        processes: cluster.nodes.len(),
        acknowledged,
        lost_writes: lost.len(),
        resurrected: resurrected.len(),
        distinct_roots: roots.len(),
        restart,
        converge,
    })
}
