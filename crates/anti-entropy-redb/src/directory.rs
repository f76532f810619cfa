//! Syncing directories, so that the names of files survive a power cut.

use std::io;
use std::path::Path;

/// Syncs the directory of a path on platforms that can; on others the file system does it.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { std::fs::File::open(parent)?.sync_all() } else { Ok(()) }
}
