//! Files are made for this user alone, and not through links.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anti_entropy::{Continuity, Marker};
use anti_entropy_redb::{FileError, MarkerFile, RedbConfig, RedbFile, Schema};

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("private", 1))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn databases_backups_and_markers_are_for_this_user_alone() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let file = RedbFile::create(at("database"), config()).unwrap();
    file.backup(at("backup")).unwrap();
    MarkerFile::new(at("marker")).keep(Marker::from_bytes([7; 16])).unwrap();
    for name in ["database", "backup", "marker"] {
        assert_eq!(mode(&at(name)), 0o600, "{name}");
    }
    // A file that is there keeps what its owner has chosen.
    drop(file);
    fs::set_permissions(at("database"), fs::Permissions::from_mode(0o640)).unwrap();
    drop(RedbFile::create(at("database"), config()).unwrap());
    assert_eq!(mode(&at("database")), 0o640);
}

#[test]
fn nothing_is_made_through_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for link in ["database", "backup", "backup.part", "other.part"] {
        symlink(at("elsewhere"), at(link)).unwrap();
    }
    assert!(matches!(RedbFile::create(at("database"), config()), Err(FileError::Missing(_))));
    let file = RedbFile::create(at("real"), config()).unwrap();
    assert!(matches!(file.backup(at("backup")), Err(FileError::Exists(_))));
    assert!(matches!(file.backup(at("other")), Err(FileError::Exists(_))));
    assert!(!at("elsewhere").exists());
}

#[test]
fn a_marker_replaces_a_link_and_leaves_alone_what_it_leads_to() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("precious"), "data").unwrap();
    for link in ["marker", "marker.new"] {
        symlink(at("precious"), at(link)).unwrap();
    }
    let marker = Marker::from_bytes([7; 16]);
    let file = MarkerFile::new(at("marker"));
    file.keep(marker).unwrap();
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "data");
    assert_eq!((mode(&at("marker")), file.take().unwrap()), (0o600, Continuity::Marker(marker)));
    // What a crash left behind is no hindrance.
    fs::write(at("marker.new"), "half").unwrap();
    file.keep(marker).unwrap();
    assert_eq!(file.take().unwrap(), Continuity::Marker(marker));
}
