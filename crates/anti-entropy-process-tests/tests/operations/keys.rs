//! Rotate the cluster key while the cluster runs, and keep two clusters apart that share a key and an authority.

use anti_entropy_process_tests::operated::{Answer, Request, SONGS};

use crate::cluster::{Cluster, Node, equal, met, until};

const SENT: &str = "anti_entropy_net_swim_sent_datagrams_total";
const REFUSED: &str = "anti_entropy_net_swim_refused_datagrams_total";

fn refused(node: &Node, cause: &str) -> f64 {
    node.page().value(REFUSED, &[("cause", cause)]).unwrap_or_default()
}

/// Gives these keys to one node after the other. Meanwhile all stay members, and after each a while passes in which they
/// speak to each other.
fn hand_out(nodes: &mut [&mut Node], keys: &[&str]) {
    for at in 0..nodes.len() {
        nodes[at].give_keys(keys);
        nodes[at].has_to(&Request::ReloadKeys);
        let said: Vec<_> = nodes.iter().map(|node| node.page().value(SENT, &[]).unwrap_or_default()).collect();
        for (node, said) in nodes.iter().zip(said) {
            node.until_page("it goes on speaking", |page| page.value(SENT, &[]) >= Some(said + 4.0));
        }
        met(&nodes.iter().map(|node| &**node).collect::<Vec<_>>());
    }
}

#[test]
fn a_key_is_rotated_in_three_steps_while_the_cluster_runs() {
    let cluster = Cluster::new();
    let [mut a, mut b, mut c] = cluster.start(["node-a", "node-b", "node-c"]);
    let (old, new) = (cluster.key.clone(), "c0".repeat(32));
    a.write(SONGS, "1", "before");
    let mut nodes = [&mut a, &mut b, &mut c];
    let before = nodes.each_ref().map(|node| refused(node, "not_opened"));
    for keys in [&[&*old, &*new][..], &[&new, &old], &[&new]] {
        hand_out(&mut nodes, keys);
    }
    for (node, before) in nodes.iter().zip(before) {
        assert!(refused(node, "not_opened") <= before, "{} has refused datagrams", node.name());
    }
    nodes[1].write(SONGS, "2", "after");
    equal(&mut nodes);
    assert_eq!(a.holds(SONGS).len(), 2);
    // Who has the old key alone is no peer any more, and who has the new one is.
    let mut late = cluster.node("node-d");
    late.join(&[&a]);
    a.until_page("the old key is refused", |page| page.value(REFUSED, &[("cause", "not_opened")]) > Some(before[0]));
    assert_eq!(late.peers(), Some(0.0));
    late.kill();
    late.give_keys(&[&new]);
    late.join(&[&a]);
    met(&[&a, &b, &c, &late]);
}

#[test]
fn keys_that_cannot_be_used_change_nothing() {
    let cluster = Cluster::new();
    let [mut a, b] = cluster.start(["node-a", "node-b"]);
    for keys in [&[][..], &["no key"], &[&*cluster.key, &cluster.key]] {
        a.give_keys(keys);
        let answer = a.ask(&Request::ReloadKeys);
        assert!(matches!(&answer, Answer::Failed { reason } if reason.contains("key")), "{answer:?}");
    }
    let said = b.page().value(SENT, &[]).unwrap_or_default();
    b.until_page("it goes on speaking", |page| page.value(SENT, &[]) >= Some(said + 10.0));
    met(&[&a, &b]);
}

#[test]
fn production_and_staging_with_one_key_and_one_authority_stay_apart() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "1", "of production");
    let mut staging = cluster.node("node-s");
    staging.settings.cluster = "staging".parse().expect("a short name");
    staging.join(&[&a, &b]);
    staging.write(SONGS, "2", "of staging");
    until("its hellos are refused by name", || {
        refused(&a, "other_cluster") > 2.0 && refused(&b, "other_cluster") > 2.0
    });
    met(&[&a, &b]);
    equal(&mut [&mut a, &mut b]);
    assert_eq!((a.holds(SONGS).len(), staging.holds(SONGS).len(), staging.peers()), (1, 1, Some(0.0)));
}
