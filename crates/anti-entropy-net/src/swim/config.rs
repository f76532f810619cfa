use std::net::SocketAddr;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;
use serde::Deserialize;

use super::identity::MAX_ZONE_BYTES;
use super::key::ClusterKey;
use super::limits::SwimLimits;
use super::link::Link;
use super::timings::SwimTimings;
use crate::address::why_unreachable;
use crate::checks::name_fits;

/// The configuration of a [`Membership`](super::Membership): this node's name and addresses, where it finds others, and
/// the key that it shares with them.
///
/// ```
/// use anti_entropy_net::swim::{ClusterKey, SwimConfig};
///
/// let key = "5e".repeat(32);
/// let written = format!(
///     r#"{{ "name": "node-1", "listen": "10.0.0.1:7946", "transport": "10.0.0.1:7001",
///          "zone": "north", "seeds": ["node-2.example:7946"], "key": "{key}" }}"#,
/// );
/// let read: SwimConfig = serde_json::from_str(&written)?;
///
/// let (listen, transport) = ("10.0.0.1:7946".parse()?, "10.0.0.1:7001".parse()?);
/// let config = SwimConfig::new("node-1".into(), listen, transport, ClusterKey::from_hex(&key)?).with(|config| {
///     config.zone = Some("north".into());
///     config.seeds = vec!["node-2.example:7946".into()];
/// });
/// assert_eq!(read, config);
/// config.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SwimConfig {
    /// This node's name: 1 to 255 bytes. No other node may have it. If two processes have one name, the one that
    /// started later replaces the other.
    pub name: PeerId,
    /// The address to listen on for datagrams. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The address to which peers send their datagrams: an IP address and a port that they reach, so neither a wildcard
    /// nor port 0. May be left out unless `listen` is a wildcard; then peers send to where this node listens. If it is
    /// link-local, all nodes have to be on that link, and it has the number of this host's interface: `[fe80::1%2]:7946`.
    #[serde(default)]
    pub advertise: Option<SocketAddr>,
    /// The address to which peers connect with the data transport: neither a wildcard nor port 0. If it is link-local, it
    /// is on the link of `advertise`.
    pub transport: SocketAddr,
    /// The zone in which this node is, if any: 1 to 32 bytes.
    #[serde(default)]
    pub zone: Option<String>,
    /// Where other nodes may be found: each a host, a colon and a port, such as `node-2.example:7946`. At most
    /// [`max_seed_addresses`](SwimLimits::max_seed_addresses). Names are resolved again each time. This node's own
    /// address may be among them, so that all nodes can have the same list. None need answer. A node without seeds
    /// waits until others find it.
    #[serde(default)]
    pub seeds: Vec<String>,
    /// The key that the nodes of the cluster share.
    pub key: ClusterKey,
    /// How often something is done, and how long something may take.
    #[serde(default)]
    pub timings: SwimTimings,
    /// Limits of memory, and of what strangers can make this node do.
    #[serde(default)]
    pub limits: SwimLimits,
}

impl SwimConfig {
    /// A node without zone or seeds, with the default timings and limits.
    pub fn new(name: PeerId, listen: SocketAddr, transport: SocketAddr, key: ClusterKey) -> Self {
        Self {
            name,
            listen,
            advertise: None,
            transport,
            zone: None,
            seeds: Vec::new(),
            key,
            timings: SwimTimings::default(),
            limits: SwimLimits::default(),
        }
    }

    /// The same configuration with some fields changed: `config.with(|config| config.zone = Some("north".into()))`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks all that can be checked without opening a socket.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range, or that contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        name_fits("name", &self.name)?;
        if let Some(zone) = self.zone.as_ref().filter(|zone| !(1..=MAX_ZONE_BYTES).contains(&zone.len())) {
            return Err(ConfigError::new("zone", zone, "1 to 32 bytes long, or left out"));
        }
        match self.advertise {
            Some(address) => is_reachable("advertise", address)?,
            None if self.listen.ip().is_unspecified() => {
                let bound = "an address that peers reach, because listen is a wildcard";
                return Err(ConfigError::new("advertise", self.advertise, bound));
            }
            None => self.can_listen()?,
        }
        is_reachable("transport", self.transport)?;
        self.validate_seeds()?;
        self.timings.validate().map_err(|error| error.within("timings"))?;
        self.limits.validate().map_err(|error| error.within("limits"))
    }

    /// Checks the address to listen on, whose port may be left open, as one that is advertised.
    fn can_listen(&self) -> Result<(), ConfigError> {
        let mut address = self.listen;
        address.set_port(1);
        why_unreachable(address).map_or(Ok(()), |bound| Err(ConfigError::new("listen", self.listen, bound)))
    }

    fn validate_seeds(&self) -> Result<(), ConfigError> {
        let has_port = |seed: &String| {
            seed.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
        };
        if let Some(seed) = self.seeds.iter().find(|seed| !has_port(seed)) {
            return Err(ConfigError::new("seeds", seed, "a host, a colon and a port, such as node-1.example:7946"));
        }
        let max = self.limits.max_seed_addresses;
        if self.seeds.len() <= max {
            return Ok(());
        }
        let bound = format!("at most limits.max_seed_addresses, which is {max}");
        Err(ConfigError::new("seeds", self.seeds.len(), &bound))
    }
}

impl SwimConfig {
    /// Brings this node's own addresses into the form that is sent, now that the one that it listens on is known. Returns
    /// the link that it is on.
    pub(super) fn settle_addresses(&mut self, local: SocketAddr) -> Result<Link, ConfigError> {
        let address = self.advertise.unwrap_or(local);
        let link = Link::of([address, self.transport]);
        let bare = |field, address| {
            let bound = "on the same link as the address for datagrams, or not link-local";
            link.bare(address).ok_or_else(|| ConfigError::new(field, address, bound))
        };
        self.transport = bare("transport", self.transport)?;
        self.advertise = Some(bare("advertise", address)?);
        Ok(link)
    }
}

fn is_reachable(field: &str, address: SocketAddr) -> Result<(), ConfigError> {
    why_unreachable(address).map_or(Ok(()), |bound| Err(ConfigError::new(field, address, bound)))
}
