//! Replace a dead node.

use anti_entropy_process_tests::operated::{PLAYS, SONGS};

use crate::cluster::{Cluster, Node, equal, met};

/// A node that has something, and another one with it.
fn two(cluster: &Cluster) -> [Node; 2] {
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    b.write(SONGS, "1", "of the dead one");
    a.write(PLAYS, "1", "1");
    equal(&mut [&mut a, &mut b]);
    [a, b]
}

/// A node of the same name, with a certificate, files and ports of its own.
fn successor(cluster: &Cluster, name: &str) -> Node {
    let certificate = cluster.certificate(name);
    let files = certificate.write(&cluster.subdirectory("successor.tls")).expect("there is room");
    cluster.node_with(name, "successor", files.config())
}

#[test]
fn a_node_of_the_same_name_takes_a_dead_ones_place() {
    let cluster = Cluster::new();
    let [mut a, mut b] = two(&cluster);
    let dead = b.look().remove(SONGS).expect("there is such a space").replica;
    let address = b.swim();
    b.kill();
    let mut b = successor(&cluster, "node-b");
    let opened = b.join(&[&a]);
    assert_ne!(opened[SONGS], dead);
    assert_ne!(b.swim(), address);
    met(&[&a, &b]);
    equal(&mut [&mut a, &mut b]);
    assert_eq!((b.holds(SONGS).len(), b.holds(PLAYS).len()), (1, 1));
    b.write(SONGS, "2", "of the new one");
    equal(&mut [&mut a, &mut b]);
}

#[test]
fn one_that_was_not_dead_after_all_is_seen_and_costs_no_data() {
    let cluster = Cluster::new();
    let [mut a, mut old] = two(&cluster);
    old.freeze(true);
    let mut new = successor(&cluster, "node-b");
    new.join(&[&a]);
    equal(&mut [&mut a, &mut new]);
    old.freeze(false);
    let rejoins = |node: &Node| node.page().value("anti_entropy_net_swim_rejoins_total", &[]).unwrap_or_default();
    crate::cluster::until("the two outdo each other", || rejoins(&old) > 0.0 && rejoins(&new) > 0.0);
    old.write(SONGS, "2", "of the old one");
    new.write(SONGS, "3", "of the new one");
    crate::cluster::until("both are heard, by turns", || a.holds(SONGS).len() == 3);
    old.kill();
    a.write(PLAYS, "2", "2");
    equal(&mut [&mut a, &mut new]);
    assert_eq!((new.holds(SONGS).len(), new.holds(PLAYS).len()), (3, 2));
    met(&[&a, &new]);
}
