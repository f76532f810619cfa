//! What a node keeps on disk.

use std::path::Path;

use anti_entropy::Opening;
use anti_entropy::clock::Seed;
use anti_entropy_redb::{MarkerFile, RedbConfig, RedbFile, RedbStore, Schema};

use super::space::BoxError;

/// The file of a node's spaces.
pub fn open(data: &Path) -> Result<RedbFile, BoxError> {
    Ok(RedbFile::create(data.join("consolidation.redb"), RedbConfig::new(Schema::new("engram-consolidation", 1)))?)
}

/// A space's store, how it is to be opened, and where `keep` puts the marker that its shutdown returns. After a crash there is
/// no marker, and the replica goes on under a new id.
pub fn space(file: &RedbFile, space: &str, markers: &Path) -> Result<(RedbStore, Opening, MarkerFile), BoxError> {
    let marker = MarkerFile::new(markers.join(format!("{space}.marker")));
    let store = file.space(space)?;
    let continuity = marker.take()?;
    let opening = Opening::from(Seed::from_os()?).with(|config| config.continuity = continuity);
    Ok((store, opening, marker))
}
