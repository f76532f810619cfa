//! Add a node, and remove one, where fingerprints are listed.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::PeerId;
use anti_entropy_net::{TestCertificate, Trust};
use anti_entropy_process_tests::operated::{PLAYS, Request, SONGS};

use crate::cluster::{Cluster, Node, equal, met, until};

/// Who is trusted.
pub(crate) fn list(certificates: &[&TestCertificate]) -> Trust {
    let mut listed = BTreeMap::<PeerId, BTreeSet<_>>::new();
    for certificate in certificates {
        listed.entry(PeerId::from(certificate.name.as_str())).or_default().insert(certificate.fingerprint());
    }
    Trust::Fingerprints(listed)
}

/// Has a running node use another list.
pub(crate) fn relist(node: &mut Node, certificates: &[&TestCertificate]) {
    let tls = node.settings.tls.clone().with(|tls| tls.trust = list(certificates));
    node.settings.tls = tls.clone();
    node.has_to(&Request::SetTls(tls));
}

/// Three nodes that list each other.
fn three(cluster: &Cluster) -> ([Node; 3], [TestCertificate; 3]) {
    let made = ["node-a", "node-b", "node-c"].map(|name| cluster.listed_node(name));
    let certificates = made.each_ref().map(|(_, certificate)| certificate.clone());
    let trust = list(&certificates.each_ref());
    let nodes = made.map(|(mut node, _)| {
        node.settings.tls.trust = trust.clone();
        node
    });
    (nodes, certificates)
}

#[test]
fn a_node_is_refused_until_it_is_listed_and_fills_itself_then() {
    let cluster = Cluster::new();
    let ([mut a, mut b, mut c], [cert_a, cert_b, cert_c]) = three(&cluster);
    for node in [&mut a, &mut b] {
        node.settings.tls.trust = list(&[&cert_a, &cert_b]);
    }
    a.start();
    b.join(&[&a]);
    met(&[&a, &b]);
    for number in 0..50 {
        a.write(SONGS, &format!("song {number}"), "before it was there");
        b.write(PLAYS, &number.to_string(), "1");
    }
    c.join(&[&a, &b]);
    for node in [&a, &b] {
        node.until_page("who is not listed is refused, and counted", |page| page.refused("unlisted") > 0.0);
        node.until_page("there is no certificate with it", |page| {
            page.values("anti_entropy_peer_lag_seconds", &[("peer", "node-c")]) == [f64::INFINITY; 2]
        });
    }
    c.until_page("it is told", |page| page.refused("refused_by_peer") > 0.0);
    assert!(c.holds(SONGS).is_empty() && c.holds(PLAYS).is_empty());
    for node in [&mut a, &mut b] {
        relist(node, &[&cert_a, &cert_b, &cert_c]);
    }
    equal(&mut [&mut a, &mut b, &mut c]);
    assert_eq!((c.holds(SONGS).len(), c.holds(PLAYS).len()), (50, 50));
    c.until_page("it is complete", |page| {
        let lags = page.values("anti_entropy_peer_lag_seconds", &[]);
        lags.len() == 4 && lags.iter().all(|lag| lag.is_finite())
    });
}

#[test]
fn a_node_that_leaves_is_seen_to_leave_and_refused_once_it_is_not_listed() {
    // So that it is the goodbye that is seen, and nothing else.
    let cluster = Cluster::without_detector();
    let ([mut a, mut b, mut c], [cert_a, cert_b, _]) = three(&cluster);
    a.start();
    b.join(&[&a]);
    c.join(&[&a, &b]);
    met(&[&a, &b, &c]);
    c.write(SONGS, "the last one", "of node-c");
    equal(&mut [&mut a, &mut b, &mut c]);
    c.stop();
    met(&[&a, &b]);
    for node in [&mut a, &mut b] {
        relist(node, &[&cert_a, &cert_b]);
    }
    assert_eq!(b.values(SONGS, "the last one"), ["of node-c"]);
    // Somebody starts it once more.
    c.join(&[&a, &b]);
    c.write(SONGS, "one more", "of node-c");
    a.until_page("it is refused", |page| page.refused("unlisted") > 0.0);
    c.until_page("it is told", |page| page.refused("refused_by_peer") > 0.0);
    a.write(SONGS, "after it", "of node-a");
    equal(&mut [&mut a, &mut b]);
    assert_eq!(a.holds(SONGS).len(), 2);
    assert_eq!(c.values(SONGS, "after it"), [""; 0]);
}

#[test]
fn who_has_another_cluster_key_is_no_peer() {
    let cluster = Cluster::new();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "1", "of those who have the key");
    let mut c = cluster.node("node-c");
    c.give_keys(&[&"5e".repeat(32)]);
    c.join(&[&a, &b]);
    for node in [&a, &b] {
        node.until_page("what it sends is refused", |page| {
            let refused = [("cause", "not_opened")];
            page.value("anti_entropy_net_swim_refused_datagrams_total", &refused) > Some(0.0)
        });
    }
    equal(&mut [&mut a, &mut b]);
    met(&[&a, &b]);
    assert_eq!(c.peers(), Some(0.0));
    assert!(c.holds(SONGS).is_empty());
}

#[test]
fn who_is_no_longer_listed_loses_its_connections() {
    let cluster = Cluster::without_detector();
    let ([mut a, mut b, mut c], [cert_a, cert_b, _]) = three(&cluster);
    a.start();
    b.join(&[&a]);
    c.join(&[&a, &b]);
    met(&[&a, &b, &c]);
    a.write(SONGS, "before", "of node-a");
    equal(&mut [&mut a, &mut b, &mut c]);
    until("there are connections with it", || c.page().connections() >= 2.0);
    for node in [&mut a, &mut b] {
        relist(node, &[&cert_a, &cert_b]);
        node.until_page("they are closed", |page| page.refused("no_longer_trusted") > 0.0);
    }
    a.write(SONGS, "after", "of node-a");
    equal(&mut [&mut a, &mut b]);
    assert_eq!(c.values(SONGS, "after"), [""; 0]);
}
