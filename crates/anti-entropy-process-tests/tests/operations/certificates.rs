//! Rotate certificates while the node runs.

use std::fs;

use anti_entropy_net::TestCertificate;
use anti_entropy_process_tests::operated::{Answer, Request, SONGS};

use crate::cluster::{Cluster, equal, met};
use crate::membership::{list, relist};

#[test]
fn certificates_are_rotated_without_a_restart() {
    // Connections break for no other reason.
    let cluster = Cluster::without_detector();
    let ((mut a, cert_a), (mut b, old)) = (cluster.listed_node("node-a"), cluster.listed_node("node-b"));
    let new = TestCertificate::self_signed("node-b").expect("a DNS name");
    for node in [&mut a, &mut b] {
        node.settings.tls.trust = list(&[&cert_a, &old]);
    }
    a.start();
    b.join(&[&a]);
    met(&[&a, &b]);
    a.write(SONGS, "1", "over the old one");
    equal(&mut [&mut a, &mut b]);

    for node in [&mut a, &mut b] {
        relist(node, &[&cert_a, &old, &new]);
    }
    a.until_page("the connection is told of", |page| page.connections() > 0.0);
    let connections = a.page().connections();
    new.write(&cluster.subdirectory("node-b.tls")).expect("there is room");
    b.has_to(&Request::ReloadTls);
    b.write(SONGS, "2", "over the old one still");
    equal(&mut [&mut a, &mut b]);
    let page = a.page();
    assert_eq!((page.connections(), page.refused("no_longer_trusted")), (connections, 0.0), "open ones go on");

    for node in [&mut a, &mut b] {
        relist(node, &[&cert_a, &new]);
    }
    a.until_page("the old one is out", |page| page.refused("no_longer_trusted") > 0.0);
    b.write(SONGS, "3", "over the new one");
    equal(&mut [&mut a, &mut b]);
    assert_eq!(a.holds(SONGS).len(), 3);
    a.until_page("there is another connection", |page| page.connections() > connections);
}

#[test]
fn an_authoritys_certificates_are_rotated_and_files_that_cannot_be_used_change_nothing() {
    let cluster = Cluster::without_detector();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "1", "before");
    equal(&mut [&mut a, &mut b]);
    let directory = cluster.subdirectory("node-b.tls");
    cluster.certificate("node-b").write(&directory).expect("there is room");
    b.has_to(&Request::ReloadTls);
    a.until_page("the connection is told of", |page| page.connections() > 0.0);
    let connections = a.page().connections();

    let others = cluster.certificate("node-c");
    let of_another_name: fn(&TestCertificate) -> (&str, &str) = |other| (&other.certificate, &other.key);
    for (certificate, key) in [("no certificate", "no key"), (&others.certificate, "no key"), of_another_name(&others)]
    {
        fs::write(directory.join("node-b.pem"), certificate).expect("there is room");
        fs::write(directory.join("node-b.key"), key).expect("there is room");
        let answer = b.ask(&Request::ReloadTls);
        assert!(matches!(&answer, Answer::Failed { .. }), "{answer:?}");
    }
    b.write(SONGS, "2", "after");
    equal(&mut [&mut a, &mut b]);
    assert_eq!((a.holds(SONGS).len(), a.page().connections()), (2, connections));
    // What is used still is good for new connections too: a node that comes now is let in.
    let mut c = cluster.node("node-c");
    c.join(&[&b]);
    met(&[&a, &b, &c]);
    equal(&mut [&mut b, &mut c]);
    assert_eq!(c.holds(SONGS).len(), 2);
    assert!(b.page().refused("refused_by_peer") < 1.0);
}
