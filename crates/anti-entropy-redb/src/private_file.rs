//! Making files that only this user can read.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a new file for reading and writing. On Unix it has mode 0600, or less if the umask says so: it holds what peers need a
/// certificate for. Fails if the path names anything already, also a link that leads nowhere: links are not followed.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a new file in place of what the path names, which goes if it is a file or a link.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_new(path),
    }
}
