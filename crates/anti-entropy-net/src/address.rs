use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The longest name that the domain name system has.
const MAX_HOST_BYTES: usize = 253;

/// The address of a peer: an IP address and a port, or a name and a port. A name is resolved at each attempt to
/// connect.
///
/// An IPv4 address that is written as an IPv6 one becomes the IPv4 address. A link-local IPv6 address has the number of
/// the interface on this host: `[fe80::1%2]:7000`. Transports refuse what no peer can have: wildcards, port 0,
/// multicast addresses, and link-local addresses without an interface.
///
/// ```
/// use anti_entropy_net::Address;
///
/// let fixed: Address = "192.0.2.1:7000".parse()?;
/// let named: Address = "node-2.example.net:7000".parse()?;
/// assert_eq!(fixed.to_string(), "192.0.2.1:7000");
/// assert!(matches!(named, Address::Name { port: 7000, .. }));
/// assert!("node-2.example.net".parse::<Address>().is_err(), "the port is missing");
/// let mapped: Address = "[::ffff:192.0.2.1]:7000".parse()?;
/// assert_eq!(mapped, fixed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A name that the system's resolver knows, and a port.
    Name {
        /// The name: letters, digits, `-`, `_` and `.`.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Address {
    /// The IP addresses that it stands for at this moment.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Socket(address) => Ok(vec![canonical(*address)]),
            Self::Name { host, port } => {
                let found = tokio::net::lookup_host((host.as_str(), *port)).await?.map(canonical);
                let reachable: Vec<SocketAddr> = found.filter(|found| why_unreachable(*found).is_none()).collect();
                if reachable.is_empty() {
                    let message = format!("{host} stands for no address that a peer can have");
                    return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
                }
                Ok(reachable)
            }
        }
    }

    /// Why no peer can have this address. What a name stands for is checked when it is resolved.
    pub(crate) fn why_unreachable(&self) -> Option<&'static str> {
        match self {
            Self::Socket(address) => why_unreachable(*address),
            Self::Name { port: 0, .. } => Some(NO_PORT),
            Self::Name { .. } => None,
        }
    }
}

const NO_PORT: &str = "an address with the port on which the peer listens, and 0 is none";

/// The bound that an address breaks because no other node can be reached at it.
pub(crate) fn why_unreachable(address: SocketAddr) -> Option<&'static str> {
    let is_broadcast = |ip| matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    match address {
        _ if address.port() == 0 => Some(NO_PORT),
        _ if address.ip().to_canonical().is_unspecified() => {
            Some("an address that peers reach, and a wildcard is only for listening")
        }
        _ if address.ip().to_canonical().is_multicast() || is_broadcast(address.ip().to_canonical()) => {
            Some("the address of one node, and this one stands for many")
        }
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0 => {
            Some("a link-local address with the number of the interface on this host, such as [fe80::1%2]:7000")
        }
        _ => None,
    }
}

/// The address in the form in which equal ones are equal: an IPv4 address that is written as an IPv6 one becomes the IPv4
/// address. The scope of a link-local address stays; without it the address says nothing.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match (address, address.ip().to_canonical()) {
        (SocketAddr::V6(address), IpAddr::V6(ip)) => {
            let scope = if ip.is_unicast_link_local() { address.scope_id() } else { 0 };
            SocketAddrV6::new(ip, address.port(), 0, scope).into()
        }
        (address, ip) => SocketAddr::new(ip, address.port()),
    }
}

