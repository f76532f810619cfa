//! Backup and restore.

use std::fs;

use anti_entropy_process_tests::operated::{PLAYS, Request, SONGS};

use crate::cluster::{Cluster, Node, equal};

fn renamings(node: &Node) -> f64 {
    node.page().value("anti_entropy_renamings_total", &[]).unwrap_or_default()
}

fn id(node: &mut Node, space: &str) -> String {
    node.look().remove(space).expect("there is such a space").replica
}

#[test]
fn a_restored_node_is_brought_what_it_missed_and_brings_nothing_back() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "kept", "before the backup");
    a.write(SONGS, "deleted", "before the backup");
    a.write(PLAYS, "1", "1");
    equal(&mut [&mut a, &mut b]);
    let before = id(&mut a, SONGS);
    let backup = cluster.subdirectory("backups").join("node-a.redb");
    a.has_to(&Request::Backup(backup.clone()));
    a.write(SONGS, "missed", "after the backup");
    a.delete(SONGS, "deleted");
    b.write(PLAYS, "2", "2");
    equal(&mut [&mut a, &mut b]);

    a.kill();
    fs::copy(&backup, &a.settings.database).expect("there is room");
    for space in [SONGS, PLAYS] {
        assert!(!a.settings.markers.join(format!("{space}.marker")).exists(), "there is none after a crash");
    }
    let opened = a.join(&[&b]);
    assert_ne!(opened[SONGS], before);
    equal(&mut [&mut a, &mut b]);
    assert_eq!(a.holds(SONGS).into_keys().collect::<Vec<_>>(), ["kept", "missed"]);
    assert_eq!(a.holds(PLAYS).len(), 2);
    assert_eq!(id(&mut a, SONGS), opened[SONGS]);
    assert_eq!((renamings(&a), renamings(&b)), (0.0, 0.0), "nobody has to notice anything");
}

#[test]
fn a_backup_of_a_running_node_matches_no_marker() {
    let cluster = Cluster::new();
    let mut a = cluster.node("node-a");
    let first = a.start();
    let backup = cluster.subdirectory("backups").join("node-a.redb");
    // Just after the start.
    a.has_to(&Request::Backup(backup.clone()));
    a.write(SONGS, "after", "the backup");
    a.stop();
    fs::copy(&backup, &a.settings.database).expect("there is room");
    assert!(a.settings.markers.join("songs.marker").exists(), "this time it is left there");
    assert_ne!(a.start()[SONGS], first[SONGS]);
}

#[test]
fn a_restore_under_the_old_id_is_noticed() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "1", "before the copy");
    a.stop();
    // All that the runbook warns of: the marker is in the backup, and is restored.
    let copies = cluster.subdirectory("copies");
    let marker = a.settings.markers.join("songs.marker");
    fs::copy(&a.settings.database, copies.join("database")).expect("there is room");
    fs::copy(&marker, copies.join("marker")).expect("there is room");
    let old = a.join(&[&b])[SONGS].clone();
    a.write(SONGS, "2", "after the copy");
    equal(&mut [&mut a, &mut b]);
    a.kill();
    fs::copy(copies.join("database"), &a.settings.database).expect("there is room");
    fs::copy(copies.join("marker"), &marker).expect("there is room");
    assert_eq!(a.join(&[&b])[SONGS], old, "it passes for the last state");
    equal(&mut [&mut a, &mut b]);
    a.until_page("it is noticed", |page| page.value("anti_entropy_renamings_total", &[("space", SONGS)]) == Some(1.0));
    assert_ne!(id(&mut a, SONGS), old);
    assert_eq!(a.holds(SONGS).len(), 2);
    a.write(SONGS, "3", "after all");
    equal(&mut [&mut a, &mut b]);
    assert_eq!(b.holds(SONGS).len(), 3);
}
