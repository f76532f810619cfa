use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};

use crate::checks::{is_loopback, not_zero};

/// The configuration of a [`PrometheusEndpoint`](crate::PrometheusEndpoint): its address, the buckets of histograms,
/// and the limits of requests.
///
/// ```
/// use anti_entropy_net::PrometheusConfig;
///
/// let config = PrometheusConfig::default().with(|config| config.listen = "127.0.0.1:9000".parse().unwrap());
/// let read: PrometheusConfig = serde_json::from_str(r#"{ "listen": "127.0.0.1:9000" }"#)?;
/// assert_eq!(read, config);
/// assert!(config.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrometheusConfig {
    /// The address to listen on: a loopback address, unless `allow_non_loopback` is set. Port 0 takes any that is free.
    ///
    /// Default 127.0.0.1:9464, the customary port of telemetry exporters.
    pub listen: SocketAddr,
    /// Whether addresses other than loopback are allowed. Off by default, because anybody who reaches the endpoint reads
    /// the names of peers and how much they exchange. Turn it on only where the network itself keeps strangers out.
    pub allow_non_loopback: bool,
    /// The names by which this endpoint is asked for its metrics, without ports, besides IP addresses and `localhost`. None
    /// by default. A request for another host is refused: otherwise a page in the browser of somebody who reaches the
    /// endpoint could read it, with a name of its own that is made to stand for the endpoint's address. At most 1,024.
    pub hosts: Vec<String>,
    /// The upper bounds of the buckets of this framework's histograms, in seconds: 1 to 100 positive, finite numbers in
    /// ascending order. A bucket for all that is greater is added. Each costs a time series for every histogram.
    ///
    /// The default has two or three per decade, from 10 microseconds, about what the cheapest frame takes, to a minute,
    /// which is longer than a session should last.
    pub buckets: Vec<f64>,
    /// After how long a gauge that is no longer set is forgotten, such as those of a peer that was removed. Longer than
    /// zero.
    ///
    /// Default 5 minutes, as long as Prometheus itself remembers a series.
    pub idle_timeout: Duration,
    /// How many connections may be open. From 1 to 2²⁰. Further ones are closed at once.
    ///
    /// Default 16: a few Prometheus servers, and somebody who looks by hand.
    pub max_connections: usize,
    /// How long a connection may take, from being accepted to the last byte. Longer than zero.
    ///
    /// Default 10 seconds, as long as Prometheus waits.
    pub request_timeout: Duration,
    /// The longest request, up to the end of its headers, in bytes. From 1 to 2²⁰.
    ///
    /// Default 8 KiB; Prometheus sends a few hundred bytes.
    pub max_request_bytes: usize,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9464).into(),
            allow_non_loopback: false,
            hosts: Vec::new(),
            buckets: vec![0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0],
            idle_timeout: Duration::from_secs(300),
            max_connections: 16,
            request_timeout: Duration::from_secs(10),
            max_request_bytes: 8 << 10,
        }
    }
}

impl PrometheusConfig {
    /// Far beyond any reasonable use.
    const MOST_BUCKETS: usize = 100;
    const MOST: usize = 1 << 20;
    const MOST_HOSTS: usize = 1 << 10;

    /// The same configuration with some fields changed: `config.with(|config| config.max_connections = 4)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks all that can be checked without opening a socket.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range, or that contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.allow_non_loopback && !is_loopback(self.listen) {
            let bound = "a loopback address, because anybody who reaches it reads the names of all peers; set \
                         allow_non_loopback if the network itself keeps strangers out";
            return Err(ConfigError::new("listen", self.listen, bound));
        }
        self.validate_hosts()?;
        self.validate_buckets()?;
        not_zero("idle_timeout", self.idle_timeout)?;
        not_zero("request_timeout", self.request_timeout)?;
        for (field, limit) in [("max_connections", self.max_connections), ("max_request_bytes", self.max_request_bytes)]
        {
            ConfigError::at_least(field, limit, 1)?;
            ConfigError::at_most(field, limit, Self::MOST)?;
        }
        Ok(())
    }

    fn validate_hosts(&self) -> Result<(), ConfigError> {
        let is_name = |host: &&String| !host.is_empty() && !host.contains([':', '/', ' ']);
        if let Some(host) = self.hosts.iter().find(|host| !is_name(host)) {
            return Err(ConfigError::new("hosts", host, "names such as node-1.example.net, without ports"));
        }
        ConfigError::at_most("hosts", self.hosts.len(), Self::MOST_HOSTS)
    }

    fn validate_buckets(&self) -> Result<(), ConfigError> {
        let ascend = self.buckets.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = self.buckets.iter().all(|bound| bound.is_finite() && *bound > 0.0);
        if ascend && finite && (1..=Self::MOST_BUCKETS).contains(&self.buckets.len()) {
            return Ok(());
        }
        Err(ConfigError::new("buckets", &self.buckets, "1 to 100 positive, finite numbers in ascending order"))
    }
}