/// Each address with the time for which it may be tried. When its turn comes, it gets an equal share of what is left of
/// `whole` since `start`, so that addresses that do not answer leave time for the others.
pub(crate) fn in_turn(
    addresses: Vec<SocketAddr>,
    start: Instant,
    whole: Duration,
) -> impl Iterator<Item = (SocketAddr, Duration)> {
    let count = addresses.len();
    addresses.into_iter().enumerate().map(move |(tried, address)| {
        let to_try = u32::try_from(count - tried).unwrap_or(u32::MAX);
        (address, whole.saturating_sub(start.elapsed()) / to_try)
    })
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(canonical(address))
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from(address: (I, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let refused = || AddressError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.bytes().all(allowed) {
            return Err(refused());
        }
        Ok(Self::Name { host: host.to_owned(), port: port.parse().map_err(|_| refused())? })
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// A text that is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an address; write an IP address or a name, a colon and a port, such as node-2.example.net:7000, and \
     the interface of a link-local address by its number, such as [fe80::1%2]:7000"
)]
pub struct AddressError {
    /// The text.
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_and_names_survive_being_written() -> Result<(), serde_json::Error> {
        for text in ["127.0.0.1:1", "[::1]:65535", "localhost:7000", "a-b_c.example.:80"] {
            let address = address(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::to_string(&address)?, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Address>(&format!("{text:?}"))?, address);
        }
        Ok(())
    }

    #[test]
    fn an_address_has_one_form_and_keeps_its_scope() {
        let forms = [
            ("[::ffff:127.0.0.1]:7000", "127.0.0.1:7000"),
            ("[::ffff:192.0.2.1]:7000", "192.0.2.1:7000"),
            ("[fe80::1%2]:7000", "[fe80::1%2]:7000"),
            ("[2001:db8::1%2]:7000", "[2001:db8::1]:7000"),
        ];
        for (written, form) in forms {
            let (address, expected) = (address(written), address(form));
            assert_eq!((address.to_string().as_str(), &address), (form, &expected));
            assert_eq!(Address::from(socket(written)), expected);
        }
    }

    #[tokio::test]
    async fn an_address_that_was_put_together_by_hand_is_used_in_its_form() {
        let mapped = Address::Socket(socket("[::ffff:127.0.0.1]:7000"));
        assert_eq!(mapped.resolve().await.unwrap(), [socket("127.0.0.1:7000")]);
        // getaddrinfo takes this for the wildcard; a connection to it would reach this host itself.
        let zero = Address::Name { host: "0".to_owned(), port: 7_000 };
        assert!(zero.resolve().await.unwrap_err().to_string().contains("no address that a peer can have"));
    }

    #[test]
    fn what_no_peer_can_have_is_named() {
        let refused = [
            ("0.0.0.0:7000", "wildcard"),
            ("[::]:7000", "wildcard"),
            ("[::ffff:0.0.0.0]:7000", "wildcard"),
            ("192.0.2.1:0", "port"),
            ("node-2.example.net:0", "port"),
            ("224.0.0.1:7000", "stands for many"),
            ("255.255.255.255:7000", "stands for many"),
            ("[ff02::1]:7000", "stands for many"),
            ("[fe80::1]:7000", "number of the interface"),
        ];
        for (text, reason) in refused {
            assert!(address(text).why_unreachable().is_some_and(|why| why.contains(reason)), "{text}");
        }
        for text in ["192.0.2.1:1", "127.0.0.1:65535", "[fe80::1%2]:7000", "169.254.1.1:7000", "node-2.example.net:1"] {
            assert_eq!(address(text).why_unreachable(), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}:1", "x".repeat(MAX_HOST_BYTES + 1));
        for text in [
            "",
            ":1",
            "a",
            "a:",
            "a:65536",
            "a:-1",
            "a b:1",
            "::1:1",
            "http://a:1",
            "\u{e9}:1",
            "[fe80::1%eth0]:1",
            &long,
        ] {
            let refused = text.parse::<Address>().unwrap_err();
            assert!(refused.to_string().contains("a colon and a port"), "{text}: {refused}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_a_name_share_the_time() {
        let secs = Duration::from_secs;
        let addresses: Vec<SocketAddr> = (1..=4).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let mut shares = in_turn(addresses.clone(), Instant::now(), secs(8));
        assert_eq!(shares.next(), Some((addresses[0], secs(2))));
        tokio::time::sleep(secs(2)).await;
        assert_eq!(shares.next(), Some((addresses[1], secs(2))));
        assert_eq!(shares.next(), Some((addresses[2], secs(3))), "what one has not used is the others'");
        tokio::time::sleep(secs(9)).await;
        assert_eq!(shares.next(), Some((addresses[3], secs(0))));
        assert_eq!(shares.next(), None);
    }

    #[tokio::test]
    async fn a_name_is_looked_up() {
        let found = address("localhost:7000").resolve().await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|found| found.port() == 7_000 && found.ip().is_loopback()));
    }
}
