//! What is cut is cut, that way only, and what is healed is whole: with datagrams, without nodes.
#![cfg(target_os = "linux")]

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anti_entropy_process_tests::network::{Cuts, Firewall, Network};

/// Two sockets in two namespaces.
struct Pair {
    network: Network,
    sockets: [UdpSocket; 2],
}

impl Pair {
    fn new(firewall: Firewall) -> Self {
        let network = Network::with_firewall(2, firewall).unwrap_or_else(|error| panic!("{error}"));
        let socket =
            |node| network.within(node, || UdpSocket::bind((network.address(node), 0)).expect("nobody else is there"));
        let sockets = [socket(0), socket(1)];
        Self { network, sockets }
    }

    /// Whether datagrams pass: none of many that are sent, or one of those that are sent until it is there.
    fn passes(&self, from: usize, to: usize, expected: bool) -> bool {
        let address: SocketAddr = self.sockets[to].local_addr().expect("it is bound");
        self.sockets[to].set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
        let tries = if expected { 100 } else { 5 };
        (0..tries).any(|_| {
            // An error says that there is no way, which is what is asked.
            let _ = self.sockets[from].send_to(b"?", address);
            self.sockets[to].recv(&mut [0]).is_ok()
        })
    }
}

fn cuts_are_one_way(firewall: Firewall) {
    let mut pair = Pair::new(firewall);
    assert!(pair.passes(0, 1, true) && pair.passes(1, 0, true), "a new network is whole");
    pair.network.cut(&Cuts::from([(0, 1)])).expect("root may cut links");
    assert!(!pair.passes(0, 1, false), "this way is cut");
    assert!(pair.passes(1, 0, true), "the other way is not");
    pair.network.cut(&Cuts::from([(1, 0)])).expect("root may cut links");
    assert!(pair.passes(0, 1, true), "only what is named is cut");
    assert!(!pair.passes(1, 0, false));
    pair.network.set_link(0, false).expect("root may change links");
    assert!(!pair.passes(0, 1, false), "there is no link");
    pair.network.heal().expect("root may heal links");
    assert!(pair.passes(0, 1, true) && pair.passes(1, 0, true), "what is healed is whole");
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn links_are_cut_one_way_by_every_firewall_that_is_there() {
    let mut firewalls = 0;
    for firewall in Firewall::all() {
        cuts_are_one_way(firewall);
        firewalls += 1;
    }
    assert!(firewalls > 0, "needs nft or iptables; nothing was tested: apt-get install nftables");
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn nothing_is_left_of_a_network_after_a_panic() {
    let panicked = std::thread::spawn(|| {
        let network = Network::new(2).unwrap_or_else(|error| panic!("{error}"));
        assert!(network.spaces().iter().all(|space| is_there(space)));
        std::panic::panic_any(network.spaces());
    });
    let spaces = panicked.join().unwrap_err().downcast::<Vec<String>>().expect("the names of the namespaces");
    assert!(!spaces.iter().any(|space| is_there(space)), "of {spaces:?} one is there still");
}

fn is_there(space: &str) -> bool {
    Path::new("/run/netns").join(space).exists()
}
