//! Reporting snapshots from where consolidation ends, without waiting for the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::{Error, Handle, HandleError};

use super::consolidation_gossiper::ConsolidationGossiper;
use super::hints::BeliefUpdate;
use super::prepare::{PreparedSnapshot, SnapshotPreparer};
use super::rebuild::{RebuildProgress, Rebuilt, Vanished};
use crate::{Pattern, SnapshotSource};

/// Something to be done on a thread that may take some time over it.
pub type Task = Box<dyn FnOnce() + Send>;

/// Reports a node's snapshots to its [`ConsolidationGossiper`], which runs on the engine's thread, from a caller that must not
/// wait: engram's `ConsolidationService::update_cache` is synchronous, and is called while a request is answered.
///
/// A snapshot is prepared on a thread of the caller's choice and then written in steps, between which the engine does other
/// work. Meanwhile one further snapshot waits, the newest; it replaces one that waits already. Each snapshot has all patterns
/// of its node, so that nothing is lost with those in between. So at most two snapshots are in memory.
///
/// `S` is the application's own snapshot; see [`SnapshotSource`]. Use one reporter for each gossiper. Cheap to clone.
///
/// ```
/// use anti_entropy::clock::Seed;
/// use anti_entropy::engine::drive;
/// use anti_entropy::{Clock, GossipConfig, MemoryNetwork, MemoryStore, SystemClock};
/// use anti_entropy_engram::gossiper::{ConsolidationGossiper, SnapshotReporter, background};
/// use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace};
/// use chrono::DateTime;
///
/// let (clock, seed, network) = (SystemClock::new(), Seed::from_os()?, MemoryNetwork::new(1));
/// let (space, store) = (MemorySpace::new("default"), MemoryStore::new());
/// let gossiper = ConsolidationGossiper::open(space, "node-1", store, seed, GossipConfig::test(), clock.now())?;
/// let preparer = gossiper.preparer();
/// let (handle, driver) = drive(gossiper, network.join("node-1".into()), clock, Default::default())?;
/// std::thread::spawn(|| futures::executor::block_on(driver));
///
/// let (told, outcomes) = std::sync::mpsc::channel();
/// let run = background("consolidation")?; // or `move |task| drop(runtime.spawn_blocking(task))`
/// let reporter = SnapshotReporter::new(handle, preparer, run, move |outcome| drop(told.send(outcome)));
/// // Wherever a snapshot was made:
/// let snapshot = ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: vec![] };
/// reporter.report(snapshot, vec![]);
/// assert_eq!(outcomes.recv()??.written, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SnapshotReporter<S>(Arc<Shared<S>>);

/// What became of a snapshot when it was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Its turn has come.
    Started,
    /// It waits until the one before it is written.
    Waiting,
    /// It waits, in place of one that waited and was dropped.
    Replaced,
}

/// Why a snapshot was not written, or not all of it. What was written stays, and the next snapshot makes up for the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The engine took no call: it has stopped, or too many calls wait for it. Nothing of the snapshot was written, or only the
    /// first steps.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The replica refused a step, or its store failed. What earlier steps have written stays.
    #[error(transparent)]
    Replica(#[from] Error),
    /// The snapshot's own type panicked while it was read. Nothing of the snapshot was written; the next one has its turn.
    #[error("the snapshot could not be read, since its type panicked; nothing was written; mend its SnapshotSource")]
    SourcePanicked,
    /// Somebody else began another rebuild of the gossiper in the meantime.
    #[error("another rebuild was begun before this one was finished; report the snapshots of a node in one place")]
    Superseded,
}

/// Carries out tasks on a thread of its own, one after the other, until the last clone is dropped. One serves any number of
/// [`SnapshotReporter`]s.
///
/// # Errors
/// If the thread cannot be started.
pub fn background(name: &str) -> std::io::Result<impl Fn(Task) + Clone + Send + Sync + 'static> {
    let (sender, tasks) = channel::<Task>();
    // One that panics leaves those of other reporters to be done.
    std::thread::Builder::new().name(name.to_owned()).spawn(move || tasks.into_iter().for_each(guarded))?;
    Ok(move |task| drop(sender.send(task)))
}

