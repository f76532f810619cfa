//! What is recorded of a run: all that a checker may look at.

use serde::{Deserialize, Serialize};

use super::{Dot, ValueHash};

/// The place of a node in the cluster, from 0.
pub type NodeIndex = u32;

/// The number of a key, from 0.
pub type KeyIndex = u32;

/// One line of a history. Times are in microseconds of simulated time since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// What is simulated; always the first.
    Start(Start),
    /// An operation of a client, once it has ended.
    Op(Op),
    /// A node's store was opened, for the first time or again: what follows is another process.
    Life(Life),
    /// What a node holds or has seen changed, by an operation or by a delivery.
    State(State),
    /// A frame arrived at a node that was up. Recorded only where that is asked for, since there are many.
    Delivery(Delivery),
    /// A fault begins or ends.
    Fault(Fault),
    /// All faults are over except for those of nodes outside the core; from here on the core has to become equal.
    Healed(Healed),
    /// All core nodes hold the same and have seen the same, now for the first time since the network healed, or since the
    /// last operation.
    Converged(Converged),
    /// A session that a node took part in is over.
    Session(Session),
    /// What was sent in the last gossip interval, by all nodes together.
    Traffic(Traffic),
    /// What a node has in use, once each gossip interval.
    Usage(Usage),
    /// A node reports something that should not happen.
    Alarm(Alarm),
    /// What a node holds at the end of the run; one for each node.
    End(End),
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The seed of everything random.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: String,
    /// How many nodes there are at most, those that join later included.
    pub nodes: NodeIndex,
    /// How many keys are written.
    pub keys: KeyIndex,
    /// The gossip interval, a round.
    pub interval_us: u64,
    /// The gossip interval while something changes.
    pub min_interval_us: u64,
    /// With how many peers a node compares in a round.
    pub fanout: u32,
    /// How long a session may be silent.
    pub idle_timeout_us: u64,
    /// How many frames per thousand are lost after healing.
    pub healed_loss_permille: u16,
    /// The limits that [`Usage`] is held against.
    pub limits: Limits,
}

/// The limits of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest frame.
    pub frame_bytes: u64,
    /// The most sessions open at a time, and as many that are over and wait to repeat themselves.
    pub sessions: u64,
    /// The most frames that wait to be sent.
    pub queued_frames: u64,
    /// The most peers.
    pub peers: u64,
    /// The most pieces of a context.
    pub context_pieces: u64,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Writes in place of all that is held.
    Write,
    /// Deletes all that is held.
    Delete,
    /// Reads.
    Read,
    /// Writes in place of what an earlier read saw.
    WriteSeen,
    /// Deletes what an earlier read saw.
    DeleteSeen,
    /// The node itself wrote what its resolver made of concurrent versions.
    Compact,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledged {
    /// It was done, and acknowledged.
    Yes,
    /// It was refused, and certainly not done.
    No,
    /// The store failed while it was done: it may have been done or not. If it was, its dot is this one, and
    /// [`Life::kept`] of the node's next life says so.
    Unknown,
}

/// An operation of a client at one key. One of several keys is recorded as several with the same `op_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Counts operations from 0.
    pub op_id: u64,
    /// The client.
    pub process: u32,
    /// The node that it asked.
    pub node: NodeIndex,
    /// What it asked for.
    pub op: OpKind,
    /// At which key.
    pub key: KeyIndex,
    /// When it asked.
    pub start: u64,
    /// When it was answered.
    pub end: u64,
    /// How it ended.
    pub ok: Acknowledged,
    /// What a write writes; nothing for others.
    pub value: Option<ValueHash>,
    /// The name of the write or delete; nothing for reads, for what was refused, and for a delete that found nothing.
    pub dot: Option<Dot>,
    /// What a write or delete replaces. What a read saw.
    pub seen: Vec<Dot>,
}

/// A version that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The write.
    pub dot: Dot,
    /// What it wrote.
    pub value: ValueHash,
}

/// Everything that a node holds and has seen at a key that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The key.
    pub key: KeyIndex,
    /// The versions held, in the order of their dots.
    pub held: Vec<Held>,
    /// Writes and deletes of this key that the node's context covers, and did not before.
    pub covered: Vec<Dot>,
    /// Writes and deletes of this key that the node's context covered before and does not now.
    pub forgotten: Vec<Dot>,
}

