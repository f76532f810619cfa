//! Snapshots that are reported to an engine that is busy, slow, overloaded or gone.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::engine::drive;
use anti_entropy::{
    Clock, DriverConfig, GossipConfig, Handle, HandleError, MemoryNetwork, MemoryStore, Store, SystemClock,
};
use anti_entropy_conformance::with_commit;
use anti_entropy_engram::gossiper::{
    ConsolidationGossiper, GossiperConfig, Rebuilt, ReportError, Reported, SnapshotPreparer, SnapshotReporter, Task,
    background,
};
use anti_entropy_engram::{ConsolidationSnapshot, Pattern, PatternRef, SemanticPattern, SnapshotSource};
use chrono::{DateTime, Utc};
use futures::executor::block_on;

use crate::cluster::{counts, name, open, pattern, seed, snapshot, space};

type Engine = Handle<Pattern, ConsolidationGossiper>;
type Outcomes = Receiver<Result<Rebuilt, ReportError>>;

/// Tasks that wait until the test does them.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Vec<Task>>>);

impl Waiting {
    fn run(&self) -> impl Fn(Task) + Send + Sync + 'static {
        let works = self.clone();
        move |work| works.0.lock().unwrap().push(work)
    }

    /// Does what waits; returns how much that was.
    fn do_it(&self) -> usize {
        let works = std::mem::take(&mut *self.0.lock().unwrap());
        let count = works.len();
        for work in works {
            work();
        }
        count
    }
}

struct Node {
    engine: Engine,
    reporter: SnapshotReporter<ConsolidationSnapshot>,
    outcomes: Outcomes,
}

fn launch(run: impl Fn(Task) + Send + Sync + 'static, max_queued_calls: usize) -> Node {
    launch_on(MemoryStore::new(), run, max_queued_calls)
}

fn launch_on(store: impl Store + 'static, run: impl Fn(Task) + Send + Sync + 'static, max_queued_calls: usize) -> Node {
    let (engine, preparer) = drive_node(store, max_queued_calls);
    let (told, outcomes) = channel();
    let reporter = SnapshotReporter::new(engine.clone(), preparer, run, move |outcome| drop(told.send(outcome)));
    Node { engine, reporter, outcomes }
}

/// A node that makes a pattern a step.
fn drive_node(store: impl Store + 'static, max_queued_calls: usize) -> (Engine, SnapshotPreparer) {
    let (network, clock) = (MemoryNetwork::new(1), SystemClock::new());
    let config = GossiperConfig::from(GossipConfig::test()).with(|config| config.max_step = NonZeroUsize::MIN);
    let gossiper = open(0, 1, space(), store, seed(1), config, clock.now());
    let preparer = gossiper.preparer();
    let config =
        DriverConfig::default().with(|config| config.max_queued_calls = NonZeroUsize::new(max_queued_calls).unwrap());
    let (engine, driver) = drive(gossiper, network.join(name(0)), clock, config).unwrap();
    std::thread::spawn(|| block_on(driver));
    (engine, preparer)
}

/// Keeps the engine's thread busy until something is sent, or the sender is dropped.
fn block(engine: &Engine) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (started, running) = channel();
    let busy = move |_: &mut ConsolidationGossiper, _| {
        started.send(()).unwrap();
        // An error when the sender is dropped, which releases it as well.
        let _ = released.recv();
    };
    engine.post(busy).unwrap();
    running.recv().unwrap();
    release
}

fn patterns(count: usize, percent: u8) -> Vec<SemanticPattern> {
    (0..count).map(|number| pattern(&format!("p{number:02}"), percent)).collect()
}

fn held(engine: &Engine) -> u64 {
    block_on(engine.with(|gossiper, _| gossiper.engine().replica().len())).unwrap()
}

#[test]
fn of_snapshots_that_wait_for_a_busy_engine_only_the_newest_is_kept() {
    let works = Waiting::default();
    let node = launch(works.run(), 1000);
    let release = block(&node.engine);
    let report = |percent| node.reporter.report(snapshot(patterns(3, percent)), vec![]);
    assert_eq!([report(1), report(2)], [Reported::Started, Reported::Waiting]);
    assert!((3..100).all(|percent| report(percent) == Reported::Replaced));
    // The first is prepared and queued while the engine is busy; the newest waits for it.
    assert_eq!((works.do_it(), works.do_it()), (1, 0));
    assert!(node.outcomes.try_recv().is_err());
    drop(release);
    assert_eq!(counts(&node.outcomes.recv().unwrap().unwrap()), [3, 0, 0, 0, 0]);
    while works.do_it() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(counts(&node.outcomes.recv().unwrap().unwrap()), [3, 0, 0, 0, 0]);
    let read = block_on(node.engine.read("p00".to_string())).unwrap();
    assert_eq!(read.value().unwrap().confidence(), 0.99);
    // Then there is room for the next one.
    assert!(node.outcomes.try_recv().is_err());
}

