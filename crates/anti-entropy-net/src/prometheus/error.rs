use std::io;
use std::net::SocketAddr;

use anti_entropy::ConfigError;

/// Why the endpoint could not be bound. Nothing is left open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrometheusError {
    /// A setting is out of its range, or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused the address.
    #[error("cannot listen on {address}: {source}; nothing was opened; choose an address of this machine that is free")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system reported.
        source: io::Error,
    },
    /// The application has installed a recorder of its own.
    #[error(
        "the process has another metrics recorder already, which goes on; nothing was opened; read the metrics there, \
         or bind this endpoint first"
    )]
    OtherRecorder,
    /// The recorder's thread could not be started.
    #[error("cannot start a thread: {0}; nothing was opened; free some of the process's threads or memory")]
    Thread(io::Error),
}
