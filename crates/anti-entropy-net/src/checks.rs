//! Checks of settings that several configurations share.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;

use crate::address::Address;
use crate::handshake::MAX_NAME_BYTES;

/// Checks that a field is not less than another one of the same configuration.
pub(crate) fn at_least_field<T: PartialOrd + Debug + Copy>(
    field: &str,
    value: T,
    other: &str,
    least: T,
) -> Result<(), ConfigError> {
    if value >= least {
        return Ok(());
    }
    Err(ConfigError::new(field, value, &format!("at least {other}, which is {least:?}")))
}

/// Checks that a time is not zero.
pub(crate) fn not_zero(field: &str, time: Duration) -> Result<(), ConfigError> {
    if time.is_zero() { Err(ConfigError::new(field, time, "longer than zero")) } else { Ok(()) }
}

/// Checks that a name has a length that the wire can carry.
pub(crate) fn name_fits(field: &str, name: &PeerId) -> Result<(), ConfigError> {
    if (1..=MAX_NAME_BYTES).contains(&name.as_str().len()) {
        return Ok(());
    }
    Err(ConfigError::new(field, name.as_str(), "1 to 255 bytes long"))
}

/// Checks the peers that a transport starts with.
pub(crate) fn peers_fit(
    own_name: &PeerId,
    peers: &BTreeMap<PeerId, Address>,
    max_peers: usize,
) -> Result<(), ConfigError> {
    if peers.len() > max_peers {
        let bound = format!("at most limits.max_peers, which is {max_peers}");
        return Err(ConfigError::new("peers", peers.len(), &bound));
    }
    peers.keys().try_for_each(|peer| name_fits("peers", peer))?;
    let unreachable = peers.iter().find_map(|(peer, address)| Some((peer, address, address.why_unreachable()?)));
    if let Some((peer, address, bound)) = unreachable {
        return Err(ConfigError::new(&format!("peers.{peer}"), format_args!("{address}"), bound));
    }
    if peers.contains_key(own_name) {
        return Err(ConfigError::new(
            "peers",
            own_name.as_str(),
            "the names of other nodes, and this is the node's own",
        ));
    }
    Ok(())
}

/// Whether only this machine reaches an address, which may be an IPv4 address written as an IPv6 one.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
