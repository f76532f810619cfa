//! The file for the marker of a closed replica.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anti_entropy::{Continuity, Marker};

use crate::{directory, private_file};

/// A file that keeps the marker of [`Replica::close`](anti_entropy::Replica::close) until the replica is opened
/// again. With it, a replica that was closed keeps its id, and one that crashed or comes from a backup takes a new id.
///
/// **Keep the file out of backups**, and out of the directory of the database. An old database that is restored together with
/// its old marker looks as if it was never rolled back. Use a directory for the machine's own state, `/var/lib/private` and
/// not `/var/lib/app/data`, for example. One file serves one replica.
///
/// The file has the sixteen bytes of the marker. Any other content proves nothing.
///
/// ```
/// use anti_entropy::{Continuity, Marker};
/// use anti_entropy_redb::MarkerFile;
///
/// # let directory = tempfile::tempdir()?;
/// let file = MarkerFile::new(directory.path().join("list.marker"));
/// file.keep(Marker::from_bytes([7; 16]))?;
/// // The marker is good for one opening.
/// assert_eq!(file.take()?, Continuity::Marker(Marker::from_bytes([7; 16])));
/// assert_eq!(file.take()?, Continuity::Unproven);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MarkerFile {
    path: PathBuf,
}

impl MarkerFile {
    /// The marker file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the marker and returns what it proves. Call it before each opening of the replica.
    ///
    /// # Errors
    /// If the marker cannot be removed for good. Then do not open the replica with it, since the next opening would find it
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

    /// Writes the marker of a replica that was closed, on Unix with mode 0600. A link at the path is replaced, not followed.
    ///
    /// # Errors
    /// If the file system fails. No data is lost; the replica takes a new id when it is opened.
    pub fn keep(&self, marker: Marker) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = private_file::create_anew(Path::new(&new))?;
        file.write_all(&marker.to_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        directory::sync_parent(&self.path)
    }
}
