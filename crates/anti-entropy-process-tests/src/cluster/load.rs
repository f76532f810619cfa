//! What clients do: at each node one, which waits for each answer before it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anti_entropy_sim::history::OpKind;

use super::log::Log;
use super::process::Process;
use crate::wire::{Command, Done, Request};

/// How many keys clients write.
pub const KEYS: u32 = 24;

/// For how long a client waits for an answer before it asks for something else. The answer may come all the same.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

/// Numbers operations, each once.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(nodes: &[Arc<Process>], log: &Arc<Log>, ops: &Arc<Counter>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |process: &Arc<Process>| {
            let (stop, process, log, ops) = (Arc::clone(&stop), Arc::clone(process), Arc::clone(log), Arc::clone(ops));
            let seed = seed ^ u64::from(process.node());
            std::thread::spawn(move || work(&stop, &process, &log, &ops, fastrand::Rng::with_seed(seed)))
        };
        let clients = nodes.iter().map(client).collect();
        Self { stop, clients }
    }

    /// Lets clients come to an end: what they have asked for is answered, or given up.
    ///
    /// # Panics
    /// If a client panicked.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("clients do not panic"));
    }
}

fn work(stop: &AtomicBool, process: &Process, log: &Log, ops: &Counter, mut random: fastrand::Rng) {
    while !stop.load(Ordering::Relaxed) {
        let op = match random.u32(0..100) {
            0..45 => OpKind::Write,
            45..65 => OpKind::WriteSeen,
            65..78 => OpKind::Delete,
            78..82 => OpKind::DeleteSeen,
            _ => OpKind::Read,
        };
        let (op_id, key) = (ops.next(), random.u32(0..KEYS));
        let value = matches!(op, OpKind::Write | OpKind::WriteSeen).then(|| value(op_id, &mut random));
        let request = Request { op_id, process: process.node(), op, key, value };
        ask(process, log, request, CLIENT_PATIENCE);
        std::thread::sleep(Duration::from_millis(random.u64(20..80)));
    }
}

/// A text that no other write writes: mostly short, now and then of many frames.
fn value(op_id: u64, random: &mut fastrand::Rng) -> String {
    let length = if random.u32(0..20) == 0 { random.usize(0..20_000) } else { random.usize(0..200) };
    format!("{op_id} {}", "x".repeat(length))
}

/// Asks a node for something and waits for the answer; nothing if there is none in time, or the node ended.
pub(super) fn ask(process: &Process, log: &Log, request: Request, patience: Duration) -> Option<Done> {
    let (op_id, node) = (request.op_id, process.node());
    let life = log.look(|live| live.node(node).lives);
    process.tell(&Command::Op(request));
    let answered = |live: &super::Live| match live.done(op_id) {
        Some(done) => Some(Some(done.clone())),
        None => (live.node(node).lives != life).then_some(None),
    };
    let answer = log.wait_for(patience, answered).flatten();
    log.forget(op_id);
    answer
}