struct Shared<S> {
    engine: Handle<Pattern, ConsolidationGossiper>,
    vanished: Vanished,
    state: Mutex<State<S>>,
    run: Box<dyn Fn(Task) + Send + Sync>,
    tell: Box<dyn Fn(Result<Rebuilt, ReportError>) + Send + Sync>,
}

struct State<S> {
    /// `None` while it prepares.
    preparer: Option<SnapshotPreparer>,
    turn: TurnState,
    waiting: Option<Report<S>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnState {
    Idle,
    UnderWay,
}

struct Report<S> {
    snapshot: S,
    updates: Vec<BeliefUpdate>,
}

impl<S: SnapshotSource + Send + 'static> SnapshotReporter<S> {
    /// A reporter to the gossiper behind this handle, which [`preparer`](ConsolidationGossiper::preparer) belongs to.
    ///
    /// `run` has work done on another thread and returns at once: [`background`], or a runtime's pool for what blocks. `tell`
    /// is told of each snapshot that had its turn; it is called on the engine's thread, and should only log or send. If it
    /// panics, nothing else is affected.
    pub fn new(
        engine: Handle<Pattern, ConsolidationGossiper>,
        preparer: SnapshotPreparer,
        run: impl Fn(Task) + Send + Sync + 'static,
        tell: impl Fn(Result<Rebuilt, ReportError>) + Send + Sync + 'static,
    ) -> Self {
        Self::with_vanished(engine, preparer, Vanished::Keep, run, tell)
    }

    /// The same, and what becomes of patterns that a snapshot no longer has.
    pub fn with_vanished(
        engine: Handle<Pattern, ConsolidationGossiper>,
        preparer: SnapshotPreparer,
        vanished: Vanished,
        run: impl Fn(Task) + Send + Sync + 'static,
        tell: impl Fn(Result<Rebuilt, ReportError>) + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { preparer: Some(preparer), turn: TurnState::Idle, waiting: None });
        Self(Arc::new(Shared { engine, vanished, state, run: Box::new(run), tell: Box::new(tell) }))
    }

    /// Reports a snapshot and returns at once, whatever the engine does. Of `updates`, those of this snapshot say which patterns
    /// are pushed first; see [`hint_for`](ConsolidationGossiper::hint_for).
    pub fn report(&self, snapshot: S, updates: Vec<BeliefUpdate>) -> Reported {
        let report = Report { snapshot, updates };
        let mut state = self.0.state();
        if state.turn == TurnState::UnderWay {
            let replaced = state.waiting.replace(report);
            drop(state);
            return if replaced.is_some() { Reported::Replaced } else { Reported::Waiting };
        }
        state.turn = TurnState::UnderWay;
        drop(state);
        guarded(|| Turn::begin(&self.0, report));
        Reported::Started
    }
}

impl<S> Shared<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        // Nothing that may panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while somebody else has it.
    fn borrow_preparer(&self) -> Option<BorrowedPreparer<'_, S>> {
        let preparer = self.state().preparer.take()?;
        Some(BorrowedPreparer { preparer: Some(preparer), shared: self })
    }
}

/// The preparer, which goes back when this is dropped, also while a snapshot's type panics.
struct BorrowedPreparer<'a, S> {
    preparer: Option<SnapshotPreparer>,
    shared: &'a Shared<S>,
}

impl<S: SnapshotSource> BorrowedPreparer<'_, S> {
    fn prepare(&mut self, snapshot: &S) -> Option<PreparedSnapshot> {
        Some(self.preparer.as_mut()?.prepare(snapshot))
    }
}

impl<S> Drop for BorrowedPreparer<'_, S> {
    fn drop(&mut self) {
        self.shared.state().preparer = self.preparer.take();
    }
}

/// The turn of one snapshot, from its preparation to its last step. When it is dropped, the next snapshot has its turn: also if
/// whoever should have gone on with it dropped it, such as an engine that stops.
struct Turn<S: SnapshotSource + Send + 'static> {
    shared: Arc<Shared<S>>,
    /// What is told in the end.
    outcome: Result<Rebuilt, ReportError>,
}

/// How long to wait, at first and at most, before a call is tried again that the engine had no room for.
const RETRY: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

