//! Files with keys: nobody but their owner should read them.

use std::fs::File;
use std::path::Path;

/// Warns if others than its owner may read or write a file with a key. Nothing is refused for that: who runs a node may
/// have given it a group on purpose.
pub(crate) fn check_mode(path: &Path, file: &File) {
    #[cfg(all(unix, feature = "tracing"))]
    if let Ok(metadata) = file.metadata() {
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                mode = format_args!("{mode:o}"),
                "others than its owner may use this file, which has a key: run `chmod 600` on it"
            );
        }
    }
    #[cfg(not(all(unix, feature = "tracing")))]
    let _ = (path, file);
}
