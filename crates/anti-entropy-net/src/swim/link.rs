//! Link-local addresses: their scope is the number of an interface, which each host gives its own.

use std::net::SocketAddr;

use super::event::Member;
use crate::address::canonical;

/// The link on which a cluster with link-local addresses is: the interface of this node's own addresses.
///
/// A scope means nothing on another host, so datagrams do not carry it. Inside of the protocol, addresses are *bare*,
/// without scope, and equal for all nodes. At the socket and towards the application they get this node's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the interface; `None` if no own address is link-local.
    scope: Option<u32>,
}

impl Link {
    /// The link of the first of this node's own addresses that is link-local.
    pub(super) fn of(own: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { scope: own.into_iter().find_map(scope) }
    }

    /// Some link, for checks of addresses that will get a scope.
    pub(super) fn any() -> Self {
        Self { scope: Some(1) }
    }

    /// The bare form of an address that was met outside; `None` if it is link-local and on another link, so that no
    /// answer would arrive.
    pub(super) fn bare(self, address: SocketAddr) -> Option<SocketAddr> {
        let mut address = canonical(address);
        if let Some(scope) = scope(address)
            && Some(scope) != self.scope
        {
            return None;
        }
        if let SocketAddr::V6(address) = &mut address {
            address.set_scope_id(0);
        }
        Some(address)
    }

    /// The address to use outside for a bare one.
    pub(super) fn scoped(self, bare: SocketAddr) -> SocketAddr {
        match (canonical(bare), self.scope) {
            (SocketAddr::V6(mut address), Some(scope)) if address.ip().is_unicast_link_local() => {
                address.set_scope_id(scope);
                address.into()
            }
            (address, _) => address,
        }
    }

    /// The member with addresses that can be used outside.
    pub(super) fn scoped_member(self, member: Member) -> Member {
        Member { address: self.scoped(member.address), transport: self.scoped(member.transport), ..member }
    }
}

/// The scope of a link-local address, if it has one.
fn scope(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() != 0 => {
            Some(address.scope_id())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_lose_their_scope_on_the_way_in_and_get_it_back_on_the_way_out() {
        let link = Link::of([address("192.0.2.1:1"), address("[fe80::1%3]:7946")]);
        let met = address("[fe80::2%3]:7946");
        let bare = link.bare(met).unwrap();
        assert_eq!(bare, address("[fe80::2]:7946"));
        assert_eq!(link.scoped(bare), met);
        assert_eq!(link.bare(address("[fe80::2%4]:7946")), None, "another link");
        for (text, form) in [
            ("[2001:db8::1]:7946", "[2001:db8::1]:7946"),
            ("192.0.2.1:7946", "192.0.2.1:7946"),
            ("[::ffff:192.0.2.1]:7946", "192.0.2.1:7946"),
        ] {
            assert_eq!(link.bare(address(text)), Some(address(form)));
            assert_eq!(link.scoped(address(text)), address(form));
        }
    }

    #[test]
    fn a_node_without_a_link_answers_no_link_local_address() {
        let none = Link::of([address("192.0.2.1:7946")]);
        assert_eq!(none.bare(address("[fe80::2%3]:7946")), None);
        assert_eq!(none.scoped(address("[fe80::2]:7946")), address("[fe80::2]:7946"));
    }
}
