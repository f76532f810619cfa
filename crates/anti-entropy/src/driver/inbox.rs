//! What waits for an engine, from wherever it comes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::contain::Contained;
use super::worker::Worker;
use super::{DriverConfig, HandleError};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::Engine;
use crate::replica::{Replicated, StoreError};
use crate::sync::Frame;

/// What an engine's thread is to do next.
pub(super) enum Job<V: Replicated, E> {
    Frame(PeerId, Vec<u8>),
    Call(Contained<Call<V, E>>),
    Shared(Shared<V>),
}

/// A job that may share a commit with others: nobody hears of it before that.
pub(super) enum Shared<V: Replicated> {
    Pushes(PeerId, Vec<u8>),
    Access(Contained<Access<V>>),
}

/// Something to be done with the engine, on its thread.
pub(super) type Call<V, E> = Box<dyn FnOnce(&mut Worker<V, E>, Now) + Send>;

/// A read or write of the replica, which tells nobody what came of it until the commit that it is part of has ended.
pub(super) type Access<V> = Box<dyn FnOnce(&mut Engine<V>, Now) -> Answer<V> + Send>;

/// Tells the caller of an [`Access`] what came of it, after a commit that ended so.
pub(super) type Answer<V> = Contained<Box<dyn FnOnce(&Engine<V>, Result<(), StoreError>) + Send>>;

/// How many jobs of each kind wait, and how many did not get that far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queued {
    pub(super) frames: usize,
    pub(super) calls: usize,
    pub(super) dropped_frames: u64,
}

/// The jobs of one engine, in order, up to the limits of its driver; and where the engine is among the turns of its
/// threads. Locked for moments only, never while the engine works.
pub(super) struct Inbox<V: Replicated, E> {
    state: Mutex<State<V, E>>,
    config: DriverConfig,
}

struct State<V: Replicated, E> {
    jobs: VecDeque<Job<V, E>>,
    queued: Queued,
    place: Place,
    /// The thread that carries out a call, whose place in the queue is kept for a call that continues it.
    continues: Option<ThreadId>,
    /// Whether nobody is left who could send a job.
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing to do before its deadline.
    Idle,
    /// Waits for a thread.
    Ready,
    /// A thread runs it.
    Running,
    /// Takes no further jobs.
    Ended,
}

/// The engine has ended; the job was not queued.
#[derive(Debug)]
pub(super) struct Ended;

/// What the sender of a job, or of the end of all jobs, has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Wake {
    /// Hand the engine to a thread.
    Now,
    /// Nothing: a thread has it, or will have it.
    No,
}

impl<V: Replicated, E> Inbox<V, E> {
    /// Of an engine that is about to be handed to a thread.
    pub(super) fn ready(config: DriverConfig) -> Self {
        let (jobs, queued) = (VecDeque::new(), Queued::default());
        let state = State { jobs, queued, place: Place::Ready, continues: None, closed: false };
        Self { state: Mutex::new(state), config }
    }

    /// Queues a frame; drops it, as a lossy network would, if too many wait.
    pub(super) fn push_frame(&self, from: PeerId, frame: Vec<u8>) -> Result<Wake, Ended> {
        let mut state = self.lock();
        if state.place == Place::Ended {
            return Err(Ended);
        }
        if state.queued.frames >= self.config.max_queued_frames.get() {
            state.queued.dropped_frames += 1;
            return Ok(Wake::No);
        }
        state.queued.frames += 1;
        let is_shared = Frame::carries_pushes(&frame);
        let pushes = |from, frame| Job::Shared(Shared::Pushes(from, frame));
        state.jobs.push_back(if is_shared { pushes(from, frame) } else { Job::Frame(from, frame) });
        Ok(state.wake())
    }

    /// Queues a job of a handle. Work that is done in steps, each of which queues the next, always has room for one: that
    /// of the call which is being carried out. So at most one more waits than the limit says.
    pub(super) fn push_call(&self, call: Job<V, E>) -> Result<Wake, HandleError> {
        let limit = self.config.max_queued_calls.get();
        let mut state = self.lock();
        if state.place == Place::Ended {
            return Err(HandleError::Stopped);
        }
        if state.queued.calls >= limit && !state.take_kept_place() {
            return Err(HandleError::Overloaded { limit });
        }
        state.queued.calls += 1;
        state.jobs.push_back(call);
        Ok(state.wake())
    }

    /// Notes that nobody is left who could send a job.
    pub(super) fn close(&self) -> Wake {
        let mut state = self.lock();
        state.closed = true;
        state.wake()
    }

    /// Wakes the engine for its deadline.
    pub(super) fn wake(&self) -> Wake {
        self.lock().wake()
    }

    /// A turn begins. `false` if nothing will ever come again.
    pub(super) fn begin_turn(&self) -> bool {
        let mut state = self.lock();
        state.place = Place::Running;
        !(state.closed && state.jobs.is_empty())
    }

    /// A turn has ended.
    pub(super) fn end_turn(&self) -> Wake {
        let mut state = self.lock();
        state.place = Place::Idle;
        if state.closed || !state.jobs.is_empty() { state.wake() } else { Wake::No }
    }

    /// The next job.
    pub(super) fn pop(&self) -> Option<Job<V, E>> {
        self.lock().pop()
    }

    /// The next job, if it may share a commit with others.
    pub(super) fn pop_shared(&self) -> Option<Shared<V>> {
        let mut state = self.lock();
        state.jobs.front().filter(|job| matches!(job, Job::Shared(_)))?;
        match state.pop()? {
            Job::Shared(shared) => Some(shared),
            Job::Frame(..) | Job::Call(_) => None,
        }
    }

    /// Takes no further jobs, and drops those that wait, so that their callers hear of it.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.place = Place::Ended;
        let dropped = std::mem::take(&mut state.jobs);
        state.queued = Queued { frames: 0, calls: 0, ..state.queued };
        drop(state);
        // What a call holds may call this inbox when it is dropped.
        drop(dropped);
    }

    pub(super) fn queued(&self) -> Queued {
        self.lock().queued
    }

    fn lock(&self) -> MutexGuard<'_, State<V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Replicated, E> State<V, E> {
    fn pop(&mut self) -> Option<Job<V, E>> {
        self.continues = None;
        let job = self.jobs.pop_front()?;
        match job {
            Job::Frame(..) | Job::Shared(Shared::Pushes(..)) => self.queued.frames -= 1,
            Job::Shared(Shared::Access(_)) => self.queued.calls -= 1,
            Job::Call(_) => {
                self.queued.calls -= 1;
                self.continues = Some(thread::current().id());
            }
        }
        Some(job)
    }

    /// Whether this is the thread that carries out a call, and the place of that call is not taken yet.
    fn take_kept_place(&mut self) -> bool {
        self.continues.take_if(|thread| *thread == thread::current().id()).is_some()
    }

    fn wake(&mut self) -> Wake {
        if self.place != Place::Idle {
            return Wake::No;
        }
        self.place = Place::Ready;
        Wake::Now
    }
}
