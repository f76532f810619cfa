//! The processes, as seen by who has started them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anti_entropy::PeerId;
use anti_entropy::clock::Seed;
use anti_entropy_net::{TestAuthority, TlsConfig, Trust};
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::Failure;
use crate::wire::{Answer, Request, Settings, Status};

/// How long a process may take to answer before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes, their certificates, and the directory that has everything.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// In hexadecimal.
    key: String,
    directory: TempDir,
}

/// A node: what stays of it while its process comes and goes.
pub(crate) struct Node {
    pub(crate) name: PeerId,
    tls: TlsConfig,
    /// Apart from the pipes, so that it can be killed while it is asked for something.
    process: Mutex<Option<Child>>,
    pipes: Mutex<Option<Pipes>>,
    /// Where its failure detector listens, while it runs.
    swim: Mutex<Option<SocketAddr>>,
}

struct Pipes {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    /// Makes certificates and a directory; starts nothing yet.
    pub(crate) fn new(nodes: usize) -> Result<Self, Failure> {
        let authority = TestAuthority::new()?;
        let directory = tempfile::tempdir()
            .map_err(|error| format!("no directory could be made: {error}; let TMPDIR name one to write to"))?;
        let node = |number: usize| {
            let name = format!("node-{number}");
            let files = authority.issue(&name)?.write(directory.path())?;
            let tls = TlsConfig::new(files.certificate, files.key, Trust::Authorities(files.authority.into()));
            let (process, pipes, swim) = Default::default();
            Ok::<_, Failure>(Node { name: PeerId::from(name.as_str()), tls, process, pipes, swim })
        };
        Ok(Self { nodes: (1..=nodes).map(node).collect::<Result<_, _>>()?, key: cluster_key()?, directory })
    }

    /// Starts a node on the database that it left, or on a new one. Returns how many entries it found there.
    pub(crate) async fn start(&self, node: usize) -> Result<u64, Failure> {
        let mut seeds = Vec::new();
        for other in self.nodes.iter().filter(|other| other.name != self.nodes[node].name) {
            seeds.extend(other.swim.lock().await.map(|address| address.to_string()));
        }
        let Node { name, tls, .. } = &self.nodes[node];
        let file = |extension: &str| -> PathBuf { self.directory.path().join(format!("{name}.{extension}")) };
        let settings = Settings {
            name: name.clone(),
            database: file("redb"),
            marker: file("marker"),
            tls: tls.clone(),
            key: self.key.clone(),
            seeds,
        };
        self.nodes[node].start(&settings).await
    }

    /// How long a node's database is.
    pub(crate) fn database_bytes(&self, node: usize) -> Result<u64, Failure> {
        let file = self.directory.path().join(format!("{}.redb", self.nodes[node].name));
        Ok(std::fs::metadata(file)?.len())
    }
}

/// 64 hexadecimal digits, as `openssl rand -hex 32` makes them.
fn cluster_key() -> Result<String, Failure> {
    let seed = Seed::from_os()?;
    Ok(["a", "b", "c", "d"].map(|quarter| format!("{:016x}", seed.derive_u64(quarter))).concat())
}

impl Node {
    async fn start(&self, settings: &Settings) -> Result<u64, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("node")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the process has no pipes".into());
        };
        let mut pipes = Pipes { requests, answers: BufReader::new(answers).lines() };
        pipes.say(settings).await?;
        let Answer::Ready { swim, entries } = pipes.next().await? else {
            return Err(format!("{} did not say that it is ready", self.name).into());
        };
        *self.process.lock().await = Some(child);
        *self.pipes.lock().await = Some(pipes);
        *self.swim.lock().await = Some(swim);
        Ok(entries)
    }

    /// Asks for something. If the process was killed meanwhile, nobody knows whether it was done.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let mut pipes = self.pipes.lock().await;
        let pipes = pipes.as_mut().ok_or_else(|| format!("{} is not running", self.name))?;
        pipes.say(request).await?;
        match pipes.next().await? {
            Answer::Failed { reason } => Err(format!("{}: {reason}", self.name).into()),
            answer => Ok(answer),
        }
    }

    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        match self.ask(&Request::Status).await? {
            Answer::Status(status) => Ok(status),
            other => Err(format!("{} answered {other:?} when asked how it is", self.name).into()),
        }
    }

    pub(crate) async fn entries(&self) -> Result<Vec<(String, Vec<String>)>, Failure> {
        match self.ask(&Request::Entries).await? {
            Answer::Entries(entries) => Ok(entries),
            other => Err(format!("{} answered {other:?} when asked what it holds", self.name).into()),
        }
    }

    /// Ends the process as `kill -9` does: it is told nothing, and gets to do nothing.
    pub(crate) async fn kill(&self) -> Result<(), Failure> {
        let process = self.process.lock().await.take();
        if let Some(mut process) = process {
            process.kill().await?;
        }
        *self.swim.lock().await = None;
        // Who has asked for something has got an error by now, or will at once.
        *self.pipes.lock().await = None;
        Ok(())
    }

    /// Ends the process in order.
    pub(crate) async fn stop(&self) -> Result<(), Failure> {
        self.ask(&Request::Shutdown).await?;
        let process = self.process.lock().await.take();
        if let Some(mut process) = process {
            timeout(PATIENCE, process.wait()).await??;
        }
        Ok(())
    }
}

impl Pipes {
    async fn say(&mut self, what: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.requests.write_all(&line).await?)
    }

    async fn next(&mut self) -> Result<Answer, Failure> {
        let line = timeout(PATIENCE, self.answers.next_line()).await.map_err(|_| "a process does not answer")??;
        Ok(serde_json::from_str(&line.ok_or("a process has ended")?)?)
    }
}
