//! What a run and its nodes say to each other: JSON, one object a line.
//!
//! A node writes a line at once and as a whole, so that a pipe has all that a killed node has said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anti_entropy::GossipConfig;
use anti_entropy::clock::Context;
use anti_entropy_net::TlsConfig;
use anti_entropy_sim::history::{Acknowledged, Held, KeyIndex, NodeIndex, OpKind, ValueHash, WriteName};
use serde::{Deserialize, Serialize};

/// The first line that a node reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Its place in the cluster.
    pub node: NodeIndex,
    /// Where it takes the frames of its peers.
    pub listen: SocketAddr,
    /// What carries them.
    pub carrier: Carrier,
    /// What it proves its name by.
    pub tls: TlsConfig,
    /// Where it takes datagrams of the membership.
    pub swim: SocketAddr,
    /// Where all nodes take them.
    pub seeds: Vec<SocketAddr>,
    /// The key of the cluster.
    pub key: [u8; 32],
    /// The directory of its store.
    pub store: PathBuf,
    /// How it gossips.
    pub gossip: GossipConfig,
    /// How far its wall clock is ahead, in milliseconds.
    pub clock_offset_ms: i64,
    /// What is broken on purpose.
    pub broken: Option<Broken>,
}

/// A transport. Both have mutual TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// [`QuicTransport`](anti_entropy_net::QuicTransport).
    Quic,
    /// [`TcpTransport`](anti_entropy_net::TcpTransport).
    Tcp,
}

/// A way in which a node is broken on purpose, for the checkers to find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// It acknowledges what a crash loses.
    VolatileStore,
    /// It vouches for whatever store it finds.
    VouchesForItsStore,
    /// It writes something else than it was asked to.
    WritesAnotherValue,
    /// It is not told of its peers.
    KnowsNobody,
    /// It has a bug of the core, planted by its name, in builds with bugs to plant only.
    Planted(String),
}

/// What a node is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Do this for a client.
    Op(Request),
    /// Say what is in use and was sent: [`Report::Tick`].
    Tick,
    /// Say all that is held, and audit it: [`Report::End`].
    End,
    /// Let the wall clock be ahead by so much.
    Clock {
        /// In milliseconds; negative if it is to be behind.
        offset_ms: i64,
    },
    /// Compare with a peer at once.
    Sync {
        /// The peer.
        peer: NodeIndex,
    },
    /// Close the store and end in order.
    Shutdown,
}

/// What a client asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Different for each of a run.
    pub op_id: u64,
    /// The client.
    pub process: u32,
    /// What to do; a node does not compact when told.
    pub op: OpKind,
    /// At which key.
    pub key: KeyIndex,
    /// What is written.
    pub value: Option<String>,
}

/// A report, and when it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// By [`monotonic_us`](crate::time::monotonic_us).
    pub at: u64,
    /// What is reported.
    pub report: Report,
}

/// What a node says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The store is open; this is all that it holds.
    Life(Look),
    /// Something changed.
    State(Look),
    /// A write or delete is about to be made, under this name if it is.
    Attempt(Attempt),
    /// An operation has ended.
    Done(Done),
    /// A session has ended.
    Session(SessionEnd),
    /// Something should not happen and did.
    Alarm {
        /// As [`Alarm::alarm`](anti_entropy_sim::history::Alarm::alarm).
        alarm: String,
        /// In words.
        detail: String,
    },
    /// What is in use and was sent so far.
    Tick(Tick),
    /// All that is held.
    End(Final),
    /// The store is closed, and the process about to end.
    Closed,
    /// The node cannot go on.
    Failed {
        /// Why not.
        detail: String,
    },
}

/// What a node holds and has seen at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Look {
    /// The first bytes of the Merkle root.
    pub root: ValueHash,
    /// What it has seen.
    pub context: Context,
    /// The versions at each key where they differ from the look before.
    pub keys: BTreeMap<KeyIndex, Vec<Held>>,
}

/// A write or delete that is about to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// What was asked for.
    pub op_id: u64,
    /// Who asked.
    pub process: u32,
    /// What it does.
    pub op: OpKind,
    /// At which key.
    pub key: KeyIndex,
    /// The name that it gets if it is done.
    pub dot: WriteName,
    /// A hash of what is written; nothing for a delete.
    pub value: Option<ValueHash>,
    /// What it replaces.
    pub seen: Vec<WriteName>,
}

/// How an operation ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What was asked for.
    pub op_id: u64,
    /// Who asked.
    pub process: u32,
    /// What it does.
    pub op: OpKind,
    /// At which key.
    pub key: KeyIndex,
    /// How it ended.
    pub ok: Acknowledged,
    /// The name of the write or delete.
    pub dot: Option<WriteName>,
    /// What a read saw.
    pub seen: Vec<WriteName>,
}

/// How a session ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionEnd {
    /// With whom.
    pub peer: NodeIndex,
    /// As [`EndedSession::outcome`](anti_entropy_sim::history::EndedSession::outcome).
    pub outcome: String,
    /// How many keys differed.
    pub differences: u64,
    /// How many keys changed here.
    pub changed: u64,
    /// How many bytes of values were sent.
    pub value_bytes: u64,
    /// How many requests were answered.
    pub round_trips: u32,
    /// The first bytes of the root that both sides had.
    pub root: Option<ValueHash>,
}

/// What a node has in use and has sent since it was started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tick {
    /// Frames sent.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of values among them.
    pub value_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Frames that wait to be sent.
    pub queued_frames: u64,
    /// Peers.
    pub peers: u64,
    /// Those that the membership has for alive.
    pub members: Vec<NodeIndex>,
    /// Pieces of the context.
    pub context_pieces: u64,
    /// The age of the oldest session.
    pub oldest_session_us: u64,
}

/// All that a node holds, and what it thinks of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Final {
    /// The Merkle root that it keeps, in hexadecimal.
    pub root: String,
    /// The Merkle root of a tree that was made afresh, in hexadecimal.
    pub root_afresh: String,
    /// A hash of all that it holds, without a tree.
    pub state: ValueHash,
    /// A hash of what it has seen.
    pub context: String,
    /// A hash of what its readers see.
    pub view: ValueHash,
    /// What an audit of the store finds.
    pub discrepancies: Vec<String>,
    /// All versions.
    pub keys: BTreeMap<KeyIndex, Vec<Held>>,
}
