//! Files with keys.

use std::path::Path;

/// Says in the log that others can read or change a key. The key is used all the same: some file systems have no modes.
/// A group that reads it is not mentioned, since that is how services are given keys.
#[cfg_attr(not(all(unix, feature = "tracing")), allow(unused_variables, reason = "there is no mode, or no log"))]
pub(crate) fn warn_if_loose(path: &Path) {
    #[cfg(all(unix, feature = "tracing"))]
    if let Some(mode) = loose_mode(path) {
        let mode = format!("{mode:04o}");
        tracing::warn!(path = %path.display(), mode, "others can read or change this key; chmod 600 it, and replace it");
    }
}

/// The mode of a file that its group can change, or others can read or change.
#[cfg(all(unix, any(test, feature = "tracing")))]
fn loose_mode(path: &Path) -> Option<u32> {
    const CHANGED_BY_GROUP: u32 = 0o020;
    const BY_OTHERS: u32 = 0o006;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).ok()?.permissions()) & 0o777;
    (mode & (CHANGED_BY_GROUP | BY_OTHERS) != 0).then_some(mode)
}

/// Writes a key to a new file that only this user can read, in place of what the path names.
#[cfg(feature = "test-ca")]
pub(crate) fn write(path: &Path, key: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, key)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn modes_that_let_others_in_are_loose() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [
            (0o600, false),
            (0o400, false),
            (0o640, false),
            (0o440, false),
            (0o644, true),
            (0o660, true),
            (0o602, true),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(loose_mode(file.path()), expected.then_some(mode), "{mode:o}");
        }
        assert_eq!(loose_mode(Path::new("/nowhere/at/all")), None);
    }

    #[cfg(feature = "test-ca")]
    #[test]
    fn a_key_is_written_for_this_user_alone_and_not_through_a_link() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        fs::write(at("precious"), "data")?;
        std::os::unix::fs::symlink(at("precious"), at("node.key"))?;
        for content in ["one", "two"] {
            write(&at("node.key"), content.as_bytes())?;
            assert_eq!(fs::read_to_string(at("node.key"))?, content);
        }
        assert_eq!(fs::read_to_string(at("precious"))?, "data");
        assert_eq!(fs::symlink_metadata(at("node.key"))?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }
}
