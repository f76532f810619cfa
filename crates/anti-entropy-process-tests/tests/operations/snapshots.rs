//! A machine that is put back, as far as a process can be made to believe it, and one that only stood still.

use std::time::Duration;

use anti_entropy_process_tests::operated::SONGS;

use crate::cluster::{Cluster, equal, met, until};

const PUT_BACKS: &str = "anti_entropy_net_swim_put_backs_total";
const REJOINS: &str = "anti_entropy_net_swim_rejoins_total";

#[test]
fn a_generation_file_that_appears_or_changes_makes_a_node_come_back() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    for (times, generation) in [(1.0, "5f1c"), (2.0, "a03e")] {
        let before = b.look();
        std::fs::write(&b.settings.generation, generation).expect("there is room");
        b.until_page("it has noticed", |page| page.value(PUT_BACKS, &[]) == Some(times));
        b.until_page("it has come back", |page| page.value(REJOINS, &[]) >= Some(times));
        until("its replicas have other ids", || {
            let after = b.look();
            after.iter().all(|(space, view)| view.replica != before[space].replica)
        });
        met(&[&a, &b]);
    }
    b.write(SONGS, "1", "after it came back");
    equal(&mut [&mut a, &mut b]);
    assert!(a.page().value(PUT_BACKS, &[]).unwrap_or_default() < 1.0);
}

#[test]
fn a_pause_is_not_taken_for_it() {
    let cluster = Cluster::new();
    let [a, b] = cluster.start(["node-a", "node-b"]);
    b.freeze(true);
    std::thread::sleep(Duration::from_secs(12));
    b.freeze(false);
    met(&[&a, &b]);
    assert!(b.page().value(PUT_BACKS, &[]).unwrap_or_default() < 1.0);
}
