//! What the story and its processes say to each other over pipes: JSON, one object a line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anti_entropy::PeerId;
use anti_entropy_net::TlsConfig;
use serde::{Deserialize, Serialize};

/// What a process is told first. Not by its arguments, which everybody on the machine can see.
#[derive(Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) name: PeerId,
    /// Where its database is.
    pub(crate) database: PathBuf,
    /// Where it keeps the proof that it was closed in order; outside of what is backed up.
    pub(crate) marker: PathBuf,
    /// Its certificate and key, and whom it believes.
    pub(crate) tls: TlsConfig,
    /// The cluster's key, in hexadecimal: who does not have it is not let in by the failure detectors.
    pub(crate) key: String,
    /// Some of the others.
    pub(crate) seeds: Vec<String>,
}

/// What a process is asked, and answers in the same order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Write a value, and answer once it is durable.
    Write { key: String, value: String },
    /// Delete what is held at a key.
    Delete { key: String },
    /// Say how it is.
    Status,
    /// Wait until this replica has converged with all peers.
    Converge,
    /// Say all that is held.
    Entries,
    /// Close the store, and end.
    Shutdown,
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It is open for requests; in the first line.
    Ready {
        swim: SocketAddr,
        entries: u64,
    },
    /// It is done.
    Done,
    Status(Status),
    /// Every key, with all versions' values.
    Entries(Vec<(String, Vec<String>)>),
    /// It was not done.
    Failed {
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) root: String,
    pub(crate) entries: u64,
    /// The other nodes that are up, as far as this one knows.
    pub(crate) up: Vec<PeerId>,
    /// Connections opened and accepted so far.
    pub(crate) connections: u64,
    /// Sessions that ended with equal roots.
    pub(crate) converged: u64,
    /// Bytes sent in frames.
    pub(crate) bytes_sent: u64,
}
