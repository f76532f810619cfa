//! Deploy; and several spaces over one transport.

use anti_entropy_process_tests::operated::{PLAYS, SONGS};

use crate::cluster::{Cluster, equal, met};

#[test]
fn nodes_that_have_some_seeds_find_each_other_and_become_equal() {
    let cluster = Cluster::new();
    let (mut a, mut b, mut c) = (cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c"));
    // Nobody answers there.
    a.settings.seeds = vec!["127.0.0.1:9".into()];
    a.start();
    b.settings.seeds = vec![format!("localhost:{}", a.swim().port())];
    b.start();
    // The address has to be known before: another one than those from which the system gives ports away.
    c.settings.swim = format!("127.77.{}.{}:7946", fastrand::u8(..), fastrand::u8(1..255)).parse().expect("an address");
    c.settings.seeds = vec![c.settings.swim.to_string(), b.swim().to_string()];
    c.start();
    met(&[&a, &b, &c]);
    a.write(SONGS, "so what", "davis");
    b.write(PLAYS, "7", "1959");
    equal(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(c.values(SONGS, "so what"), ["davis"]);
    assert_eq!(c.values(PLAYS, "7"), ["1959"]);
    for node in [&a, &b, &c] {
        node.until_page("no lag is infinite", |page| {
            let lags = page.values("anti_entropy_peer_lag_seconds", &[]);
            lags.len() == 4 && lags.iter().all(|lag| lag.is_finite())
        });
        node.until_page("two others are up", |page| page.value("anti_entropy_net_swim_members", &[]) == Some(2.0));
    }
}

#[test]
fn an_orderly_stop_keeps_the_ids_and_a_crash_takes_new_ones() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "blue in green", "evans");
    a.write(PLAYS, "1", "1");
    let ids = |node: &mut crate::cluster::Node| -> Vec<String> {
        node.look().into_values().map(|view| view.replica).collect()
    };
    let first = ids(&mut a);
    a.stop();
    assert_eq!(a.join(&[&b]).into_values().collect::<Vec<_>>(), first);
    a.kill();
    let second: Vec<String> = a.join(&[&b]).into_values().collect();
    assert!(first.iter().zip(&second).all(|(first, second)| first != second), "{first:?} {second:?}");
    // An id under which nothing was written leaves no trace.
    let named = |node: &crate::cluster::Node, ids: f64| {
        node.until_page("the clock names so many ids", |page| {
            page.value("anti_entropy_clock_replicas", &[("space", SONGS)]) == Some(ids)
        });
    };
    named(&a, 1.0);
    a.write(SONGS, "all blues", "davis");
    named(&a, 2.0);
    equal(&mut [&mut a, &mut b]);
    named(&b, 2.0);
    assert_eq!(b.holds(SONGS).len(), 2);
}

#[test]
fn a_space_whose_settings_differ_is_refused_and_the_other_one_goes_on() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    let mut c = cluster.node("node-c");
    c.settings.schema_ids = [(PLAYS.to_owned(), 2)].into();
    c.join(&[&a]);
    met(&[&a, &b, &c]);
    for (node, key) in [(&mut a, "1"), (&mut b, "2"), (&mut c, "3")] {
        node.write(SONGS, key, "a song");
        node.write(PLAYS, key, "1");
    }
    let refused = [("space", PLAYS), ("outcome", "refused"), ("reason", "schema_id")];
    c.until_page("the space is refused", |page| {
        page.value("anti_entropy_session_failures_total", &refused) > Some(0.0)
    });
    crate::cluster::until("the songs are everywhere, and the plays where they are agreed on", || {
        let songs = [&mut a, &mut b, &mut c].map(|node| node.holds(SONGS).len());
        (songs, a.holds(PLAYS).len(), b.holds(PLAYS).len()) == ([3; 3], 2, 2)
    });
    assert_eq!(c.holds(PLAYS).into_keys().collect::<Vec<_>>(), ["3"]);
    assert!(!a.holds(PLAYS).contains_key("3"));
    let refused = [("space", SONGS), ("outcome", "refused")];
    assert_eq!(c.page().value("anti_entropy_session_failures_total", &refused), Some(0.0));
}
