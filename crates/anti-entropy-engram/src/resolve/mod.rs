//! How concurrent versions of one pattern are resolved.

mod voting;

use anti_entropy::{KeepAll, Resolver, Version};

pub use self::voting::{ConfidenceVoting, Vote, vote};
pub(crate) use self::voting::{Mean, by_certainty, lowered};
use crate::{Pattern, Resolution};

/// The version that was consolidated last wins, by the clock of the node that consolidated it. Of versions with equal times
/// the one with the greatest dot wins.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastConsolidated;

impl Resolver<Pattern> for LastConsolidated {
    fn resolve(&self, _id: &String, siblings: &[Version<Pattern>]) -> Option<Pattern> {
        let latest = siblings.iter().max_by_key(|sibling| (sibling.value.last_consolidated(), sibling.dot));
        latest.map(|sibling| sibling.value.clone())
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
