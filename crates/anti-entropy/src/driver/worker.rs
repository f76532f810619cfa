//! An engine at work: it handles jobs and deadlines, delivers what comes of them, and may block on the store.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};

use super::announcing::{Announced, Announcing};
use super::contain::{Contained, contain};
use super::inbox::{Answer, Inbox, Job, Queued, Shared};
use super::metrics::Metrics;
use super::{Clock, DriverConfig, HandleError};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::{Engine, EngineOutput, Event};
use crate::replica::{Change, Error, Marker, Replicated, StoreError};

/// What the application handed in is contained, and so is what wakes a task of the application when it is dropped.
pub(super) struct Worker<V: Replicated, E> {
    /// The engine, or what contains it.
    pub(super) driven: Contained<E>,
    clock: Contained<Box<dyn Clock>>,
    frames: Contained<mpsc::UnboundedSender<(PeerId, Vec<u8>)>>,
    changes: Subscribers<Change<V::Key>>,
    events: Subscribers<Event<V::Key>>,
    waiting: Vec<Waiting>,
    stopping: Option<Stopping>,
    metrics: Contained<Metrics>,
    announcing: Announcing,
    config: DriverConfig,
}

/// A call that waits until this replica has converged with some peers.
struct Waiting {
    peers: BTreeSet<PeerId>,
    since: Duration,
    done: Contained<oneshot::Sender<Result<(), HandleError>>>,
}

/// A shutdown, and who waits for it.
pub(super) struct Stopping {
    at: Duration,
    done: Contained<oneshot::Sender<Result<Marker, Error>>>,
}

/// How a turn ended.
pub(super) enum Turn {
    /// There is nothing to do for so long.
    Wait(Duration),
    /// A shutdown has ended.
    Stopped(Stopping),
}

impl<V: Replicated, E: AsMut<Engine<V>>> Worker<V, E> {
    pub(super) fn new(
        mut driven: E,
        clock: Box<dyn Clock>,
        frames: mpsc::UnboundedSender<(PeerId, Vec<u8>)>,
        config: DriverConfig,
    ) -> Self {
        let engine = driven.as_mut();
        engine.replica_mut().watch();
        let metrics = Metrics::of(engine);
        let announcing = Announcing::of(engine);
        Self {
            driven: Contained::new(driven),
            clock: Contained::new(clock),
            frames: Contained::new(frames),
            changes: Subscribers::new(Change::Missed),
            events: Subscribers::new(Event::Missed),
            waiting: Vec::new(),
            stopping: None,
            metrics: Contained::new(metrics),
            announcing,
            config,
        }
    }

    /// What the engine announces, for handles to read.
    pub(super) fn announced(&self) -> Announced {
        self.announcing.reader()
    }

    /// Does what is due, and at most so many jobs. Those that share a commit are one, and the last of the turn.
    pub(super) fn turn(&mut self, inbox: &Inbox<V, E>, max_jobs: usize) -> Turn {
        let mut jobs = 0;
        loop {
            let job = inbox.pop();
            jobs += 1;
            let is_last = jobs >= max_jobs || matches!(job, None | Some(Job::Shared(_)));
            self.work(job, inbox);
            let deadline = self.deliver_outputs();
            if let Some(stopping) = self.has_stopped() {
                return Turn::Stopped(stopping);
            }
            if is_last {
                // Not after each of thousands of jobs that wait: the hashes on their common paths are computed once.
                self.announcing.publish(self.driven.as_mut());
                return Turn::Wait(deadline.saturating_sub(self.clock.now().elapsed));
            }
        }
    }

    fn work(&mut self, job: Option<Job<V, E>>, inbox: &Inbox<V, E>) {
        let began = self.clock.now();
        match job {
            Some(Job::Frame(from, waiting)) => self.driven.as_mut().handle_frame(&from, &waiting.frame, began),
            Some(Job::Call(call)) => call.into_inner()(self, began),
            Some(Job::Shared(first)) => self.work_together(first, inbox),
            None => {}
        }
        let (engine, now) = (self.driven.as_mut(), self.clock.now());
        self.metrics.handled(engine, now.elapsed.saturating_sub(began.elapsed));
        // However many frames wait, what is due is done.
        engine.handle_timeout(now);
        self.metrics.publish(engine, || inbox.queued(), now);
    }