impl<S: SnapshotSource + Send + 'static> Turn<S> {
    fn begin(shared: &Arc<Shared<S>>, report: Report<S>) {
        let turn = Self { shared: Arc::clone(shared), outcome: Err(HandleError::Stopped.into()) };
        (shared.run)(Box::new(move || turn.prepare(report)));
    }

    /// On a thread for work.
    fn prepare(mut self, report: Report<S>) {
        // What is told if this goes no further.
        self.outcome = Err(ReportError::SourcePanicked);
        let shared = Arc::clone(&self.shared);
        let prepared = shared.borrow_preparer().and_then(|mut preparer| preparer.prepare(&report.snapshot));
        let Some(prepared) = prepared else { return };
        let (mut turn, mut rest) = (self, (prepared, report.updates));
        let mut pause = RETRY[0];
        loop {
            turn.outcome = Err(HandleError::Stopped.into());
            let posted = post(turn, rest, |turn, (prepared, updates), gossiper, _| {
                turn.start(prepared, &updates, gossiper);
            });
            let Err(refused) = posted else { return };
            let (error, Some(back)) = *refused else { return };
            (turn, rest) = back;
            turn.outcome = Err(error.into());
            if !matches!(turn.outcome, Err(ReportError::Handle(HandleError::Overloaded { .. }))) || pause > RETRY[1] {
                return;
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    /// On the engine's thread.
    fn start(self, prepared: PreparedSnapshot, updates: &[BeliefUpdate], gossiper: &mut ConsolidationGossiper) {
        gossiper.hint_for(prepared.generated_at(), updates);
        gossiper.begin_rebuild(prepared, self.shared.vanished);
        self.go_on();
    }

    /// Queues the next step behind what waits for the engine. There is room for it, since this is called within a call.
    fn go_on(self) {
        let posted = post(self, (), |turn, (), gossiper, now| turn.step(gossiper, now));
        let Err(refused) = posted else { return };
        if let (error, Some((mut turn, ()))) = *refused {
            turn.outcome = Err(error.into());
        }
    }

    fn step(mut self, gossiper: &mut ConsolidationGossiper, now: Now) {
        self.outcome = match gossiper.continue_rebuild(now) {
            Ok(RebuildProgress::Ongoing) => return self.go_on(),
            Ok(RebuildProgress::Finished(rebuilt)) => Ok(rebuilt),
            Ok(RebuildProgress::Idle) => Err(ReportError::Superseded),
            Err(error) => Err(error.into()),
        };
    }
}

/// A call that was refused: why, and what it was given, unless it was begun all the same.
type RefusedCall<S, T> = Box<(HandleError, Option<(Turn<S>, T)>)>;

/// Posts a call with a turn and something else to the engine. Returns both if the engine does not take it.
fn post<S: SnapshotSource + Send + 'static, T: Send + 'static>(
    turn: Turn<S>,
    rest: T,
    call: impl FnOnce(Turn<S>, T, &mut ConsolidationGossiper, Now) + Send + 'static,
) -> Result<(), RefusedCall<S, T>> {
    let engine = turn.shared.engine.clone();
    // What a refused call owns is dropped with it, so that it must not own them.
    let kept = Arc::new(Mutex::new(Some((turn, rest))));
    let take = |kept: &Mutex<Option<(Turn<S>, T)>>| kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    let taken = Arc::clone(&kept);
    let posted = engine.post(move |gossiper, now| {
        if let Some((turn, rest)) = take(&taken) {
            call(turn, rest, gossiper, now);
        }
    });
    posted.map_err(|error| Box::new((error, take(&kept))))
}

impl<S: SnapshotSource + Send + 'static> Drop for Turn<S> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(ReportError::Superseded));
        let mut state = self.shared.state();
        let next = state.waiting.take();
        if next.is_none() {
            state.turn = TurnState::Idle;
        }
        drop(state);
        // Whoever hears of it finds the next turn free, or begun. Both calls are the application's, and this may be dropped
        // while another panic unwinds, which a second one would turn into the end of the process.
        if let Some(next) = next {
            guarded(|| Self::begin(&self.shared, next));
        }
        guarded(|| (self.shared.tell)(outcome));
    }
}

/// Calls what may panic. The panic has been reported by the hook; nothing here depends on what it left undone.
fn guarded(call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        // It is any value, whose drop may panic again.
        std::mem::forget(payload);
    }
}

impl<S> Clone for SnapshotReporter<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> std::fmt::Debug for SnapshotReporter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotReporter").field("turn", &self.0.state().turn).finish_non_exhaustive()
    }
}
