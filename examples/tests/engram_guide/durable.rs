use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anti_entropy::clock::Seed;
use anti_entropy::{Continuity, Marker, Opening};

use crate::cluster::BoxError;

/// How the store in this directory is to be opened. The marker proves that the store is the one that was closed last. It is
/// good for one opening, so it goes before that; after a crash there is none, and the replica goes on under a new id.
pub(crate) fn opening(directory: &Path) -> Result<Opening, BoxError> {
    let file = directory.join("marker");
    let continuity = match fs::read(&file) {
        Ok(marker) => {
            fs::remove_file(&file)?;
            fs::File::open(directory)?.sync_all()?;
            marker.try_into().map_or(Continuity::Unproven, |marker| Continuity::Marker(Marker::from_bytes(marker)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Continuity::Unproven,
        Err(error) => return Err(error.into()),
    };
    Ok(Opening::from(Seed::from_os()?).with(|config| config.continuity = continuity))
}

/// Keeps what `SpaceReplica::shut_down` returned. Leave the file out of backups: restored with an old store, it would lie.
pub(crate) fn keep(marker: Marker, directory: &Path) -> io::Result<()> {
    fs::write(directory.join("marker"), marker.to_bytes())
}
