//! Files as a whole: which are refused, spaces, backups, compaction, markers.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::store::{Commit, MetaSlot};
use anti_entropy::{Continuity, KeyHash, KeyRange, Keyed, LastWriterWins, Marker, Opening, Replica, Store};
use anti_entropy_redb::{FileError, MarkerFile, RedbConfig, RedbFile, RedbStore, Schema};
use redb::{Database, TableDefinition};

type Item = Keyed<u32, Vec<u8>>;

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("files", 2))
}

fn record(number: u32, bytes: usize) -> Commit {
    let mut commit = Commit::default();
    commit.records.insert(KeyHash::of(&number), Some(vec![1; bytes]));
    commit
}

fn replica(store: RedbStore, continuity: Continuity) -> Replica<Item> {
    let opening = Opening::from(Seed::from_os().unwrap()).with(|config| config.continuity = continuity);
    Replica::open(store, LastWriterWins, opening).unwrap()
}

/// Opens the file and expects a refusal that leaves it as it was.
fn refused(path: &Path, config: RedbConfig) -> FileError {
    let before = fs::read(path).unwrap();
    let error = RedbFile::create(path, config.clone()).unwrap_err();
    RedbFile::open(path, config).unwrap_err();
    assert!(fs::read(path).unwrap() == before, "{error}: the file was changed");
    error
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("text"), "Dear diary, ".repeat(1_000)).unwrap();
    fs::write(path("short"), "x").unwrap();
    // Begins with zeros, as a database does of which the creation was cut off.
    let mut image = vec![0; 1 << 16];
    image[446..512].fill(0x80);
    fs::write(path("image"), image).unwrap();
    let other = Database::create(path("other")).unwrap();
    let writing = other.begin_write().unwrap();
    writing.open_table(TableDefinition::<u8, u8>::new("theirs")).unwrap().insert(1, 1).unwrap();
    writing.commit().unwrap();
    drop(other);
    assert!(matches!(refused(&path("text"), config()), FileError::NotRedb));
    assert!(matches!(refused(&path("short"), config()), FileError::NotRedb));
    assert!(matches!(refused(&path("image"), config()), FileError::NotRedb));
    assert!(matches!(refused(&path("other"), config()), FileError::NotOurs));
    assert!(matches!(RedbFile::open(path("none"), config()), Err(FileError::Missing(_))));
    assert!(!path("none").exists());
}

#[test]
fn another_schema_is_refused_unless_the_type_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let with = |name: &str, version| RedbConfig::new(Schema::new(name, version));
    RedbFile::create(&path, with("files", 1)).unwrap().space("s").unwrap().commit(record(1, 10)).unwrap();
    for schema in [with("files", 2), with("lists", 1), with("files", 0)] {
        assert!(
            matches!(refused(&path, schema), FileError::OtherSchema { found, .. } if found == Schema::new("files", 1))
        );
    }
    let reads_both = with("files", 2).with(|config| config.reads_versions = vec![1]);
    refused(&path, with("lists", 2).with(|config| config.reads_versions = vec![1]));
    let store = RedbFile::open(&path, reads_both).unwrap().space("s").unwrap();
    assert_eq!(store.load(KeyHash::of(&1_u32)).unwrap(), Some(vec![1; 10]));
    drop(store);
    // It is of the new version from then on.
    refused(&path, with("files", 1));
    RedbFile::open(&path, with("files", 2)).unwrap();
}

/// The header as the crate's documentation has it, and other formats.
#[test]
fn the_header_says_the_format() {
    const HEADER: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("anti-entropy");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    drop(RedbFile::create(&path, config()).unwrap());
    let rewrite = |key: &str, bytes: Option<&[u8]>| {
        let database = Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        let mut header = writing.open_table(HEADER).unwrap();
        let held = match bytes {
            Some(bytes) => header.insert(key, bytes),
            None => header.remove(key),
        };
        let held = held.unwrap().map(|held| held.value().to_vec());
        drop(header);
        writing.commit().unwrap();
        held.unwrap_or_default()
    };
    assert_eq!(rewrite("schema name", None), b"files");
    assert!(matches!(refused(&path, config()), FileError::Damaged(_)));
    assert_eq!(rewrite("schema name", Some(b"files")), b"");
    assert_eq!(rewrite("schema version", Some(&[0, 0])), [0, 0, 0, 2]);
    assert!(matches!(refused(&path, config()), FileError::Damaged(_)));
    assert_eq!(rewrite("schema version", Some(&[0, 0, 0, 2])), [0, 0]);
    assert_eq!(rewrite("format", Some(&[0, 0, 0, 2])), [0, 0, 0, 1]);
    assert!(matches!(refused(&path, config()), FileError::OtherFormat { found: 2, expected: 1 }));
}

