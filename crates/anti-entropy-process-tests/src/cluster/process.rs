//! One node's process, and the pipes to it and from it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anti_entropy_sim::history::NodeIndex;
use rustix::process::{Pid, Signal, kill_process};

use super::Log;
use crate::history::Happening;
use crate::wire::{Command, Line, Options, Report};

/// A node that is up or down.
#[derive(Debug)]
pub(super) struct Process {
    node: NodeIndex,
    log: Arc<Log>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    stdin: ChildStdin,
    reader: JoinHandle<()>,
}

impl Process {
    pub(super) fn new(node: NodeIndex, log: Arc<Log>) -> Self {
        Self { node, log, running: Mutex::new(None) }
    }

    pub(super) fn node(&self) -> NodeIndex {
        self.node
    }

    pub(super) fn start(&self, mut program: Program, options: &Options) {
        self.kill();
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program is there");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (node, log) = (self.node, Arc::clone(&self.log));
        let reader = std::thread::spawn(move || listen(node, stdout, &log));
        let mut running = Running { child, stdin, reader };
        running.write(&serde_json::to_string(options).expect("options are plain data"));
        *self.lock() = Some(running);
    }

    /// Says something to the node; a node that is down does not hear it.
    pub(super) fn tell(&self, command: &Command) {
        if let Some(running) = self.lock().as_mut() {
            running.write(&serde_json::to_string(command).expect("commands are plain data"));
        }
    }

    /// Kills the process, and waits until all that it has said is in the log.
    pub(super) fn kill(&self) {
        let Some(running) = self.lock().take() else { return };
        let Running { mut child, stdin, reader } = running;
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it is our child");
        drop(stdin);
        reader.join().expect("the reader does not panic");
    }

    pub(super) fn pause(&self, paused: bool) {
        if let Some(running) = self.lock().as_ref() {
            let signal = if paused { Signal::STOP } else { Signal::CONT };
            kill_process(Pid::from_child(&running.child), signal).expect("it is our child, and not waited for");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    /// A process that has ended does not read it.
    fn write(&mut self, line: &str) {
        let _ = self.stdin.write_all(format!("{line}\n").as_bytes());
    }
}

/// Puts into the log what the node says, until it has ended. A killed process may leave half of a line.
fn listen(node: NodeIndex, stdout: ChildStdout, log: &Log) {
    let mut stdout = BufReader::new(stdout);
    let mut text = String::new();
    while stdout.read_line(&mut text).is_ok_and(|bytes| bytes > 0) && text.ends_with('\n') {
        match serde_json::from_str::<Line>(&text) {
            Ok(Line { at, report }) => {
                if let Report::Failed { detail } = &report {
                    eprintln!("node {node} failed: {detail}");
                }
                log.push(at, Happening::Said(node, report));
            }
            Err(error) => eprintln!("node {node} says what cannot be read: {error}: {text}"),
        }
        text.clear();
    }
}
