//! Why a network cannot be made or changed.

/// A network that cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Something that is needed is not there.
    #[error(
        "tests with network namespaces need root, ip (iproute2) and nft or iptables, and {0}; nothing was tested: \
         apt-get install iproute2 nftables, and run as root"
    )]
    Missing(String),
    /// A command failed.
    #[error("{command:?} failed: {reason}")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        reason: String,
    },
}
