//! Makes the names of files survive a power cut.

use std::io;
use std::path::Path;

/// Syncs the directory that a path is in, where the platform can do that; elsewhere the file system does.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { std::fs::File::open(parent)?.sync_all() } else { Ok(()) }
}
