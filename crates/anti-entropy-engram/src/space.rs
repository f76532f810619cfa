//! A memory space: what all of its replicas have to agree on.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Encoding, Resolution, SpaceError};

/// A memory space and the settings that its replicas share. Each space is synchronised on its own.
///
/// Replicas whose settings differ would read different things from the same patterns, so they refuse each other:
/// [`agreement`](Self::agreement) goes into the session's settings.
///
/// ```
/// use anti_entropy_engram::{Encoding, Space};
///
/// let space = Space::new("default");
/// assert_eq!(space.dimension.get(), 768);
/// let halved = Space { encoding: Encoding::F16, ..space.clone() };
/// assert_ne!(space.agreement(), halved.agreement());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// The space's name.
    pub id: String,
    /// How many components an embedding has. 768 by default, as in engram.
    pub dimension: NonZeroUsize,
    /// How embeddings are kept and sent. [`Encoding::F32`], which loses nothing, by default.
    pub encoding: Encoding,
    /// What concurrent versions of a pattern mean. [`Resolution::ConfidenceVoting`] by default.
    pub resolution: Resolution,
    /// From where on different patterns are in conflict.
    pub thresholds: Thresholds,
}

/// From where on two different patterns are in conflict; see [`SemanticView`](crate::view::SemanticView).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The least overlap (Jaccard index of the episodes) of patterns that are merged. 0.5 by default: half of all episodes
    /// are common.
    pub merge_overlap: f64,
    /// The least cosine similarity of patterns that are merged. 0.80 by default.
    pub merge_cosine: f64,
    /// The least cosine similarity of patterns that are linked. 0.85 by default: without common episodes it takes more to
    /// mean the same.
    pub link_cosine: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { merge_overlap: 0.5, merge_cosine: 0.80, link_cosine: 0.85 }
    }
}

impl Space {
    /// A space with engram's settings: 768 dimensions, exact embeddings, confidence voting.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            dimension: NonZeroUsize::new(768).expect("768 is not zero"),
            encoding: Encoding::F32,
            resolution: Resolution::ConfidenceVoting,
            thresholds: Thresholds::default(),
        }
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// [`SpaceError`] says which does not.
    pub fn check(&self) -> Result<(), SpaceError> {
        if self.id.is_empty() {
            return Err(SpaceError::EmptyId);
        }
        let Thresholds { merge_overlap, merge_cosine, link_cosine } = self.thresholds;
        let named = [("merge_overlap", merge_overlap), ("merge_cosine", merge_cosine), ("link_cosine", link_cosine)];
        match named.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some((name, value)) => Err(SpaceError::Threshold { name, value }),
            None => Ok(()),
        }
    }

    /// The number of the space's channel where several spaces share a transport: the first eight bytes of a hash of its id
    /// (docs/protocol.md, "Root announcements"). See [`Channels`](anti_entropy::transport::Channels).
    pub fn channel(&self) -> u64 {
        let hash = Sha256::new().chain_update(b"anti-entropy-engram/1 space id").chain_update(&self.id).finalize();
        let hash: [u8; 32] = hash.into();
        u64::from_be_bytes(*hash.first_chunk().expect("eight of 32 bytes"))
    }

    /// A number that stands for all these settings: equal, but for a chance of 2⁻⁶⁴, exactly where they are
    /// (docs/protocol.md, "Spaces").
    pub fn agreement(&self) -> u64 {
        let Thresholds { merge_overlap, merge_cosine, link_cosine } = self.thresholds;
        let mut hash = Sha256::new();
        hash.update(b"anti-entropy-engram/1 space");
        hash.update((self.id.len() as u64).to_be_bytes());
        hash.update(&self.id);
        hash.update((self.dimension.get() as u64).to_be_bytes());
        hash.update([self.encoding.code(), self.resolution.code()]);
        for threshold in [merge_overlap, merge_cosine, link_cosine] {
            // -0 is equal to 0.
            hash.update((threshold + 0.0).to_bits().to_be_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes(hash[..8].try_into().expect("eight of 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_counts() {
        let space = Space::new("default");
        let thresholds = |change: fn(&mut Thresholds)| {
            let mut space = space.clone();
            change(&mut space.thresholds);
            space
        };
        let others = [
            Space::new("defaults"),
            Space { dimension: NonZeroUsize::new(384).unwrap(), ..space.clone() },
            Space { encoding: Encoding::F16, ..space.clone() },
            Space { encoding: Encoding::I8, ..space.clone() },
            Space { resolution: Resolution::LastConsolidated, ..space.clone() },
            Space { resolution: Resolution::KeepAll, ..space.clone() },
            thresholds(|all| all.merge_overlap = 0.51),
            thresholds(|all| all.merge_cosine = 0.81),
            thresholds(|all| all.link_cosine = 0.86),
            space.clone(),
        ];
        let mut agreements = others.map(|other| other.agreement()).to_vec();
        agreements.sort_unstable();
        agreements.dedup();
        assert_eq!(agreements.len(), 10);
    }

    #[test]
    fn equal_settings_agree() {
        let [zero, negative] = [0.0, -0.0].map(|merge_overlap| {
            let thresholds = Thresholds { merge_overlap, ..Thresholds::default() };
            Space { thresholds, ..Space::new("default") }
        });
        assert_eq!(zero, negative);
        assert_eq!(zero.agreement(), negative.agreement());
    }

    /// Worked out from docs/protocol.md by a separate program.
    #[test]
    fn the_agreement_is_this_number() {
        assert_eq!(Space::new("default").agreement(), 0x18f0_84c4_3a2c_3116);
    }

    #[test]
    fn thresholds_that_make_no_sense_are_refused() {
        for value in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            let mut space = Space::new("default");
            space.thresholds.merge_cosine = value;
            assert!(matches!(space.check(), Err(SpaceError::Threshold { name: "merge_cosine", .. })), "{value}");
        }
        assert_eq!(Space::new("").check(), Err(SpaceError::EmptyId));
        assert_eq!(Space::new("default").check(), Ok(()));
    }
}
