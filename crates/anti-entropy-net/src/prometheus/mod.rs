//! An HTTP endpoint from which Prometheus reads metrics.

mod config;
mod endpoint;
mod error;
mod http;
mod recorder;

pub use config::PrometheusConfig;
pub use endpoint::PrometheusEndpoint;
pub use error::PrometheusError;
