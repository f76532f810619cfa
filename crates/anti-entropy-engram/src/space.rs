//! A memory space: the settings that all of its replicas share.

use std::num::NonZeroUsize;

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Encoding;

/// A memory space and the settings that its replicas share. Each space is synchronised on its own.
///
/// Replicas with different settings would read different results from the same patterns. Therefore they refuse each other:
/// their sessions carry the [`schema_id`](Self::schema_id) of the settings.
///
/// ```
/// use anti_entropy_engram::{Encoding, MemorySpace};
///
/// let space = MemorySpace::new("default");
/// assert_eq!(space.dimension.get(), 768);
/// let halved = space.clone().with(|space| space.encoding = Encoding::F16);
/// assert_ne!(space.schema_id(), halved.schema_id());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemorySpace {
    /// The space's name; not empty.
    pub id: String,
    /// How many components an embedding has; at least 1. 768 by default, as in engram.
    pub dimension: NonZeroUsize,
    /// How embeddings are stored and sent. [`Encoding::F32`], which is without loss, by default.
    pub encoding: Encoding,
    /// How a read resolves concurrent versions of a pattern. [`Resolution::ConfidenceVoting`] by default.
    pub resolution: Resolution,
    /// When two different patterns are in conflict.
    pub thresholds: Thresholds,
}

/// When two different patterns are in conflict; see [`SemanticView`](crate::view::SemanticView).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thresholds {
    /// The least overlap (Jaccard index of the episodes) of patterns that are merged, 0 to 1. 0.5 by default: the two share
    /// half of all their episodes.
    pub merge_overlap: f64,
    /// The least cosine similarity of patterns that are merged, 0 to 1. 0.80 by default.
    pub merge_cosine: f64,
    /// The least cosine similarity of patterns that are linked, 0 to 1. 0.85 by default, above
    /// [`merge_cosine`](Self::merge_cosine): without common episodes, embeddings have to be closer to count as the same
    /// meaning.
    pub link_cosine: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { merge_overlap: 0.5, merge_cosine: 0.80, link_cosine: 0.85 }
    }
}

impl Thresholds {
    fn validate(&self) -> Result<(), ConfigError> {
        let Self { merge_overlap, merge_cosine, link_cosine } = *self;
        let all = [("merge_overlap", merge_overlap), ("merge_cosine", merge_cosine), ("link_cosine", link_cosine)];
        all.into_iter().try_for_each(|(field, value)| {
            ConfigError::at_least(field, value, 0.0)?;
            ConfigError::at_most(field, value, 1.0)
        })
    }
}

/// How reads of a space resolve concurrent versions of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Resolution {
    /// [`ConfidenceVoting`](crate::ConfidenceVoting).
    #[default]
    ConfidenceVoting,
    /// [`LastConsolidated`](crate::LastConsolidated).
    LastConsolidated,
    /// [`KeepAll`](anti_entropy::KeepAll): a read returns all versions.
    KeepAll,
}

impl Resolution {
    /// The number that is hashed for it.
    const fn code(self) -> u8 {
        match self {
            Self::ConfidenceVoting => 0,
            Self::LastConsolidated => 1,
            Self::KeepAll => 2,
        }
    }
}

impl MemorySpace {
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

    /// This space with some settings changed.
    ///
    /// ```
    /// use anti_entropy_engram::MemorySpace;
    ///
    /// let strict = MemorySpace::new("default").with(|space| space.thresholds.merge_overlap = 0.75);
    /// assert!(strict.validate().is_ok());
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.id.is_empty() {
            return Err(ConfigError::new("id", &self.id, "a name that is not empty"));
        }
        self.thresholds.validate().map_err(|error| error.within("thresholds"))
    }

    /// The number of the space's channel, for spaces that share a transport by
    /// [`Channels`](anti_entropy::transport::Channels): the first eight bytes of a hash of its id (docs/protocol.md, "Root
    /// announcements").
    pub fn channel(&self) -> u64 {
        let hash = Sha256::new().chain_update(b"anti-entropy-engram/1 space id").chain_update(&self.id).finalize();
        let hash: [u8; 32] = hash.into();
        u64::from_be_bytes(*hash.first_chunk().expect("eight of 32 bytes"))
    }

    /// A number that stands for all settings of the space: the first eight bytes of a hash of them (docs/protocol.md,
    /// "Spaces"). Different settings have the same number with a probability of 2⁻⁶⁴.
    pub fn schema_id(&self) -> u64 {
        let Thresholds { merge_overlap, merge_cosine, link_cosine } = self.thresholds;
        let mut hash = Sha256::new();
        hash.update(b"anti-entropy-engram/1 space");
        hash.update((self.id.len() as u64).to_be_bytes());
        hash.update(&self.id);
        hash.update((self.dimension.get() as u64).to_be_bytes());
        hash.update([self.encoding.code(), self.resolution.code()]);
        for threshold in [merge_overlap, merge_cosine, link_cosine] {
            // -0 is equal to 0, so the two must have the same hash.
            hash.update((threshold + 0.0).to_bits().to_be_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes(hash[..8].try_into().expect("eight of 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut MemorySpace)) -> MemorySpace {
        MemorySpace::new("default").with(change)
    }

    #[test]
    fn every_setting_changes_the_schema_id() {
        let others = [
            MemorySpace::new("defaults"),
            with(|space| space.dimension = NonZeroUsize::new(384).unwrap()),
            with(|space| space.encoding = Encoding::F16),
            with(|space| space.encoding = Encoding::I8),
            with(|space| space.resolution = Resolution::LastConsolidated),
            with(|space| space.resolution = Resolution::KeepAll),
            with(|space| space.thresholds.merge_overlap = 0.51),
            with(|space| space.thresholds.merge_cosine = 0.81),
            with(|space| space.thresholds.link_cosine = 0.86),
            with(|_| ()),
        ];
        let mut ids = others.map(|other| other.schema_id()).to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10);
    }

    #[test]
    fn equal_settings_have_equal_schema_ids() {
        let [zero, negative] = [0.0, -0.0].map(|overlap| with(|space| space.thresholds.merge_overlap = overlap));
        assert_eq!(zero, negative);
        assert_eq!(zero.schema_id(), negative.schema_id());
    }

    /// Computed from docs/protocol.md by a separate program.
    #[test]
    fn the_schema_id_is_this_number() {
        assert_eq!(MemorySpace::new("default").schema_id(), 0x18f0_84c4_3a2c_3116);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        type Change = fn(&mut MemorySpace, f64);
        let thresholds: [(&str, Change); 3] = [
            ("thresholds.merge_overlap", |space, value| space.thresholds.merge_overlap = value),
            ("thresholds.merge_cosine", |space, value| space.thresholds.merge_cosine = value),
            ("thresholds.link_cosine", |space, value| space.thresholds.link_cosine = value),
        ];
        for (field, change) in thresholds {
            for value in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
                let error = with(|space| change(space, value)).validate().unwrap_err();
                assert_eq!((error.field.as_str(), error.value), (field, format!("{value:?}")));
            }
            for value in [0.0, -0.0, 0.5, 1.0] {
                assert_eq!(with(|space| change(space, value)).validate(), Ok(()));
            }
        }
        assert_eq!(MemorySpace::new("").validate().unwrap_err().field, "id");
        assert_eq!(MemorySpace::new("default").validate(), Ok(()));
    }
}