/// Table names, keys and values as the crate's documentation has them.
#[test]
fn tables_are_as_documented() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut commit = record(7, 3);
    commit.meta.insert(MetaSlot::Identity, vec![2]);
    commit.meta.insert(MetaSlot::Context, vec![3]);
    RedbFile::create(&path, config()).unwrap().space("ä").unwrap().commit(commit).unwrap();
    let database = Database::open(&path).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&database).unwrap();
    let records = reading.open_table(TableDefinition::<&[u8; 16], &[u8]>::new("records/ä")).unwrap();
    assert_eq!(records.get(KeyHash::of(&7_u32).as_bytes()).unwrap().unwrap().value(), [1, 1, 1]);
    let meta = reading.open_table(TableDefinition::<u8, &[u8]>::new("meta/ä")).unwrap();
    assert_eq!([0, 1].map(|slot| meta.get(slot).unwrap().unwrap().value().to_vec()), [[2], [3]]);
}

#[test]
fn a_file_and_a_space_are_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let file = RedbFile::create(&path, config()).unwrap();
    assert!(matches!(RedbFile::open(&path, config()), Err(FileError::InUse)));
    let store = file.space("s").unwrap();
    assert!(matches!(file.space("s"), Err(FileError::SpaceInUse(name)) if name == "s"));
    file.clone().space("t").unwrap();
    // The store alone keeps the file open.
    drop(file);
    assert!(matches!(RedbFile::open(&path, config()), Err(FileError::InUse)));
    drop(store);
    RedbFile::open(&path, config()).unwrap().space("s").unwrap();
}

#[test]
fn names_of_spaces_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let config = config().with(|config| config.max_space_name_bytes = 4);
    let file = RedbFile::create(directory.path().join("file"), config).unwrap();
    assert!(matches!(file.space(""), Err(FileError::SpaceName { bytes: 0, limit: 4 })));
    assert!(matches!(file.space("fünf"), Err(FileError::SpaceName { bytes: 5, limit: 4 })));
    for name in ["b", "four", "a/b"] {
        file.space(name).unwrap().commit(record(1, 1)).unwrap();
    }
    file.space("none").unwrap();
    assert_eq!(file.spaces().unwrap(), ["a/b", "b", "four"]);
}

#[test]
fn a_backup_is_one_moment_and_takes_a_new_id() {
    let directory = tempfile::tempdir().unwrap();
    let [path, copy] = ["file", "copy"].map(|name| directory.path().join(name));
    let marker = MarkerFile::new(directory.path().join("marker"));
    let file = RedbFile::create(&path, config()).unwrap();
    let (mut a, mut b) = (
        replica(file.space("a").unwrap(), Continuity::Unproven),
        replica(file.space("b").unwrap(), Continuity::Unproven),
    );
    for number in 0..100 {
        a.write(Keyed::new(number, vec![1; 100]), Now::default()).unwrap();
    }
    b.write(Keyed::new(1, vec![2]), Now::default()).unwrap();
    let (id, roots) = (a.id(), [a.root(), b.root()]);
    file.backup(&copy).unwrap();
    assert!(matches!(file.backup(&copy), Err(FileError::Exists(_))));
    a.write(Keyed::new(1, vec![3]), Now::default()).unwrap();
    // Even with the marker of the closed original, the copy is known for what it is.
    marker.keep(a.close().unwrap()).unwrap();
    let restored = RedbFile::open(&copy, config()).unwrap();
    let mut a = replica(restored.space("a").unwrap(), marker.take().unwrap());
    let mut b = replica(restored.space("b").unwrap(), Continuity::Unproven);
    assert_eq!([a.root(), b.root()], roots);
    assert_ne!(a.id(), id);
    assert_eq!(a.read(&1).unwrap().value().unwrap().value, vec![1; 100]);
}

