//! Addresses in every form work, or are refused by name.

mod common;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use anti_entropy::Transport;
use anti_entropy_net::{Address, PeerError, TcpTransport};
use common::{Node, bind, config, in_time, peer};

/// Sends frames until one arrives: the first are dropped while there is no connection.
async fn arrives<T: Transport>(from: &T, to: &T, name: &str) {
    let sending = async {
        loop {
            let _ = from.send(&peer(name), vec![7]).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    in_time(async {
        tokio::select! {
            () = sending => {}
            received = to.receive() => assert_eq!(received.expect("it is open").1, [7]),
        }
    })
    .await;
}

async fn reached_at(listen: SocketAddr, address: impl FnOnce(u16) -> Address) {
    let a = bind(config("a").with(|config| config.allow_non_loopback = true)).await;
    let b = bind(config("b").with(|config| {
        config.listen = listen;
        config.allow_non_loopback = true;
        config.accept_unknown_peers = true;
    }))
    .await;
    let port = b.local_addr().port();
    a.set_peer(peer("b"), address(port)).expect("an address of a peer");
    arrives(&a, &b, "b").await;
    assert!(b.refusals().is_empty(), "{:?}", b.refusals());
}

#[tokio::test]
async fn a_mapped_address_reaches_a_node_of_either_family() {
    let mapped = |port| Address::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], port));
    reached_at(([127, 0, 0, 1], 0).into(), mapped).await;
    reached_at((Ipv6Addr::UNSPECIFIED, 0).into(), mapped).await;
    // By hand, so that nothing has changed its form.
    let by_hand = |port| Address::Socket((IpAddr::V6(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped()), port).into());
    reached_at(([127, 0, 0, 1], 0).into(), by_hand).await;
}

#[tokio::test]
async fn a_dual_stack_node_is_reached_by_both_families() {
    let listen = (Ipv6Addr::UNSPECIFIED, 0).into();
    reached_at(listen, |port| ([127, 0, 0, 1], port).into()).await;
    reached_at(listen, |port| (Ipv6Addr::LOCALHOST, port).into()).await;
}

/// On a host with a link-local address; most have one, and containers may have none.
#[tokio::test]
async fn a_link_local_address_works_with_its_scope() {
    let Some((ip, scope)) = link_local() else { return };
    let at = |port| SocketAddr::from(SocketAddrV6::new(ip, port, 0, scope));
    reached_at(at(0), |port| at(port).into()).await;
    reached_at(at(0), |port| format!("[{ip}%{scope}]:{port}").parse().unwrap()).await;
}

/// A link-local address of this host that can be listened on, and the number of its interface.
fn link_local() -> Option<(Ipv6Addr, u32)> {
    let listed = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    listed.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(|field| u128::from_str_radix(field, 16).ok());
        let (ip, scope) = (Ipv6Addr::from(fields.next()??), u32::try_from(fields.next()??).ok()?);
        let address = SocketAddrV6::new(ip, 0, 0, scope);
        (ip.is_unicast_link_local() && std::net::TcpListener::bind(address).is_ok()).then_some((ip, scope))
    })
}

#[tokio::test]
async fn what_no_peer_can_have_is_refused_when_it_is_given() {
    let a: TcpTransport = bind(config("a")).await;
    for (text, why) in [
        ("0.0.0.0:7000", "wildcard"),
        ("[::]:7000", "wildcard"),
        ("[::ffff:0.0.0.0]:7000", "wildcard"),
        ("127.0.0.1:0", "port"),
        ("localhost:0", "port"),
        ("[fe80::1]:7000", "number of the interface"),
    ] {
        let a = if text.starts_with("127") || text.starts_with("localhost") {
            a.set_peer(peer("b"), text.parse::<Address>().unwrap())
        } else {
            // Off loopback, where plain TCP has another reason first.
            let open = bind(config("a").with(|config| config.allow_non_loopback = true)).await;
            open.set_peer(peer("b"), text.parse::<Address>().unwrap())
        };
        let refused = a.unwrap_err();
        assert!(matches!(&refused, PeerError::Unreachable { .. }), "{text}: {refused}");
        assert!(refused.to_string().contains(why), "{text}: {refused}");
    }
}
