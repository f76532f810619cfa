use std::io;
use std::net::SocketAddr;

use anti_entropy::ConfigError;

/// Why a node could not join. Nothing is left open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A setting is out of its range, or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused the address.
    #[error("cannot listen on {address}: {source}; nothing was opened; choose an address that is this node's and free")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system reported.
        source: io::Error,
    },
    /// The operating system has no random numbers.
    #[error("the operating system gave no random bytes; nothing was opened; without them nothing can be kept secret")]
    NoRandom,
}

/// Why a state cannot be announced. What was announced before still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// As many spaces are announced as allowed.
    #[error("the space was refused: {max} are announced already; retract one, or raise max_spaces on every node")]
    TooManySpaces {
        /// [`SwimLimits::max_spaces`](super::SwimLimits::max_spaces).
        max: usize,
    },
    /// The number stands for all shared spaces.
    #[error("the space {space} was refused: the number stands for all shared spaces; give the space another")]
    Reserved {
        /// [`Membership::ALL_SHARED`](super::Membership::ALL_SHARED).
        space: u64,
    },
}