#[test]
fn a_marker_keeps_the_id_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let marker = MarkerFile::new(directory.path().join("marker"));
    let open = |continuity| replica(RedbFile::create(&path, config()).unwrap().space("s").unwrap(), continuity);
    let first = open(marker.take().unwrap());
    let id = first.id();
    marker.keep(first.close().unwrap()).unwrap();
    let second = open(marker.take().unwrap());
    assert_eq!(second.id(), id);
    // As in a crash.
    drop(second);
    assert!(!marker.path().exists());
    assert_ne!(open(marker.take().unwrap()).id(), id);
    fs::write(marker.path(), b"seventeen bytes..").unwrap();
    assert_eq!(marker.take().unwrap(), Continuity::Unproven);
    assert!(!marker.path().exists());
}

#[test]
fn compaction_saves_room_when_it_is_worth_it() {
    let directory = tempfile::tempdir().unwrap();
    let filled = |percent| {
        let config = config().with(|config| config.compact_from_unused_percent = percent);
        let file = RedbFile::create(directory.path().join(percent.to_string()), config).unwrap();
        let mut store = file.space("s").unwrap();
        for number in 0..50 {
            store.commit(record(number, 100_000)).unwrap();
        }
        let mut commit = Commit::default();
        commit.records.extend((1..50_u32).map(|number| (KeyHash::of(&number), None)));
        store.commit(commit).unwrap();
        (file, store)
    };
    let (file, _store) = filled(100);
    assert_eq!(file.compact().unwrap().saved_bytes(), 0);
    let (file, store) = filled(30);
    // A scan reads what would be moved.
    let scanned = store.scan(KeyRange::ALL, &mut |_, _| {
        assert!(matches!(file.compact(), Err(FileError::Busy)));
        std::ops::ControlFlow::Break(())
    });
    scanned.unwrap();
    let compaction = file.compact().unwrap();
    assert_eq!((file.len_bytes().unwrap(), compaction.saved_bytes() > 4_000_000), (compaction.bytes_after, true));
    assert_eq!(store.load(KeyHash::of(&0_u32)).unwrap(), Some(vec![1; 100_000]));
    // Now there is nothing to gain.
    assert_eq!(file.compact().unwrap().saved_bytes(), 0);
}

/// As many as are read ahead on another thread, in several chunks; short scans are in the conformance tests.
#[test]
fn long_scans_are_whole_and_stop_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let file = RedbFile::create(directory.path().join("file"), config()).unwrap();
    let mut store = file.space("s").unwrap();
    let mut commit = Commit::default();
    commit.records.extend((0..20_000_u32).map(|number| (KeyHash::of(&number), Some(vec![1; number as usize % 100]))));
    let records = commit.records.clone();
    store.commit(commit).unwrap();
    for stop in [1, 1_999, 2_000, 2_001, 2_002, 9_000, 19_999, 20_000, 30_000] {
        let mut seen = Vec::new();
        let scanned = store.scan(KeyRange::ALL, &mut |key, record| {
            seen.push((key, Some(record.to_vec())));
            if seen.len() == stop { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        });
        scanned.unwrap();
        assert!(seen.iter().map(|(key, record)| (key, record)).eq(records.iter().take(stop)), "{stop}");
    }
}

