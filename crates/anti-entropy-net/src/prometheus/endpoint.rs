use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::config::PrometheusConfig;
use super::error::PrometheusError;
use super::{http, recorder};
use crate::task::Task;

/// Answers `GET /metrics` with all metrics of the process, for Prometheus: those of this framework and any others.
///
/// It installs a recorder for the facade `metrics`, which stays until the process ends. So an endpoint that is bound
/// after another was dropped continues with the same counters, and with the buckets and the idle timeout of the first.
/// The recorder has a thread, which sorts the values that histograms collect into buckets. The endpoint ends when it is
/// dropped.
///
/// ```
/// use anti_entropy_net::{PrometheusConfig, PrometheusEndpoint};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let any_port = "127.0.0.1:0".parse()?;
/// let config = PrometheusConfig::default().with(|config| config.listen = any_port);
/// let endpoint = PrometheusEndpoint::bind(config).await?;
/// println!("metrics are at http://{}/metrics", endpoint.local_addr());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PrometheusEndpoint {
    local_addr: SocketAddr,
    _accepting: Task,
}

impl PrometheusEndpoint {
    /// Installs the recorder, if that is not done yet, and listens. Bind it before replicas are driven: metrics that
    /// are published before that are lost.
    ///
    /// # Errors
    /// [`PrometheusError`] if the configuration is invalid, the operating system refuses the address, or the process
    /// has another recorder.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    pub async fn bind(config: PrometheusConfig) -> Result<Self, PrometheusError> {
        config.validate()?;
        let failed = |source| PrometheusError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let recorded = recorder::install(&config)?;
        let accepting = Task::spawn(&Handle::current(), http::serve(listener, Arc::new(config), recorded));
        Ok(Self { local_addr, _accepting: accepting })
    }

    /// The address that it listens on, with the port that was taken if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}
