//! Why a node fails.

/// Why a node ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It was not told what to be, or not in words that it knows.
    #[error("the first line of standard input has to be the node's options: {0}")]
    Options(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] anti_entropy_redb::FileError),
    /// What proves that the store was not rolled back.
    #[error("the marker cannot be taken or kept: {0}")]
    Marker(#[source] std::io::Error),
    /// A setting of the engine.
    #[error(transparent)]
    Config(#[from] anti_entropy::ConfigError),
    /// The engine's thread, or its transport.
    #[error(transparent)]
    Drive(#[from] anti_entropy::NodeError),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] anti_entropy::Error),
    /// No randomness.
    #[error(transparent)]
    Seed(#[from] anti_entropy::clock::RandomnessUnavailable),
    /// The transport.
    #[error(transparent)]
    Bind(#[from] anti_entropy_net::BindError),
    /// The membership.
    #[error(transparent)]
    Join(#[from] anti_entropy_net::swim::JoinError),
    /// The engine.
    #[error(transparent)]
    Handle(#[from] anti_entropy::HandleError),
    /// A bug is to be planted that this build does not have.
    #[error("there is no bug {0:?} to plant; build with the feature `mutants`")]
    NoSuchBug(String),
}
