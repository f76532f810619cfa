//! What a node and the one who has started it say to each other over pipes: JSON, one object a line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anti_entropy::{GossipConfig, PeerId};
use anti_entropy_net::swim::SwimTimings;
use anti_entropy_net::{ClusterName, TlsConfig};
use serde::{Deserialize, Serialize};

/// The space of texts.
pub const SONGS: &str = "songs";
/// The space of numbers.
pub const PLAYS: &str = "plays";

/// What a node is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The name of its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: PeerId,
    /// Its database.
    pub database: PathBuf,
    /// The directory of its markers, which is not backed up.
    pub markers: PathBuf,
    /// Its certificate and key, and whom it believes.
    pub tls: TlsConfig,
    /// The file of the cluster's keys.
    pub keys: PathBuf,
    /// The file that changes when its machine is put back.
    pub generation: PathBuf,
    /// Where its failure detector listens.
    pub swim: SocketAddr,
    /// Where it may find others.
    pub seeds: Vec<String>,
    /// How fast its failure detector is.
    pub timings: SwimTimings,
    /// What replicas of each space have to agree on.
    pub schema_ids: BTreeMap<String, u64>,
    /// How its replicas gossip.
    pub gossip: GossipConfig,
    /// The file that it logs to.
    pub log: PathBuf,
}

/// What a node is asked, and answers in the same order. Keys and values are in words, whatever the space keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Write a value, and answer once it is durable.
    #[allow(missing_docs, reason = "they are what they are called")]
    Write { space: String, key: String, value: String },
    /// Delete what is held at a key.
    #[allow(missing_docs, reason = "they are what they are called")]
    Delete { space: String, key: String },
    /// Say what each space holds.
    Look,
    /// Read the files of the certificates again.
    ReloadTls,
    /// Use other certificates, or another list of those that are trusted.
    SetTls(TlsConfig),
    /// Read the file of the cluster's keys again.
    ReloadKeys,
    /// Copy the database into a new file.
    Backup(PathBuf),
    /// Have nothing to do with a peer any more.
    RemovePeer(PeerId),
    /// Leave the others, close the store, and end.
    Shutdown,
}

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is open for requests; in the first line.
    Ready {
        /// Where its failure detector listens.
        swim: SocketAddr,
        /// Where it shows its metrics.
        metrics: SocketAddr,
        /// The replica ids of its spaces, before anybody else was met.
        replicas: BTreeMap<String, String>,
    },
    /// It is done.
    Done,
    /// The spaces.
    Looked(BTreeMap<String, View>),
    /// It was not done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a space holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Under which id it writes.
    pub replica: String,
    /// Every key, with all versions' values.
    pub entries: BTreeMap<String, Vec<String>>,
    /// How many rounds of gossip it has started.
    pub rounds: u64,
}
