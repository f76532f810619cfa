//! An own item and an own store in under fifty lines: both keep their laws, and two replicas on them become equal.
//!
//! ```sh
//! cargo run --example custom_store
//! ```

use std::{env, error::Error, fs, ops::ControlFlow, path::PathBuf, process, time::Duration};

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, LastWriterWins, MemoryStore, Replica, Store, clock::Now, clock::Seed};

// 1. The item: a numbered note. The number is its key; its bytes and its digest come from serde.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Note(u32, String);

anti_entropy::replicated!(Note, key: u32 = |note| note.0);

// 2. The store: a file, and its content in memory. Good for little data; for more, keep a log or a tree of pages.
struct FileStore(PathBuf, MemoryStore);

fn open(path: PathBuf) -> Result<FileStore, Box<dyn Error>> {
    let content = if path.try_exists()? { postcard::from_bytes(&fs::read(&path)?)? } else { MemoryStore::new() };
    Ok(FileStore(path, content))
}

// Atomic: all content goes into a new file, which takes the old one's place by being renamed, and a file system does that
// at once or not at all. Durable: the file is synced before, and its new name after (as Unix wants it).
fn save(store: &FileStore) -> Result<(), Box<dyn Error + Send + Sync>> {
    let new = store.0.with_extension("new");
    fs::write(&new, postcard::to_allocvec(&store.1)?)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &store.0)?;
    Ok(fs::File::open(new.with_file_name("."))?.sync_all()?)
}

impl Store for FileStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.load(key)
    }

    fn scan(&self, range: KeyRange, each: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.1.scan(range, each)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.meta(slot)
    }

    // After an error that is `unknown` the replica stops until the store is opened again, and the file has the last word.
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.1.commit(commit)?;
        save(self).map_err(|error| StoreError::unknown("the file was not replaced").with_source(error))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::temp_dir().join(format!("custom-store-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let mut files = (0..).map(|number: u32| directory.join(number.to_string()));
    let mut new_store = || open(files.next().expect("numbers do not end")).expect("a new file opens");

    // 3. Both keep the laws of their traits. This is what a test of an own store or item asserts.
    anti_entropy_conformance::check_items(&[
        Note(1, "milk".into()),
        Note(1, "bread".into()),
        Note(u32::MAX, String::new()),
    ])?;
    anti_entropy_conformance::check_store(&mut new_store, |store| open(store.0).expect("the same file opens again"))?;
    println!("The item and the store keep their laws.");

    // 4. Two replicas write without knowing of each other, and meet. A real program takes the time from its clocks.
    let mut alice = Replica::open(new_store(), LastWriterWins, Seed::from_os()?)?;
    let mut bob = Replica::open(new_store(), LastWriterWins, Seed::from_os()?)?;
    alice.write(Note(1, "milk".into()), Now::default())?;
    bob.write(Note(1, "bread".into()), Now::default().after(Duration::from_secs(1)))?;
    println!("Their session: {:?}.", anti_entropy_conformance::exchange(&mut alice, &mut bob, Now::default())?);
    println!("They read {:?} and {:?}.", alice.read(&1)?.value(), bob.read(&1)?.value());
    Ok(fs::remove_dir_all(&directory)?)
}
