//! A member that misbehaves: it has a certificate and the cluster's key, and does what no node does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anti_entropy::transport::ChannelsConfig;
use anti_entropy::{DriverConfig, GossipConfig, ReplicaConfig};
use anti_entropy_net::TransportLimits;
use anti_entropy_process_tests::hostile::Abuse;
use anti_entropy_process_tests::operated::{PLAYS, Request, SONGS};
use anti_entropy_sim::rounds_allowed;

use crate::cluster::{Cluster, Node, equal, met, until};
use crate::page::Page;

const BAD: &str = "node-x";
/// How many times the rounds that two nodes may take until they are equal they may take beside such a member.
const TIMES: u64 = 3;
const SPACES: u32 = 2;

/// Writes travel in sessions alone, which such a member could hinder.
fn gossip() -> GossipConfig {
    GossipConfig::test().with(|config| {
        config.push = false;
        config.backoff_max = Duration::from_secs(5);
        config.max_held_bytes = config.session.max_message_bytes;
    })
}

/// Two nodes that are as they should be, and a member that is not.
struct Trial {
    cluster: Cluster,
    honest: [Node; 2],
    bad: Node,
    written: u32,
}

impl Trial {
    fn new() -> Self {
        let mut cluster = Cluster::new();
        cluster.gossip = gossip();
        let honest = cluster.start(["node-a", "node-b"]);
        let mut bad = cluster.hostile(BAD);
        bad.join(&[&honest[0]]);
        for node in &honest {
            until("it is a peer", || node.peers() == Some(2.0));
        }
        Self { cluster, honest, bad, written: 0 }
    }

    /// Both write in each space, and become equal. Returns how many rounds that took, at most, in one of the replicas.
    fn exchange(&mut self) -> u64 {
        for _ in 0..10 {
            self.written += 1;
            for (at, node) in self.honest.iter_mut().enumerate() {
                let key = (2 * self.written as usize + at).to_string();
                node.write(SONGS, &key, &"words ".repeat(100));
                node.write(PLAYS, &key, &key);
            }
        }
        let before = self.rounds();
        let [a, b] = &mut self.honest;
        equal(&mut [a, b]);
        self.rounds().iter().zip(before).map(|(after, before)| after - before).max().unwrap_or_default()
    }

    fn rounds(&mut self) -> Vec<u64> {
        let views = self.honest.iter_mut().map(Node::look);
        views.flat_map(BTreeMap::into_values).map(|view| view.rounds).collect()
    }

    /// Has the member do this, while what the honest nodes write reaches each other, until both show the sign.
    fn endure(&mut self, abuse: Abuse) {
        let before = self.honest.each_ref().map(Node::page);
        self.bad.abuse(&[abuse]);
        let rounds = [(); 3].map(|()| self.exchange());
        println!("{abuse:?}: equal after {rounds:?} rounds");
        assert!(rounds.iter().all(|rounds| *rounds <= TIMES * rounds_allowed(2, 0)), "{abuse:?}: {rounds:?} rounds");
        for (node, before) in self.honest.iter().zip(before) {
            node.until_page(&format!("{abuse:?} is seen"), |page| shows(abuse, &before, page));
        }
    }
}

/// How much a counter has grown.
fn growth(before: &Page, after: &Page, name: &str, labels: &[(&str, &str)]) -> f64 {
    let [before, after] = [before, after].map(|page| page.value(name, labels).unwrap_or_default());
    after - before
}

/// Whether the metrics say what docs/operations.md says that they do.
fn shows(abuse: Abuse, before: &Page, page: &Page) -> bool {
    let failed = |reason| growth(before, page, "anti_entropy_session_failures_total", &[("reason", reason)]) > 0.0;
    let rejected = |reason| growth(before, page, "anti_entropy_rejections_total", &[("reason", reason)]);
    let accepted = || growth(before, page, "anti_entropy_sessions_started_total", &[("by", "accepted")]);
    let is_left_alone = || {
        ["anti_entropy_peer_failures", "anti_entropy_peer_backoff_seconds"]
            .iter()
            .all(|name| page.value(name, &[("peer", BAD)]) > Some(0.0))
    };
    match abuse {
        Abuse::Floods => {
            let received = growth(before, page, "anti_entropy_received_bytes_total", &[]);
            received > 16e6 && received > 100.0 * growth(before, page, "anti_entropy_received_value_bytes_total", &[])
        }
        Abuse::OpensAndCloses => failed("aborted_by_peer") && is_left_alone(),
        Abuse::LeavesTransfers => accepted() > 100.0,
        Abuse::RepeatsRequests => failed("too_many_repeats") && is_left_alone(),
        Abuse::AsksForEver => page.value("anti_entropy_oldest_session_seconds", &[]) > Some(5.0),
        Abuse::HoldsTheSlot | Abuse::NeverEnds => failed("stalled") && is_left_alone(),
        Abuse::SendsGarbage => failed("malformed") && is_left_alone(),
        Abuse::ClaimsTooMuch => {
            rejected("claims_my_writes") > 1.0
                && growth(before, page, "anti_entropy_renamings_total", &[]) > 1.0
                && is_left_alone()
        }
        Abuse::Invents => rejected("grows_too_fast") > 0.0 && is_left_alone(),
        Abuse::PushesNonsense => {
            let pushes = growth(before, page, "anti_entropy_received_pushes_total", &[("result", "rejected")]);
            pushes > 10_000.0 && rejected("malformed") > 0.0
        }
    }
}

