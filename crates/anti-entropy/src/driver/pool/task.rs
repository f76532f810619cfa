//! An engine as the threads of a pool see it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::threads::{Task, Threads};
use crate::PeerId;
use crate::driver::HandleError;
use crate::driver::contain::contain;
use crate::driver::frame_queue::Waiting;
use crate::driver::inbox::{Ended, Inbox, Job, Queued, Wake};
use crate::driver::worker::{Turn, Worker};
use crate::gossip::Engine;
use crate::replica::Replicated;

/// An engine that is driven: its inbox, and the worker while no thread runs it.
pub(super) struct Driven<V: Replicated, E> {
    inbox: Arc<Inbox<V, E>>,
    worker: Mutex<Option<Worker<V, E>>>,
}

impl<V: Replicated, E> Driven<V, E> {
    pub(super) fn new(inbox: Arc<Inbox<V, E>>, worker: Worker<V, E>) -> Self {
        Self { inbox, worker: Mutex::new(Some(worker)) }
    }
}

impl<V: Replicated, E: AsMut<Engine<V>> + Into<Engine<V>> + Send> Task for Driven<V, E> {
    fn wake(&self) -> Wake {
        self.inbox.wake()
    }

    fn turn(&self, max_jobs: usize) -> Option<Duration> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // A call or a store that panics ends its engine, and no other one: the thread goes on.
        let turned = self.inbox.begin_turn().then(|| contain(|| worker.turn(&self.inbox, max_jobs))).flatten();
        match turned {
            Some(Turn::Wait(wait)) => {
                *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
                return Some(wait);
            }
            Some(Turn::Stopped(stopping)) => {
                // Before the caller of `shutdown` hears of it: nobody's call is accepted and then lost.
                self.inbox.end();
                contain(|| worker.close(stopping, self.inbox.queued()));
            }
            None => {
                drop(worker);
                self.inbox.end();
            }
        }
        None
    }

    fn end_turn(&self) -> Wake {
        self.inbox.end_turn()
    }
}

/// Sends jobs to an engine. When the last clone is dropped, the engine ends.
pub(in crate::driver) struct Jobs<V: Replicated, E>(Arc<Sender<V, E>>);

struct Sender<V: Replicated, E> {
    inbox: Arc<Inbox<V, E>>,
    task: Arc<dyn Task>,
    number: u64,
    threads: Arc<Threads>,
}

impl<V: Replicated, E> Jobs<V, E> {
    pub(super) fn new(inbox: Arc<Inbox<V, E>>, task: Arc<dyn Task>, number: u64, threads: Arc<Threads>) -> Self {
        Self(Arc::new(Sender { inbox, task, number, threads }))
    }

    pub(in crate::driver) fn frame(&self, from: PeerId, waiting: Waiting) -> Result<(), Ended> {
        let wake = self.0.inbox.push_frame(from, waiting)?;
        self.0.hand_over(wake);
        Ok(())
    }

    pub(in crate::driver) fn call(&self, call: Job<V, E>) -> Result<(), HandleError> {
        let wake = self.0.inbox.push_call(call)?;
        self.0.hand_over(wake);
        Ok(())
    }

    pub(in crate::driver) fn queued(&self) -> Queued {
        self.0.inbox.queued()
    }
}

impl<V: Replicated, E> Clone for Jobs<V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V: Replicated, E> Sender<V, E> {
    fn hand_over(&self, wake: Wake) {
        if wake == Wake::Now {
            self.threads.make_ready(self.number, Arc::clone(&self.task));
        }
    }
}

impl<V: Replicated, E> Drop for Sender<V, E> {
    fn drop(&mut self) {
        self.hand_over(self.inbox.close());
    }
}