/// Tells again and again how many patterns there are, in turn with others, until there are 20.
fn watch(engine: &Engine, seen: Sender<u64>) {
    let again = engine.clone();
    let look = move |gossiper: &mut ConsolidationGossiper, _| {
        let held = gossiper.engine().replica().len();
        seen.send(held).unwrap();
        if held < 20 {
            watch(&again, seen);
        }
    };
    engine.post(look).unwrap();
}

#[test]
fn other_calls_have_their_turn_between_steps() {
    let works = Waiting::default();
    let node = launch(works.run(), 1000);
    let release = block(&node.engine);
    node.reporter.report(snapshot(patterns(20, 10)), vec![]);
    works.do_it();
    // Behind the beginning of the rebuild, and then behind each step.
    let (seen, lengths) = channel();
    watch(&node.engine, seen);
    drop(release);
    assert_eq!(counts(&node.outcomes.recv().unwrap().unwrap()), [20, 0, 0, 0, 0]);
    let mut lengths: Vec<u64> = lengths.iter().collect();
    lengths.dedup();
    assert_eq!(lengths, (0..=20).collect::<Vec<_>>(), "a pattern a step, and somebody else after each");
}

#[test]
fn an_engine_whose_queue_is_always_full_makes_one_step_at_a_time_all_the_same() {
    type Hook = Box<dyn FnMut() + Send>;

    let (works, hook) = (Waiting::default(), Arc::new(Mutex::new(None::<Hook>)));
    let at_commits = Arc::clone(&hook);
    let store = with_commit(MemoryStore::new(), move |store, commit| {
        if let Some(hook) = &mut *at_commits.lock().unwrap() {
            hook();
        }
        store.commit(commit)
    });
    let node = launch_on(store, works.run(), 1);
    // During each step somebody else takes the only place.
    let (seen, lengths) = channel();
    let engine = node.engine.clone();
    *hook.lock().unwrap() = Some(Box::new(move || {
        let (engine, seen) = (engine.clone(), seen.clone());
        let look = move |gossiper: &mut ConsolidationGossiper, _| {
            seen.send(gossiper.engine().replica().len()).unwrap();
        };
        std::thread::spawn(move || engine.post(look)).join().unwrap().unwrap();
    }));
    node.reporter.report(snapshot(patterns(5, 10)), vec![]);
    works.do_it();
    assert_eq!(counts(&node.outcomes.recv().unwrap().unwrap()), [5, 0, 0, 0, 0]);
    assert_eq!(lengths.iter().take(5).collect::<Vec<_>>(), [1, 2, 3, 4, 5], "it has its turn after each");
    hook.lock().unwrap().take();
}

/// A snapshot that cannot be read while it says so.
struct Fragile {
    snapshot: ConsolidationSnapshot,
    breaks: bool,
}

impl SnapshotSource for Fragile {
    fn generated_at(&self) -> DateTime<Utc> {
        self.snapshot.generated_at
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        assert!(!self.breaks, "as a test wants it");
        self.snapshot.patterns.iter().map(PatternRef::from)
    }
}

fn fragile(percent: u8, breaks: bool) -> Fragile {
    Fragile { snapshot: snapshot(patterns(5, percent)), breaks }
}

#[test]
fn a_snapshot_that_panics_is_told_of_and_the_next_one_has_its_turn() {
    let (engine, preparer) = drive_node(MemoryStore::new(), 1000);
    let (told, outcomes) = channel();
    let run = background("consolidation").unwrap();
    let reporter = SnapshotReporter::new(engine, preparer, run, move |outcome| drop(told.send(outcome)));
    for percent in [10, 11] {
        reporter.report(fragile(percent, true), vec![]);
        let broken = outcomes.recv().unwrap();
        assert!(matches!(broken, Err(ReportError::SourcePanicked)), "{broken:?}");
        reporter.report(fragile(percent, false), vec![]);
        assert_eq!(counts(&outcomes.recv().unwrap().unwrap()), [5, 0, 0, 0, 0]);
    }
}

