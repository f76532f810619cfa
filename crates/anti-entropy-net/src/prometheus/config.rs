use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::PrometheusError;

/// Where Prometheus reads, and the limits of that.
///
/// ```
/// use anti_entropy_net::PrometheusConfig;
///
/// let config: PrometheusConfig = serde_json::from_str(r#"{ "listen": "127.0.0.1:9000" }"#)?;
/// assert_eq!(config.max_connections, PrometheusConfig::default().max_connections);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Where to listen. Port 0 takes any that is free. Default 127.0.0.1:9464, the port that exporters of telemetry have
    /// by custom.
    pub listen: SocketAddr,
    /// Whether addresses other than loopback are allowed. Off by default, because whoever reaches the endpoint reads the
    /// names of peers and what goes on between them: turn it on only where the network itself keeps strangers out.
    pub allow_non_loopback: bool,
    /// The upper bounds of the buckets of this framework's histograms, in seconds, in ascending order; one for what is
    /// beyond comes by itself. The default has two or three a decade from 10 microseconds, about the cheapest frame, to a
    /// minute, longer than a session should last. Each costs a time series for every histogram. At most 100.
    pub buckets: Vec<f64>,
    /// After how long a gauge that nobody sets is forgotten, such as those of a peer that was removed. Default 5 minutes:
    /// Prometheus forgets a series after as long.
    pub idle_timeout: Duration,
    /// How many connections are open; further ones are closed at once. Default 16: a few servers that read, and somebody
    /// who looks.
    pub max_connections: usize,
    /// How long a connection may take, from being accepted to the last byte. Default 10 seconds, as Prometheus waits.
    pub request_timeout: Duration,
    /// The longest request, up to the end of its headers. Default 8 KiB: Prometheus sends a few hundred bytes.
    pub max_request_bytes: usize,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9464).into(),
            allow_non_loopback: false,
            buckets: vec![0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0],
            idle_timeout: Duration::from_secs(300),
            max_connections: 16,
            request_timeout: Duration::from_secs(10),
            max_request_bytes: 8 << 10,
        }
    }
}

impl PrometheusConfig {
    /// What no gauge, series or request of a reasonable use comes near to.
    const MOST_BUCKETS: usize = 100;
    const MOST: usize = 1 << 20;

    /// Checks everything that can be checked without opening a socket.
    pub(super) fn validate(&self) -> Result<(), PrometheusError> {
        if !self.allow_non_loopback && !self.listen.ip().to_canonical().is_loopback() {
            return Err(PrometheusError::NotLoopback { address: self.listen });
        }
        let ascend = self.buckets.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = self.buckets.iter().all(|bound| bound.is_finite() && *bound > 0.0);
        let within = |limit: usize| (1..=Self::MOST).contains(&limit);
        let rules = [
            ((1..=Self::MOST_BUCKETS).contains(&self.buckets.len()), "buckets", "must be 1 to 100 numbers"),
            (ascend && finite, "buckets", "must ascend, and be positive and finite"),
            (!self.idle_timeout.is_zero(), "idle_timeout", "must not be zero"),
            (within(self.max_connections), "max_connections", "must be 1 to 2^20"),
            (!self.request_timeout.is_zero(), "request_timeout", "must not be zero"),
            (within(self.max_request_bytes), "max_request_bytes", "must be 1 to 2^20"),
        ];
        match rules.into_iter().find(|(kept, ..)| !kept) {
            Some((_, limit, rule)) => Err(PrometheusError::Limit { limit, rule }),
            None => Ok(()),
        }
    }
}
