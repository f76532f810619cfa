//! Two sides that do not hear each other for longer than the failure detector waits.

use anti_entropy_process_tests::operated::{PLAYS, SONGS};

use crate::cluster::{Cluster, Node, equal, met, until};

fn conflicts(node: &Node) -> Option<f64> {
    node.page().value("anti_entropy_conflicts", &[("space", SONGS)])
}

#[test]
fn both_sides_go_on_and_nothing_is_lost() {
    let cluster = Cluster::new();
    let [mut a, mut b, mut c] = cluster.start(["node-a", "node-b", "node-c"]);
    a.write(SONGS, "freddie freeloader", "before");
    equal(&mut [&mut a, &mut b, &mut c]);

    c.freeze(true);
    for node in [&a, &b] {
        until(&format!("{} misses one", node.name()), || node.peers() == Some(1.0));
    }
    a.write(SONGS, "freddie freeloader", "of one side");
    b.write(PLAYS, "1", "1");
    equal(&mut [&mut a, &mut b]);
    // Both sides live, but not at the same time.
    a.freeze(true);
    b.freeze(true);
    c.freeze(false);
    until("node-c misses both", || c.peers() == Some(0.0));
    assert_eq!(c.values(SONGS, "freddie freeloader"), ["before"]);
    c.write(SONGS, "freddie freeloader", "of the other side");
    c.write(PLAYS, "2", "2");

    a.freeze(false);
    b.freeze(false);
    met(&[&a, &b, &c]);
    equal(&mut [&mut a, &mut b, &mut c]);
    for node in [&mut a, &mut b, &mut c] {
        assert_eq!(node.values(SONGS, "freddie freeloader"), ["of one side", "of the other side"]);
        assert_eq!(node.holds(PLAYS).len(), 2);
        until(&format!("{} counts a conflict", node.name()), || conflicts(node) == Some(1.0));
    }
    b.write(SONGS, "freddie freeloader", "decided");
    equal(&mut [&mut a, &mut b, &mut c]);
    for node in [&mut a, &mut b, &mut c] {
        assert_eq!(node.values(SONGS, "freddie freeloader"), ["decided"]);
        until(&format!("{} counts no conflict", node.name()), || conflicts(node) == Some(0.0));
    }
}
