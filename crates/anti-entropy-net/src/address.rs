use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The longest name that the domain name system has.
const MAX_HOST_BYTES: usize = 253;

/// The address of a peer: an IP address and a port, or a name and a port. A name is resolved at each attempt to
/// connect.
///
/// ```
/// use anti_entropy_net::Address;
///
/// let fixed: Address = "192.0.2.1:7000".parse().unwrap();
/// let named: Address = "node-2.example.net:7000".parse().unwrap();
/// assert_eq!(fixed.to_string(), "192.0.2.1:7000");
/// assert!(matches!(named, Address::Name { port: 7000, .. }));
/// assert!("node-2.example.net".parse::<Address>().is_err(), "the port is missing");
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
            Self::Socket(address) => Ok(vec![*address]),
            Self::Name { host, port } => Ok(tokio::net::lookup_host((host.as_str(), *port)).await?.collect()),
        }
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
        Self::Socket(address)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
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
    "{text:?} is not an address; write an IP address or a name, a colon and a port, such as node-2.example.net:7000"
)]
pub struct AddressError {
    /// The text.
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_survive_being_written() {
        for text in ["127.0.0.1:1", "[::1]:65535", "localhost:7000", "a-b_c.example.:80"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::to_string(&address).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Address>(&format!("{text:?}")).unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}:1", "x".repeat(MAX_HOST_BYTES + 1));
        for text in ["", ":1", "a", "a:", "a:65536", "a:-1", "a b:1", "::1:1", "http://a:1", "\u{e9}:1", &long] {
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
        let address: Address = "localhost:7000".parse().unwrap();
        let found = address.resolve().await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|found| found.port() == 7_000 && found.ip().is_loopback()));
    }
}
