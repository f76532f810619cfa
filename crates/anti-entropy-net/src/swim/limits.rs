use std::num::{NonZeroU8, NonZeroUsize};

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};

use crate::checks::at_least_field;

/// Limits of a [`Membership`](super::Membership): of memory, and of what strangers can make a node do.
///
/// ```
/// use anti_entropy_net::swim::SwimLimits;
///
/// let limits = SwimLimits::default().with(|limits| limits.max_spaces = 8);
/// assert!(limits.validate().is_ok());
/// let error = limits.with(|limits| limits.max_sessions = 10).validate().unwrap_err();
/// assert_eq!(error.field, "max_sessions");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SwimLimits {
    /// How many members are remembered, whether they are up or down; further nodes are not let in. At least 1, and at
    /// most `max_sessions`. It must be the same on every node: a node that is let in by some members only is declared
    /// down by the others.
    ///
    /// Default 1,024.
    pub max_members: usize,
    /// With how many processes of peers there is a session. At least `max_members`. If there is no room for another
    /// session, one that belongs to no member ends.
    ///
    /// Default 2,048: twice the members, since some of them have just restarted.
    pub max_sessions: usize,
    /// How many spaces this node announces, and how many it remembers of each member; of more, the one that was
    /// announced least recently is forgotten. Any number; with 0 nothing is announced. It must be the same on every
    /// node.
    ///
    /// Default 64. Each takes 40 bytes for each member.
    pub max_spaces: usize,
    /// How many addresses may be waited for after a hello. At least 1.
    ///
    /// Default 256.
    pub max_pending_hellos: usize,
    /// How many datagrams to one peer may wait for its reply to a hello. At least 1.
    ///
    /// Default 4.
    pub max_waiting_datagrams: usize,
    /// How many addresses the seeds may have together; further ones are not asked. At least 1.
    ///
    /// Default 64.
    pub max_seed_addresses: usize,
    /// How many hellos are answered per second. From 1 to 1,000,000.
    ///
    /// Default 64: enough for a cluster that starts all at once, and no more, since anybody can send recorded hellos
    /// again.
    pub max_replies_per_second: u32,
    /// How many unknown senders per second are told that this node does not know them, and as many again at the
    /// addresses of members and seeds. From 1 to 1,000,000. Garbage from other addresses therefore does not prevent
    /// members from finding a node that has restarted.
    ///
    /// Default 16.
    pub max_notices_per_second: u32,
    /// How many refused datagrams per second are logged, with the feature `tracing`. At most 1,000,000; 0 logs none.
    /// All are counted.
    ///
    /// Default 5.
    pub max_warnings_per_second: u32,
    /// How many members are asked to probe a member that did not answer. At least 1.
    ///
    /// Default 3.
    pub indirect_probes: NonZeroUsize,
    /// How often one node passes on a piece of news. From 1 to 255.
    ///
    /// Default 10: enough for hundreds of nodes.
    pub news_repeats: NonZeroU8,
}

impl Default for SwimLimits {
    fn default() -> Self {
        Self {
            max_members: 1_024,
            max_sessions: 2_048,
            max_spaces: 64,
            max_pending_hellos: 256,
            max_waiting_datagrams: 4,
            max_seed_addresses: 64,
            max_replies_per_second: 64,
            max_notices_per_second: 16,
            max_warnings_per_second: 5,
            indirect_probes: NonZeroUsize::MIN.saturating_add(2),
            news_repeats: NonZeroU8::MIN.saturating_add(9),
        }
    }
}

impl SwimLimits {
    /// More than any network delivers, and what a limit of nanoseconds still tells apart.
    const MOST_PER_SECOND: u32 = 1_000_000;

    /// The same limits with some fields changed: `limits.with(|limits| limits.max_spaces = 8)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks each field's range, and the relations between fields.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range, or that contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_members", self.max_members, 1)?;
        at_least_field("max_sessions", self.max_sessions, "max_members", self.max_members)?;
        ConfigError::at_least("max_pending_hellos", self.max_pending_hellos, 1)?;
        ConfigError::at_least("max_waiting_datagrams", self.max_waiting_datagrams, 1)?;
        ConfigError::at_least("max_seed_addresses", self.max_seed_addresses, 1)?;
        ConfigError::at_least("max_replies_per_second", self.max_replies_per_second, 1)?;
        ConfigError::at_least("max_notices_per_second", self.max_notices_per_second, 1)?;
        ConfigError::at_most("max_replies_per_second", self.max_replies_per_second, Self::MOST_PER_SECOND)?;
        ConfigError::at_most("max_notices_per_second", self.max_notices_per_second, Self::MOST_PER_SECOND)?;
        ConfigError::at_most("max_warnings_per_second", self.max_warnings_per_second, Self::MOST_PER_SECOND)
    }
}
