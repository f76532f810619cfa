//! What concurrent versions of one pattern mean.

mod voting;

use anti_entropy::{KeepAll, Resolver, Version};
use serde::{Deserialize, Serialize};

pub use self::voting::{ConfidenceVoting, Vote, vote};
pub(crate) use self::voting::{Mean, by_certainty, lowered};
use crate::Pattern;

/// The version that was consolidated last wins, by its node's clock; among equal ones, that with the greatest dot.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastConsolidated;

impl Resolver<Pattern> for LastConsolidated {
    fn resolve(&self, _id: &String, siblings: &[Version<Pattern>]) -> Option<Pattern> {
        let latest = siblings.iter().max_by_key(|sibling| (sibling.value.last_consolidated(), sibling.dot));
        latest.map(|sibling| sibling.value.clone())
    }
}

/// The resolver of a space, as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Resolution {
    /// [`ConfidenceVoting`].
    #[default]
    ConfidenceVoting,
    /// [`LastConsolidated`].
    LastConsolidated,
    /// [`KeepAll`]: a read shows the conflict.
    KeepAll,
}

impl Resolution {
    /// What stands for it where it is hashed.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::ConfidenceVoting => 0,
            Self::LastConsolidated => 1,
            Self::KeepAll => 2,
        }
    }
}

impl Resolver<Pattern> for Resolution {
    fn resolve(&self, id: &String, siblings: &[Version<Pattern>]) -> Option<Pattern> {
        match self {
            Self::ConfidenceVoting => ConfidenceVoting.resolve(id, siblings),
            Self::LastConsolidated => LastConsolidated.resolve(id, siblings),
            Self::KeepAll => KeepAll.resolve(id, siblings),
        }
    }
}
