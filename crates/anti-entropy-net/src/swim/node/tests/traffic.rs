//! What an idle cluster sends.

use super::{Net, address, config, digest, secs};
use crate::swim::config::SwimConfig;

/// The headers of IPv4 and UDP.
const HEADERS: usize = 20 + 8;

#[test]
fn five_idle_nodes_send_less_than_400_bytes_a_second_each() {
    let mut net = Net::new(1);
    for number in 1..=5 {
        let address = net.start(SwimConfig { zone: Some("north".into()), ..config(number) });
        net.nodes[&address].shared.announcements.set(1, digest(7)).unwrap();
    }
    net.run(secs(60));
    net.sent.clear();
    net.run(secs(600));
    for number in 1..=5 {
        let sent = net.sent.iter().filter(|packet| packet.from == address(number));
        let bytes: usize = sent.map(|packet| packet.bytes.len() + HEADERS).sum();
        assert!(bytes <= 400 * 600, "node {number}: {bytes} B in 600 s");
    }
    let bytes: usize = net.sent.iter().map(|packet| packet.bytes.len() + HEADERS).sum();
    // Change this with what changes it, and docs/benchmarks.md with it.
    assert_eq!(bytes / 5 / 600, 312, "bytes a second and node");
}