#[test]
fn what_goes_bad_under_an_open_file_is_an_error() {
    const PAGE_BYTES: usize = 4096;
    let mut failed = 0;
    for seed in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        // Without a cache all is read from the file.
        let file = RedbFile::create(&path, config().with(|config| config.cache_bytes = 0)).unwrap();
        let mut store = file.space("s").unwrap();
        for numbers in (0..4_000).collect::<Vec<_>>().chunks(1_000) {
            let mut commit = Commit::default();
            commit.records.extend(numbers.iter().flat_map(|number| record(*number, 200).records));
            store.commit(commit).unwrap();
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let mut disk = OpenOptions::new().write(true).open(&path).unwrap();
        let pages = disk.metadata().unwrap().len() / PAGE_BYTES as u64;
        for _ in 0..40 {
            disk.seek(SeekFrom::Start(random.u64(1..pages) * PAGE_BYTES as u64)).unwrap();
            disk.write_all(&std::array::from_fn::<u8, PAGE_BYTES, _>(|_| random.u8(..))).unwrap();
        }
        // Found or not found, but never a panic.
        let scanned = store.scan(KeyRange::ALL, &mut |_, _| ControlFlow::Continue(()));
        let loaded = (0..4_000).filter(|number| {
            let key = *record(*number, 1).records.first_key_value().unwrap().0;
            store.load(key).is_err()
        });
        failed += usize::from(scanned.is_err()) + loaded.count();
        let _ = store.meta(MetaSlot::Identity);
        let _ = store.commit(record(1, 300));
    }
    assert!(failed > 0, "nothing was damaged");
}

#[test]
fn a_backup_has_its_name_once_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let [path, copy, part] = ["file", "copy", "copy.part"].map(|name| directory.path().join(name));
    let file = RedbFile::create(&path, config()).unwrap();
    // What a crash has left is not taken for one, nor overwritten.
    fs::write(&part, b"left over").unwrap();
    let Err(FileError::Exists(found)) = file.backup(&copy) else { panic!("something was overwritten") };
    assert_eq!(found, part.display().to_string());
    assert!(!copy.exists());
    fs::remove_file(&part).unwrap();
    file.backup(&copy).unwrap();
    assert!(copy.exists() && !part.exists());
}

/// With any umask: what is made has no rights that would have to be taken away.
#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_made_and_nothing_is_written_through_a_link() {
    use std::os::unix::fs::{MetadataExt, symlink};

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mode = |name: &str| std::fs::symlink_metadata(path(name)).unwrap().mode() & 0o7777;
    let config = RedbConfig::new(Schema::new("modes", 1));
    let file = RedbFile::create(path("database"), config.clone()).unwrap();
    file.backup(path("backup")).unwrap();
    let marker = MarkerFile::new(path("marker"));
    // Somebody has put a link where the marker is written first.
    std::fs::write(path("victim"), "untouched").unwrap();
    symlink(path("victim"), path("marker.new")).unwrap();
    marker.keep(Marker::from_bytes([7; 16])).unwrap();
    assert_eq!(std::fs::read_to_string(path("victim")).unwrap(), "untouched");
    assert_eq!(["database", "backup", "marker"].map(mode), [0o600; 3]);
    // A link that leads nowhere makes no database elsewhere.
    symlink(path("elsewhere"), path("link")).unwrap();
    RedbFile::create(path("link"), config).unwrap_err();
    assert!(!path("elsewhere").exists());
    assert_eq!(marker.take().unwrap(), Continuity::Marker(Marker::from_bytes([7; 16])));
}

#[test]
fn what_was_read_keeps_no_room_in_the_file_and_hinders_no_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let length = |name: &str, reads: bool| {
        let file = RedbFile::create(directory.path().join(name), config()).unwrap();
        let (mut written, mut idle) = (file.space("written").unwrap(), file.space("idle").unwrap());
        idle.commit(record(1, 10)).unwrap();
        for round in 0..100 {
            written.commit(record(1, 10_000)).unwrap();
            if reads {
                written.load(KeyHash::of(&1u32)).unwrap().unwrap();
                // What this space read in the first round would keep what has been there since.
                assert!(round > 0 || idle.load(KeyHash::of(&1u32)).unwrap().is_some());
            }
        }
        file.len_bytes().unwrap()
    };
    assert_eq!(length("read", true), length("not read", false));
    let always = config().with(|config| config.compact_from_unused_percent = 0);
    let file = RedbFile::create(directory.path().join("compacted"), always).unwrap();
    let mut store = file.space("s").unwrap();
    store.commit(record(1, 10_000)).unwrap();
    store.load(KeyHash::of(&1u32)).unwrap().unwrap();
    file.compact().unwrap();
    assert_eq!(store.load(KeyHash::of(&1u32)).unwrap().unwrap().len(), 10_000);
}