/// What the kernel says of a process's memory, in bytes.
fn memory_bytes(node: &Node, field: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says so");
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

/// The most that a node may hold of what others have sent, by its settings.
fn room_bytes() -> usize {
    let of_replica = gossip().max_held_bytes + DriverConfig::default().max_queued_bytes.get();
    let of_channel = ChannelsConfig::default().queue_bytes;
    SPACES as usize * (of_replica + of_channel) + TransportLimits::default().receive_queue_bytes
}

fn logged(node: &Node, what: &str) -> usize {
    let log = std::fs::read_to_string(&node.settings.log).expect("it logs");
    log.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_member_that_misbehaves_is_seen_and_delays_nobody() {
    let mut trial = Trial::new();
    trial.exchange();
    let (began, before) = (Instant::now(), trial.honest.each_ref().map(|node| memory_bytes(node, "VmRSS")));
    for abuse in Abuse::PASSING {
        trial.endure(abuse);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a test ends") + 1;
    for (node, before) in trial.honest.iter().zip(before) {
        let peak = memory_bytes(node, "VmHWM");
        println!("{}: {} MiB at rest, {} MiB at most, in {seconds} s", node.name(), before >> 20, peak >> 20);
        assert!(peak <= before + room_bytes(), "{}: {peak} B, and {before} B at rest", node.name());
        // Ten thousands were rejected, each of which is worth a line.
        let most = (seconds + 1) * SPACES as usize * gossip().lines_logged_per_second as usize;
        let lines = logged(node, "push rejected");
        assert!((1..=most).contains(&lines), "{}: {lines} lines in {seconds} s", node.name());
        assert!(logged(node, "were left out") > 0);
        assert!(logged(node, BAD) > 0, "the log says who it is");
    }
}

#[test]
fn what_a_member_invents_is_refused_beyond_its_share() {
    let mut trial = Trial::new();
    trial.exchange();
    let before = trial.honest.each_ref().map(Node::page);
    trial.bad.abuse(&[Abuse::Invents]);
    for (node, before) in trial.honest.iter().zip(before) {
        node.until_page("it is seen", |page| shows(Abuse::Invents, &before, page));
        let ids = node.page().values("anti_entropy_clock_replicas", &[]);
        let limit = u32::try_from(ReplicaConfig::default().max_clock_replicas).expect("a few");
        assert!(ids.iter().all(|ids| *ids <= f64::from(limit)), "{ids:?}");
    }
    // Nodes go on to write, and to answer.
    for node in &mut trial.honest {
        node.write(SONGS, "beside it", "all the same");
        assert!(node.values(SONGS, "beside it").contains(&"all the same".to_owned()));
    }
}

#[test]
fn a_member_that_misbehaves_is_stopped_at_once_and_kept_out_by_another_key() {
    let mut trial = Trial::new();
    trial.bad.abuse(&[Abuse::OpensAndCloses, Abuse::PushesNonsense, Abuse::HoldsTheSlot]);
    trial.exchange();
    for node in &mut trial.honest {
        node.has_to(&Request::RemovePeer(BAD.into()));
    }
    let is_gone = |node: &Node| {
        node.until_page("it is refused", |page| page.refused("unknown_peer") > 0.0);
        node.until_page("nothing is said of it", |page| {
            page.values("anti_entropy_peer_failures", &[("peer", BAD)]).is_empty()
        });
    };
    trial.honest.iter().for_each(is_gone);
    let [a, b] = &trial.honest;
    met(&[a, b]);
    // The failure detector knows it still, and lets it in when it comes back.
    trial.bad.kill();
    for node in &trial.honest {
        node.until_page("it is down", |page| page.value("anti_entropy_net_swim_members", &[]) == Some(1.0));
    }
    trial.bad.start();
    for node in &trial.honest {
        until("it is back", || node.peers() == Some(2.0));
    }
    let (old, new) = (trial.cluster.key.clone(), "c1".repeat(32));
    for keys in [&[&*old, &new][..], &[&new, &old], &[&new]] {
        for node in &mut trial.honest {
            node.give_keys(keys);
            node.has_to(&Request::ReloadKeys);
        }
    }
    let [a, b] = &trial.honest;
    met(&[a, b]);
    trial.bad.kill();
    trial.bad.start();
    let refused = "anti_entropy_net_swim_refused_datagrams_total";
    a.until_page("it has no key", |page| page.value(refused, &[("cause", "not_opened")]) > Some(0.0));
    trial.exchange();
    let [a, b] = &trial.honest;
    met(&[a, b]);
}
