//! Where the marker of a closed replica is kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anti_entropy::{Continuity, Marker};

use crate::directory;

/// Keeps what [`Replica::close`](anti_entropy::Replica::close) returns until the next opening, so that a replica
/// that was closed goes on under its id, and one that crashed or comes from a backup takes a new one.
///
/// **Keep the file outside of what is backed up**, and outside of the directory of the database: whoever restores an old
/// database together with its old marker makes the replica believe that it was never rolled back. A directory of the
/// machine's own state does, `/var/lib/private` rather than `/var/lib/app/data`. One file serves one replica.
///
/// The file holds the marker's sixteen bytes. Any other content proves nothing.
///
/// ```
/// use anti_entropy::{Continuity, Marker};
/// use anti_entropy_redb::MarkerFile;
///
/// # let directory = tempfile::tempdir()?;
/// let file = MarkerFile::new(directory.path().join("list.marker"));
/// file.keep(Marker::from_bytes([7; 16]))?;
/// // It is good for one opening.
/// assert_eq!(file.take()?, Continuity::Marker(Marker::from_bytes([7; 16])));
/// assert_eq!(file.take()?, Continuity::Unproven);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MarkerFile {
    path: PathBuf,
}

impl MarkerFile {
    /// The marker that is kept, or will be kept, at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the marker is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the marker away and says what it proves. Call it before each opening of the replica.
    ///
    /// # Errors
    /// If the marker cannot be taken away for good. Then do not open the replica with it: the next opening would find it
    /// again.
    pub fn take(&self) -> io::Result<Continuity> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Continuity::Unproven),
            read => read?,
        };
        fs::remove_file(&self.path)?;
        directory::sync_parent(&self.path)?;
        Ok(bytes.try_into().map_or(Continuity::Unproven, |bytes| Continuity::Marker(Marker::from_bytes(bytes))))
    }

    /// Keeps the marker of a replica that was closed.
    ///
    /// # Errors
    /// If the file system fails. Nothing is lost: the replica then takes a new id when it is opened.
    pub fn keep(&self, marker: Marker) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = File::create(&new)?;
        file.write_all(&marker.to_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        directory::sync_parent(&self.path)
    }
}
