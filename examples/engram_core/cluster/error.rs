//! Errors: of their variants, those that this module makes.

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cluster transport error: {0}")]
    Io(#[from] std::io::Error),
    #[error("cluster serialization error: {0}")]
    Serialization(String),
    #[error("cluster message too large: {0} bytes")]
    MessageTooLarge(usize),
    #[error("{required} healthy nodes are needed, and {available} are there")]
    InsufficientHealthyNodes { required: usize, available: usize },
}