/// Why a node's store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// For the first time: the node is new.
    New,
    /// Again, after a crash or in order: it has all that it had.
    Restarted,
    /// Empty: it was wiped.
    Wiped,
    /// Put back to an earlier state.
    Restored,
    /// With another node's store.
    Swapped,
}

/// A node's store was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// Why.
    pub opened: Opened,
    /// All that it holds and has seen: `covered` is everything, not what is new.
    pub keys: Vec<KeyState>,
    /// Which writes and deletes with [`Acknowledged::Unknown`] turned out to have been done.
    pub kept: Vec<Dot>,
    /// Writes and deletes that no store knows any more, since this one was wiped or put back to an earlier state. They may
    /// come back out of frames that are on their way.
    pub lost: Vec<Dot>,
    /// The first bytes of its Merkle root.
    pub root: ValueHash,
}

/// What a node holds or has seen changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// Whose frame changed it; nothing if it was an operation here.
    pub from: Option<NodeIndex>,
    /// The keys at which something changed.
    pub keys: Vec<KeyState>,
    /// Whether the context covers all that it covered before, of every writer and at every place.
    pub grown: bool,
    /// The first bytes of its Merkle root after the change.
    pub root: ValueHash,
}

/// A frame arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When.
    pub at: u64,
    /// Who sent it.
    pub from: NodeIndex,
    /// Where it arrived.
    pub to: NodeIndex,
    /// Its length.
    pub bytes: u64,
    /// A hash of its bytes, so that repeated and damaged frames are told apart.
    pub frame: ValueHash,
}

/// A fault begins or ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: u64,
    /// Which, as the scenario names it.
    pub fault: String,
    /// Whether it begins.
    pub begins: bool,
    /// Whether it keeps nodes apart.
    pub partitions: bool,
    /// Whether it ends a process.
    pub crashes: bool,
}

/// The network is whole and all core nodes are up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healed {
    /// When.
    pub at: u64,
    /// The nodes that have to become equal.
    pub core: Vec<NodeIndex>,
}

/// All core nodes are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converged {
    /// When.
    pub at: u64,
}

/// A session that is over, seen from one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// With whom.
    pub peer: NodeIndex,
    /// How it ended: `converged`, `progress`, `partial: reason`, `refused: reason`.
    pub outcome: String,
    /// How many keys differed.
    pub differences: u64,
    /// How many keys changed here.
    pub changed: u64,
    /// How many bytes of values were sent.
    pub value_bytes: u64,
    /// How many requests were answered.
    pub round_trips: u32,
    /// The first bytes of the root that both sides had, if it converged; nothing if the peer has ever forged frames, since
    /// nobody looks at what such a peer has.
    #[serde(default)]
    pub root: Option<ValueHash>,
}

/// What was sent in a stretch of time by all nodes together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// When the stretch began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
    /// How many nodes were up.
    pub nodes: NodeIndex,
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of values among them.
    pub value_bytes: u64,
}

/// What a node has in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// The longest frame that it has sent.
    pub frame_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Frames that wait to be sent.
    pub queued_frames: u64,
    /// Peers.
    pub peers: u64,
    /// Pieces of the context.
    pub context_pieces: u64,
    /// The age of the oldest session that is open, by the node's own clock; 0 if none is.
    pub oldest_session_us: u64,
}

/// Something that should not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// What: `renamed`, `content_clash`, `histories_differ`, `clock_skew`, `refused`, `push_rejected`, `frame_refused`,
    /// `store_failed`, `operation_failed`.
    pub alarm: String,
    /// In words.
    pub detail: String,
}

/// What a node holds at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Which node.
    pub node: NodeIndex,
    /// Whether it is in the core.
    pub core: bool,
    /// Whether it is up; a node that is down is read from its disk.
    pub up: bool,
    /// The Merkle root that it keeps, in hexadecimal.
    pub root: String,
    /// The Merkle root computed from its store, in hexadecimal.
    pub root_afresh: String,
    /// A hash of the canonical bytes of all that it holds, computed without the tree.
    pub state: ValueHash,
    /// A hash of what it has seen.
    pub context: String,
    /// A hash of what its readers see at every key, resolved.
    pub view: ValueHash,
    /// What an audit of the store finds.
    pub discrepancies: Vec<String>,
    /// All that it holds and has seen.
    pub keys: Vec<KeyState>,
}
