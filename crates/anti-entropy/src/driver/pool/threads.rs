//! The threads of a pool: which engine runs next, and when the others want to be woken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::driver::inbox::Wake;

/// Something that runs in turns, one at a time.
pub(super) trait Task: Send + Sync {
    /// Whether it is to be made ready: nothing else has done so.
    fn wake(&self) -> Wake;

    /// One turn of at most so many jobs. Returns for how long nothing has to be done if no job comes; `None` once it
    /// has ended.
    fn turn(&self, max_jobs: usize) -> Option<Duration>;

    /// Ends a turn. Whether it is to be made ready again at once.
    fn end_turn(&self) -> Wake;
}

/// What the threads share. Its lock may be held while an inbox is locked, never the other way round.
pub(super) struct Threads {
    state: Mutex<State>,
    /// Wakes a thread that waits for a task.
    task: Condvar,
    /// Wakes the thread that waits for a deadline.
    deadline: Condvar,
    max_jobs: usize,
}

#[derive(Default)]
struct State {
    /// Tasks that wait for a thread, the one that has waited longest first; each is there once at most.
    ready: VecDeque<(u64, Arc<dyn Task>)>,
    /// When to wake each task at the latest.
    deadlines: BTreeMap<(Instant, u64), Arc<dyn Task>>,
    /// The deadline of each task, so that there is only one.
    deadline_of: BTreeMap<u64, Instant>,
    /// How many threads wait for a task.
    idle: usize,
    /// Whether a thread waits for the first deadline. One is enough: it is the first to be asked for, too.
    has_timekeeper: bool,
    /// How many tasks have not ended.
    tasks: usize,
    tasks_begun: u64,
    /// Whether no further task can be begun.
    closed: bool,
}

impl Threads {
    pub(super) fn new(max_jobs: usize) -> Self {
        Self { state: Mutex::default(), task: Condvar::new(), deadline: Condvar::new(), max_jobs }
    }

    /// Begins a task, which is ready. Returns its number.
    pub(super) fn begin(&self, task: Arc<dyn Task>) -> u64 {
        let mut state = self.lock();
        state.tasks += 1;
        state.tasks_begun += 1;
        let number = state.tasks_begun;
        state.ready.push_back((number, task));
        self.rouse(&state);
        number
    }

    /// Puts a task behind those that are ready. The caller was told to by [`Task::wake`] or its like.
    pub(super) fn make_ready(&self, number: u64, task: Arc<dyn Task>) {
        let mut state = self.lock();
        state.ready.push_back((number, task));
        self.rouse(&state);
    }

    /// Begins no further task. The threads end with the last task.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.rouse_all_if_over(&state);
    }

    /// What each thread does.
    pub(super) fn work(&self) {
        while let Some((number, task)) = self.next() {
            match task.turn(self.max_jobs) {
                Some(wait) => self.turn_ended(number, task, wait),
                None => self.task_ended(number),
            }
        }
    }

    /// Waits for the next task; `None` once there will be none.
    fn next(&self) -> Option<(u64, Arc<dyn Task>)> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.wake_due(now);
            if let Some(task) = state.ready.pop_front() {
                // Somebody else has to look after what is left.
                self.rouse(&state);
                return Some(task);
            }
            if state.is_over() {
                return None;
            }
            let first = state.first_deadline().filter(|_| !state.has_timekeeper);
            if let Some(first) = first {
                state.has_timekeeper = true;
                let wait = first.saturating_duration_since(now);
                state = self.deadline.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                state.has_timekeeper = false;
            } else {
                state.idle += 1;
                state = self.task.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// In one step, so that nobody runs the task again before its deadline is noted.
    fn turn_ended(&self, number: u64, task: Arc<dyn Task>, wait: Duration) {
        let mut state = self.lock();
        // One that is too far ahead for the clock never comes.
        state.set_deadline(number, &task, Instant::now().checked_add(wait));
        if task.end_turn() == Wake::Now {
            state.ready.push_back((number, task));
        }
        if state.has_timekeeper && state.deadlines.first_key_value().is_some_and(|((_, first), _)| *first == number) {
            self.deadline.notify_one();
        }
    }

    fn task_ended(&self, number: u64) {
        let mut state = self.lock();
        state.forget_deadline(number);
        state.tasks -= 1;
        self.rouse_all_if_over(&state);
    }

    /// Wakes a thread if there is something to do or to wait for that no thread looks after. One is enough, since it
    /// does the same when it takes a task.
    fn rouse(&self, state: &State) {
        let has_ready = !state.ready.is_empty();
        let lacks_timekeeper = !state.has_timekeeper && !state.deadlines.is_empty();
        if state.idle > 0 && (has_ready || lacks_timekeeper) {
            self.task.notify_one();
        } else if has_ready {
            self.deadline.notify_one();
        }
    }

    fn rouse_all_if_over(&self, state: &State) {
        if state.is_over() {
            self.task.notify_all();
            self.deadline.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.closed && self.tasks == 0
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|((at, _), _)| *at)
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some(first) = self.deadlines.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), task) = first.remove_entry();
            self.deadline_of.remove(&number);
            if task.wake() == Wake::Now {
                self.ready.push_back((number, task));
            }
        }
    }

    fn set_deadline(&mut self, number: u64, task: &Arc<dyn Task>, at: Option<Instant>) {
        self.forget_deadline(number);
        if let Some(at) = at {
            self.deadlines.insert((at, number), Arc::clone(task));
            self.deadline_of.insert(number, at);
        }
    }

    fn forget_deadline(&mut self, number: u64) {
        if let Some(at) = self.deadline_of.remove(&number) {
            self.deadlines.remove(&(at, number));
        }
    }
}
