//! Settings: of their fields, those that this module reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct SwimConfig {
    pub ping_interval: Duration,
}

impl Default for SwimConfig {
    fn default() -> Self {
        Self { ping_interval: Duration::from_secs(1) }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicationConfig {
    /// Nodes of a space without the primary.
    pub factor: usize,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self { factor: 2 }
    }
}
