//! The bounds of an exploration.

use std::fmt;

use anti_entropy::ConfigError;

/// The greatest number of replicas.
pub(super) const MAX_REPLICAS: usize = 3;
/// The greatest number of sessions.
pub(super) const MAX_SESSIONS: usize = 3;
/// The greatest number of duplicated frames.
pub(super) const MAX_DUPLICATES: usize = 2;

/// The bounds of an exploration: how many events of each kind happen at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// How many replicas there are; 2 or 3.
    pub replicas: u8,
    /// How many keys are written; at least 1.
    pub keys: u8,
    /// How many writes and deletes there are at most.
    pub operations: u8,
    /// How many sessions are opened at most; up to 3.
    pub sessions: u8,
    /// How many frames are lost at most.
    pub losses: u8,
    /// How many frames are duplicated at most; up to 2.
    pub duplicates: u8,
}

impl Bounds {
    /// Checks that every bound is in its range.
    ///
    /// # Errors
    /// The first bound that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("replicas", self.replicas, 2)?;
        ConfigError::at_most("replicas", usize::from(self.replicas), MAX_REPLICAS)?;
        ConfigError::at_least("keys", self.keys, 1)?;
        ConfigError::at_most("sessions", usize::from(self.sessions), MAX_SESSIONS)?;
        ConfigError::at_most("duplicates", usize::from(self.duplicates), MAX_DUPLICATES)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replicas, keys, operations, sessions, losses, duplicates } = self;
        write!(f, "{replicas} replicas, {keys} keys, {operations} operations, {sessions} sessions, ")?;
        write!(f, "{losses} frames lost, {duplicates} doubled")
    }
}
