//! What a store says of its failure reaches whoever reads the error or the event.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::store::StoreError;
use anti_entropy::{
    Error, Event, GossipConfig, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node, Replica, Store,
};
use anti_entropy_conformance::with_commit;
use futures::StreamExt;
use futures::executor::block_on;

type Item = Keyed<u32, String>;

const WORKS: u8 = 0;
const IS_FULL: u8 = 1;
const FAILS_TO_SYNC: u8 = 2;

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

/// A store in memory whose disk is full, or fails, when the test says so.
fn disk() -> (impl Store + 'static, Arc<AtomicU8>) {
    let state = Arc::new(AtomicU8::new(WORKS));
    let seen = Arc::clone(&state);
    let store = with_commit(MemoryStore::new(), move |store, commit| match seen.load(Ordering::Relaxed) {
        IS_FULL => Err(StoreError::unchanged("the file was not written").with_source(full())),
        FAILS_TO_SYNC => Err(StoreError::unknown("the file was not synced").with_source(full())),
        _ => store.commit(commit),
    });
    (store, state)
}

fn item(key: u32) -> Item {
    Keyed::new(key, "value".to_string())
}

#[test]
fn an_error_of_a_store_has_its_causes_in_its_text_once_each() {
    #[derive(Debug, thiserror::Error)]
    #[error("page 7 was not written")]
    struct Page(#[source] io::Error);
    #[derive(Debug, thiserror::Error)]
    #[error("a transaction failed: {0}")]
    struct SaysItsCause(#[source] Page);

    let error = StoreError::unchanged("the file was not written").with_source(Page(full()));
    let text = "the store failed: the file was not written: page 7 was not written: no space left on device; nothing was changed";
    assert_eq!(error.to_string(), text);
    let error = StoreError::unchanged("it failed").with_source(SaysItsCause(Page(full()))).to_string();
    assert_eq!(error.matches("page 7").count(), 1, "{error}");
    assert_eq!(error.matches("no space").count(), 1, "{error}");
    assert_eq!(StoreError::unchanged("it failed").to_string(), "the store failed: it failed; nothing was changed");
}

#[test]
fn a_replica_says_why_it_stopped_each_time_it_is_asked() {
    let (disk, state) = disk();
    let mut replica: Replica<Item> =
        Replica::open(disk, LastWriterWins, anti_entropy::clock::Seed::from_bytes([1; 32])).unwrap();
    state.store(FAILS_TO_SYNC, Ordering::Relaxed);
    let first = replica.write(item(1), Now::default()).unwrap_err();
    assert!(matches!(first, Error::Store(_)) && first.to_string().contains("no space left on device"), "{first}");
    state.store(WORKS, Ordering::Relaxed);
    for _ in 0..2 {
        let later = replica.write(item(1), Now::default()).unwrap_err();
        assert!(matches!(later, Error::Stopped { .. }), "{later}");
        assert!(later.to_string().contains("no space left on device"), "{later}");
        assert!(later.to_string().ends_with("open it again"), "{later}");
    }
}

#[test]
fn handles_and_events_say_that_the_disk_is_full() {
    let network = MemoryNetwork::new(1);
    let (alice_disk, state) = disk();
    let node = |store| Node::new(store, LastWriterWins).gossip(GossipConfig::test());
    let alice = node(alice_disk).peer("bob").spawn(network.join("alice".into())).unwrap();
    let bob = node(disk().0).peer("alice").spawn(network.join("bob".into())).unwrap();
    block_on(async {
        let mut events = alice.events().await.unwrap();
        state.store(IS_FULL, Ordering::Relaxed);
        let error = alice.write(item(1)).await.unwrap_err().to_string();
        assert!(error.contains("no space left on device"), "{error}");
        bob.write(item(2)).await.unwrap();
        let failed = async {
            loop {
                if let Event::StoreFailed { message } = events.next().await.unwrap() {
                    return message;
                }
            }
        };
        let message = failed.await;
        assert!(message.contains("no space left on device"), "{message}");
        state.store(WORKS, Ordering::Relaxed);
        bob.wait_converged(["alice".into()]).await.unwrap();
        bob.shutdown(Duration::from_secs(1)).await.unwrap();
        alice.shutdown(Duration::from_secs(1)).await.unwrap();
    });
}