    /// Commits together what waits now and may share a commit, up to the limits of one.
    fn work_together(&mut self, first: Shared<V>, inbox: &Inbox<V, E>) {
        let engine = self.driven.as_mut();
        let (max_jobs, max_bytes) = {
            let limits = engine.replica().config();
            (limits.max_commit_writes.get(), limits.max_commit_bytes.get())
        };
        let queued = inbox.queued();
        // What comes in meanwhile waits for the next commit: this one has to end.
        let mut at_hand = max_jobs.min(queued.frames + queued.calls + 1);
        let (mut bytes, mut next, mut answers) = (0, Some(first), Vec::new());
        engine.begin_group();
        while let Some(job) = next.take() {
            match job {
                Shared::Pushes(from, waiting) => {
                    bytes += waiting.frame.len();
                    engine.handle_frame(&from, &waiting.frame, self.clock.now());
                }
                Shared::Access(access) => answers.push(access.into_inner()(engine, self.clock.now())),
            }
            if let Some(committed) = engine.take_first_commit() {
                answer(engine, &mut answers, committed);
            }
            at_hand -= 1;
            if at_hand > 0 && bytes < max_bytes && !engine.group_is_full() {
                next = inbox.pop_shared();
            }
        }
        let committed = engine.commit_group(self.clock.now());
        answer(engine, &mut answers, committed);
    }

    /// Ends a shutdown: closes the replica and tells who waits.
    pub(super) fn close(mut self, stopping: Stopping, queued: Queued)
    where
        E: Into<Engine<V>>,
    {
        // The replica is closed all the same if who keeps the metrics panics.
        contain(|| self.metrics.into_inner().end(self.driven.as_mut(), queued, self.clock.now()));
        // Before the caller of `shutdown` hears of it.
        drop(self.announcing);
        let engine: Engine<V> = self.driven.into_inner().into();
        // The caller may have dropped its future.
        let _ = stopping.done.into_inner().send(engine.into_replica().close());
    }

    /// Delivers frames, events and changes; returns when to call `handle_timeout`.
    fn deliver_outputs(&mut self) -> Duration {
        let deadline = loop {
            match self.driven.as_mut().poll_output(self.clock.now()) {
                // If the future that moves frames was dropped, they are lost.
                EngineOutput::Send { to, frame } => drop(self.frames.unbounded_send((to, frame))),
                EngineOutput::Event(event) => {
                    self.metrics.event(&event);
                    if matches!(event, Event::Converged { .. } | Event::ConvergedExcept { .. }) {
                        self.wake_waiting();
                    }
                    self.events.send(&event);
                }
                EngineOutput::Wait(deadline) => break deadline,
            }
        };
        while let Some(change) = self.driven.as_mut().replica_mut().poll_change() {
            self.changes.send(&change);
        }
        let engine = self.driven.as_mut();
        if self.waiting.iter().flat_map(|waiting| &waiting.peers).any(|peer| !engine.knows_peer(peer)) {
            self.wake_waiting();
        }
        let deadline = deadline.min(self.metrics.publish_at());
        self.stopping.as_ref().map_or(deadline, |stopping| deadline.min(stopping.at))
    }

    pub(super) fn subscribe_changes(&mut self) -> mpsc::Receiver<Change<V::Key>> {
        self.changes.add(self.config.subscriber_queue.get())
    }

    pub(super) fn subscribe_events(&mut self) -> mpsc::Receiver<Event<V::Key>> {
        self.events.add(self.config.subscriber_queue.get())
    }

