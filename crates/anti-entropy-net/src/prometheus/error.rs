use std::io;
use std::net::SocketAddr;

/// Why there is no endpoint. Nothing is left open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrometheusError {
    /// The listening address can be reached from other machines.
    #[error(
        "listening on {address} was refused: whoever reaches it reads the names of all peers, so it stays on loopback; \
         listen on a loopback address, or set allow_non_loopback if the network itself keeps strangers out"
    )]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// A limit makes no sense.
    #[error("{limit} {rule}; nothing was opened; correct the configuration")]
    Limit {
        /// The field of [`PrometheusConfig`].
        limit: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The operating system refused the address.
    #[error("cannot listen on {address}: {source}; nothing was opened; choose an address of this machine that is free")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
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