/// A panic carries any value.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("as a test wants it");
    }
}

#[test]
fn a_listener_that_panics_stops_neither_the_engine_nor_later_snapshots() {
    let works = Waiting::default();
    let (engine, preparer) = drive_node(MemoryStore::new(), 1000);
    let (told, outcomes) = channel();
    let reporter = SnapshotReporter::new(engine.clone(), preparer, works.run(), move |outcome| {
        drop(told.send(outcome));
        std::panic::panic_any(PanicsOnDrop);
    });
    reporter.report(fragile(10, true), vec![]);
    assert_eq!(reporter.report(fragile(11, false), vec![]), Reported::Waiting);
    // It is told of the first one while that panics, too.
    let work = works.0.lock().unwrap().pop().unwrap();
    assert!(std::panic::catch_unwind(AssertUnwindSafe(work)).is_err());
    assert!(matches!(outcomes.recv().unwrap(), Err(ReportError::SourcePanicked)));
    for percent in [11, 12] {
        assert_eq!(works.do_it(), 1);
        assert_eq!(counts(&outcomes.recv().unwrap().unwrap()), [5, 0, 0, 0, 0]);
        assert_eq!(held(&engine), 5);
        assert_eq!(reporter.report(fragile(percent + 1, false), vec![]), Reported::Started);
    }
}

#[test]
fn work_that_cannot_be_started_is_told_of() {
    let (engine, preparer) = drive_node(MemoryStore::new(), 1000);
    let (told, outcomes) = channel();
    let run = |_: Task| panic!("as a test wants it");
    let reporter = SnapshotReporter::new(engine, preparer, run, move |outcome| drop(told.send(outcome)));
    for _ in 0..2 {
        assert_eq!(reporter.report(fragile(10, false), vec![]), Reported::Started);
        let outcome = outcomes.recv().unwrap();
        assert!(matches!(outcome, Err(ReportError::Handle(HandleError::Stopped))), "{outcome:?}");
    }
}

#[test]
fn a_snapshot_for_an_engine_that_has_stopped_is_told_of() {
    let works = Waiting::default();
    let node = launch(works.run(), 1000);
    block_on(node.engine.shutdown(Duration::from_secs(1))).unwrap();
    for _ in 0..2 {
        assert_eq!(node.reporter.report(snapshot(patterns(5, 10)), vec![]), Reported::Started);
        works.do_it();
        let outcome = node.outcomes.recv().unwrap();
        assert!(matches!(outcome, Err(ReportError::Handle(HandleError::Stopped))), "{outcome:?}");
    }
}

#[test]
fn an_engine_that_stops_in_the_middle_is_told_of() {
    let works = Waiting::default();
    let node = launch(works.run(), 1000);
    let release = block(&node.engine);
    node.reporter.report(snapshot(patterns(5, 10)), vec![]);
    works.do_it();
    let engine = node.engine.clone();
    let stopping = std::thread::spawn(move || block_on(engine.shutdown(Duration::ZERO)));
    // The shutdown is queued behind the rebuild's first call and before its steps, or the steps are dropped.
    drop(release);
    stopping.join().unwrap().unwrap();
    match node.outcomes.recv().unwrap() {
        Ok(rebuilt) => assert_eq!(counts(&rebuilt), [5, 0, 0, 0, 0]),
        Err(error) => assert!(matches!(error, ReportError::Handle(HandleError::Stopped)), "{error}"),
    }
}

#[test]
fn work_that_nobody_does_leaves_room_for_the_next_snapshot() {
    let node = launch(drop, 1000);
    for _ in 0..3 {
        assert_eq!(node.reporter.report(snapshot(patterns(5, 10)), vec![]), Reported::Started);
        assert!(matches!(node.outcomes.recv().unwrap(), Err(ReportError::Handle(HandleError::Stopped))));
    }
    assert_eq!(held(&node.engine), 0);
}

#[test]
fn one_thread_serves_several_reporters() {
    let run = background("consolidation").unwrap();
    let nodes = [launch(run.clone(), 1000), launch(run, 1000)];
    for percent in [10, 11] {
        for node in &nodes {
            node.reporter.report(snapshot(patterns(5, percent)), vec![]);
        }
        for node in &nodes {
            assert_eq!(counts(&node.outcomes.recv().unwrap().unwrap()), [5, 0, 0, 0, 0]);
        }
        for node in &nodes {
            assert_eq!(held(&node.engine), 5);
        }
    }
}