    /// Starts sessions with these peers until this replica has converged with all of them.
    pub(super) fn wait_converged(
        &mut self,
        peers: BTreeSet<PeerId>,
        done: oneshot::Sender<Result<(), HandleError>>,
        now: Now,
    ) {
        self.waiting.push(Waiting { peers, since: now.elapsed, done: Contained::new(done) });
        self.wake_waiting();
    }

    /// Ends the waiting of calls for whose peers there is nothing more to wait for.
    fn wake_waiting(&mut self) {
        let now = self.clock.now();
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.done.is_canceled() {
                continue;
            }
            match self.has_converged(&waiting, now) {
                // The caller may have dropped its future.
                Some(converged) => drop(waiting.done.into_inner().send(converged)),
                None => self.waiting.push(waiting),
            }
        }
    }

    /// Whether all peers have certified what this replica holds now, or all but its holes and theirs. `None` if not yet:
    /// with those that have not, further sessions are started.
    fn has_converged(&mut self, waiting: &Waiting, now: Now) -> Option<Result<(), HandleError>> {
        let engine = self.driven.as_mut();
        // Before anything is started with those that are known.
        if let Some(unknown) = waiting.peers.iter().find(|peer| !engine.knows_peer(peer)) {
            return Some(Err(HandleError::UnknownPeer(unknown.clone())));
        }
        let (mut peers, mut is_behind) = (BTreeMap::new(), false);
        for peer in &waiting.peers {
            if let Some(keys) = engine.certified_except(peer, waiting.since) {
                peers.extend(NonZeroU64::new(keys).map(|keys| (peer.clone(), keys)));
            } else {
                engine.sync_until_converged(peer, now);
                is_behind = true;
            }
        }
        let holes = || engine.replica().holes().collect();
        (!is_behind).then(|| {
            if peers.is_empty() { Ok(()) } else { Err(HandleError::ConvergedExcept { holes: holes(), peers }) }
        })
    }

    pub(super) fn stop(&mut self, within: Duration, done: oneshot::Sender<Result<Marker, Error>>, now: Now) {
        self.driven.as_mut().begin_shutdown();
        // The first call gets the marker. Of a later one `done` is dropped, from which it learns that the engine stops.
        let (at, done) = (now.elapsed.saturating_add(within), Contained::new(done));
        self.stopping.get_or_insert(Stopping { at, done });
    }

    fn has_stopped(&mut self) -> Option<Stopping> {
        let now = self.clock.now().elapsed;
        let idle = self.driven.as_mut().is_idle();
        self.stopping.take_if(|stopping| idle || stopping.at <= now)
    }
}

/// Tells callers what came of what they asked for, after a commit that ended so.
fn answer<V: Replicated>(engine: &Engine<V>, answers: &mut Vec<Answer<V>>, committed: Result<(), StoreError>) {
    let Some(last) = answers.pop() else { return };
    for answer in answers.drain(..) {
        let committed = committed.as_ref().copied().map_err(StoreError::retold);
        answer.into_inner()(engine, committed);
    }
    last.into_inner()(engine, committed);
}

/// Subscribers, each with a queue of its own. What does not fit into a queue is dropped, and the subscriber gets the
/// number.
struct Subscribers<T> {
    all: Vec<(Contained<mpsc::Sender<T>>, u64)>,
    missed: fn(u64) -> T,
}

impl<T: Clone> Subscribers<T> {
    fn new(missed: fn(u64) -> T) -> Self {
        Self { all: Vec::new(), missed }
    }

    fn add(&mut self, queue: usize) -> mpsc::Receiver<T> {
        let (sender, receiver) = mpsc::channel(queue);
        self.all.push((Contained::new(sender), 0));
        receiver
    }

    fn send(&mut self, item: &T) {
        let make_missed = self.missed;
        self.all.retain_mut(|(subscriber, missed)| {
            if *missed > 0 && subscriber.try_send(make_missed(*missed)).is_ok() {
                *missed = 0;
            }
            if *missed > 0 || subscriber.try_send(item.clone()).is_err() {
                *missed += 1;
            }
            !subscriber.is_closed()
        });
    }
}
