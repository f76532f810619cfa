//! What waits for an engine, from wherever it comes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::contain::Contained;
use super::frame_queue::{FrameQueue, QueueLimits, Waiting};
use super::worker::Worker;
use super::{DriverConfig, HandleError};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::Engine;
use crate::replica::{Replicated, StoreError};
use crate::sync::Frame;

/// What an engine's thread is to do next.
pub(super) enum Job<V: Replicated, E> {
    Frame(PeerId, Waiting),
    Call(Contained<Call<V, E>>),
    Shared(Shared<V>),
}

/// A job that may share a commit with others: nobody hears of it before that.
pub(super) enum Shared<V: Replicated> {
    Pushes(PeerId, Waiting),
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
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "metrics alone tell"))]
    pub(super) dropped_frames: u64,
}

/// The jobs of one engine, frames and calls by turns, up to the limits of its driver; and where the engine is among the turns of its
/// threads. Locked for moments only, never while the engine works.
pub(super) struct Inbox<V: Replicated, E> {
    state: Mutex<State<V, E>>,
    config: DriverConfig,
}

struct State<V: Replicated, E> {
    frames: FrameQueue,
    dropped_frames: u64,
    /// Jobs of handles, in order.
    calls: VecDeque<Job<V, E>>,
    /// Whether the next job is a call, if one waits.
    is_turn_of_calls: bool,
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
        let limits = QueueLimits { frames: config.max_queued_frames.get(), bytes: config.max_queued_bytes.get() };
        let state = State {
            frames: FrameQueue::new(limits),
            dropped_frames: 0,
            calls: VecDeque::new(),
            is_turn_of_calls: false,
            place: Place::Ready,
            continues: None,
            closed: false,
        };
        Self { state: Mutex::new(state), config }
    }

    /// Queues a frame. If too many wait, the peer of which most do loses one, as in a lossy network.
    pub(super) fn push_frame(&self, from: PeerId, waiting: Waiting) -> Result<Wake, Ended> {
        let mut state = self.lock();
        if state.place == Place::Ended {
            return Err(Ended);
        }
        let dropped = state.frames.push(from, waiting);
        state.dropped_frames += dropped.len() as u64;
        let wake = state.wake();
        drop(state);
        // Their room is the transport's, which may do anything when it gets it back.
        drop(dropped);
        Ok(wake)
    }

    /// Queues a job of a handle. Work that is done in steps, each of which queues the next, always has room for one: that
    /// of the call which is being carried out. So at most one more waits than the limit says.
    pub(super) fn push_call(&self, call: Job<V, E>) -> Result<Wake, HandleError> {
        let limit = self.config.max_queued_calls.get();
        let mut state = self.lock();
        if state.place == Place::Ended {
            return Err(HandleError::Stopped);
        }
        if state.calls.len() >= limit && !state.take_kept_place() {
            return Err(HandleError::Overloaded { limit });
        }
        state.calls.push_back(call);
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
        !(state.closed && state.is_empty())
    }

    /// A turn has ended.
    pub(super) fn end_turn(&self) -> Wake {
        let mut state = self.lock();
        state.place = Place::Idle;
        if state.closed || !state.is_empty() { state.wake() } else { Wake::No }
    }

    /// The next job.
    pub(super) fn pop(&self) -> Option<Job<V, E>> {
        self.lock().pop()
    }

    /// The next call or the next frame, if it may share a commit with others.
    pub(super) fn pop_shared(&self) -> Option<Shared<V>> {
        self.lock().pop_shared()
    }

    /// Takes no further jobs, and drops those that wait, so that their callers hear of it.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.place = Place::Ended;
        let dropped = (std::mem::take(&mut state.calls), state.frames.take_all());
        drop(state);
        // What a call holds may call this inbox when it is dropped.
        drop(dropped);
    }

    pub(super) fn queued(&self) -> Queued {
        let state = self.lock();
        Queued { frames: state.frames.len(), calls: state.calls.len(), dropped_frames: state.dropped_frames }
    }

    fn lock(&self) -> MutexGuard<'_, State<V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Replicated, E> State<V, E> {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.frames.len() == 0
    }

    /// Whether the next job is a call: so that neither peers nor the application can keep the other from being heard.
    fn is_call_next(&self) -> bool {
        !self.calls.is_empty() && (self.is_turn_of_calls || self.frames.len() == 0)
    }

    fn pop(&mut self) -> Option<Job<V, E>> {
        let is_call = self.is_call_next();
        self.pop_one(is_call)
    }

    fn pop_shared(&mut self) -> Option<Shared<V>> {
        let is_call_shared = matches!(self.calls.front(), Some(Job::Shared(_)));
        let is_frame_shared = self.frames.peek().is_some_and(Frame::carries_pushes);
        let job = match (is_call_shared, is_frame_shared) {
            (true, true) => self.pop(),
            (false, false) => None,
            (is_call, _) => self.pop_one(is_call),
        };
        match job? {
            Job::Shared(shared) => Some(shared),
            Job::Frame(..) | Job::Call(_) => None,
        }
    }

    fn pop_one(&mut self, is_call: bool) -> Option<Job<V, E>> {
        self.is_turn_of_calls = !is_call;
        self.continues = None;
        if is_call {
            let job = self.calls.pop_front()?;
            self.continues = matches!(job, Job::Call(_)).then(|| thread::current().id());
            return Some(job);
        }
        let (from, waiting) = self.frames.pop()?;
        let is_shared = Frame::carries_pushes(&waiting.frame);
        Some(if is_shared { Job::Shared(Shared::Pushes(from, waiting)) } else { Job::Frame(from, waiting) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::Keyed;

    type Queue = Inbox<Keyed<u32, String>, ()>;

    fn waiting(frame: Vec<u8>) -> Waiting {
        Waiting::new(frame, Box::new(()))
    }

    fn call() -> Job<Keyed<u32, String>, ()> {
        Job::Call(Contained::new(Box::new(|_, _| {})))
    }

    #[test]
    fn a_flood_of_one_peer_costs_nobody_else_a_frame_and_is_bounded_in_bytes() {
        let inbox = Queue::ready(DriverConfig::default());
        let frame = vec![0; 900 << 10];
        for number in 0..2000 {
            let _ = inbox.push_frame("floods".into(), waiting(frame.clone())).unwrap();
            if number % 500 == 0 {
                let _ = inbox.push_frame("honest".into(), waiting(vec![7])).unwrap();
            }
        }
        let queued = inbox.queued();
        assert!((queued.frames - 4) * frame.len() <= DriverConfig::default().max_queued_bytes.get());
        assert_eq!(queued.dropped_frames, 2004 - queued.frames as u64);
        // And it need not wait for what was there first.
        let first: Vec<_> = (0..10).filter_map(|_| inbox.pop()).collect();
        let honest = |job: &&Job<_, _>| matches!(job, Job::Frame(from, _) if from.as_str() == "honest");
        assert_eq!(first.iter().filter(honest).count(), 4);
    }

    #[test]
    fn calls_and_frames_take_turns() {
        let inbox = Queue::ready(DriverConfig::default());
        for _ in 0..100 {
            let _ = inbox.push_frame("peer".into(), waiting(vec![7])).unwrap();
        }
        for _ in 0..2 {
            let _ = inbox.push_call(call()).unwrap();
        }
        let jobs = (0..5).map(|_| matches!(inbox.pop(), Some(Job::Call(_))));
        assert_eq!(jobs.collect::<Vec<_>>(), [false, true, false, true, false]);
        assert_eq!((inbox.queued().frames, inbox.queued().calls), (97, 0));
    }
}
