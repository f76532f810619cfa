//! The records of a history: everything that checkers see of a run.

use anti_entropy::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ValueHash, WriteName};

/// The number of a node in the cluster, from 0.
pub type NodeIndex = u32;

/// The number of a key, from 0.
pub type KeyIndex = u32;

/// One line of a history. Times are in microseconds of simulated time since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The scenario; always the first record.
    Start(Start),
    /// An operation of a client, recorded when it ends.
    Op(Op),
    /// A node's store was opened, for the first time or again. From here on the node is another process.
    Life(Life),
    /// An operation or a delivered frame changed what a node holds or has seen.
    State(State),
    /// A frame arrived at a node that was up. Recorded only on request, since there are many.
    Delivery(Delivery),
    /// A fault began or ended.
    Fault(FaultChange),
    /// All faults are over, but hostile nodes go on. From here on the others have to exchange what they hold all the same. When
    /// the hostile nodes are gone, [`Healed`](Self::Healed) follows.
    Besieged(Healed),
    /// All faults are over, except for those of nodes outside the core. From here on the core has to become equal.
    Healed(Healed),
    /// All core nodes hold and have seen the same, for the first time since the network healed or since the last operation.
    Converged(Converged),
    /// A session of a node ended.
    Session(EndedSession),
    /// What all nodes together sent in the last gossip interval.
    Traffic(Traffic),
    /// The resources that a node uses, once each gossip interval.
    Usage(Usage),
    /// What a node has on the heap, once each gossip interval where that is counted.
    Heap(Heap),
    /// A resource that only hostile nodes can use up, once each gossip interval while there are any.
    Strain {
        /// When.
        at: u64,
        /// Which node.
        node: NodeIndex,
        /// What is counted.
        what: String,
        /// How much of it is in use.
        used: u64,
        /// How much may be.
        limit: u64,
    },
    /// A node's wall clock has jumped, and shows this.
    Clock {
        /// When.
        at: u64,
        /// Which node.
        node: NodeIndex,
        /// What it shows, in milliseconds since 1970.
        unix_ms: u64,
    },
    /// A node reported something that should not happen.
    Alarm(Alarm),
    /// What a node holds at the end of the run; one record for each node.
    End(End),
}

/// The scenario of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The seed of everything random.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: String,
    /// How many nodes there are, those that join later included.
    pub nodes: NodeIndex,
    /// How many keys are written.
    pub keys: KeyIndex,
    /// The gossip interval, which is a round.
    pub interval_us: u64,
    /// The gossip interval while something changes.
    pub min_interval_us: u64,
    /// How many peers a node compares with in a round.
    pub fanout: u32,
    /// After how long a silent session times out.
    pub idle_timeout_us: u64,
    /// How many of a thousand frames are lost after healing.
    pub healed_loss_permille: u16,
    /// The limits of the resources in [`Usage`].
    pub limits: NodeLimits,
}

/// The limits of a node's resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLimits {
    /// The length of the longest frame.
    pub frame_bytes: u64,
    /// The number of open sessions, and of sessions that are over and kept to repeat their last frame.
    pub sessions: u64,
    /// The number of frames that wait to be sent.
    pub queued_frames: u64,
    /// The number of peers.
    pub peers: u64,
    /// The number of pieces of the context.
    pub context_pieces: u64,
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Writes, and replaces all versions that the node holds.
    Write,
    /// Deletes all versions that the node holds.
    Delete,
    /// Reads.
    Read,
    /// Writes, and replaces the versions that an earlier read returned.
    WriteSeen,
    /// Deletes the versions that an earlier read returned.
    DeleteSeen,
    /// The node itself wrote what its resolver made of concurrent versions. Clients cannot ask for it.
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
    /// The store failed, and may have kept the change or not. If it did, the change has the recorded dot, and
    /// [`Life::kept`] of the node's next life contains it.
    Unknown,
}

/// An operation of a client at one key. An operation at several keys is several records with the same `op_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The number of the operation, from 0.
    pub op_id: u64,
    /// The client.
    pub process: u32,
    /// The node that the client asked.
    pub node: NodeIndex,
    /// The kind of the operation.
    pub op: OpKind,
    /// The key.
    pub key: KeyIndex,
    /// When the client asked.
    pub start: u64,
    /// When the node answered.
    pub end: u64,
    /// Whether it was acknowledged.
    pub ok: Acknowledged,
    /// The value that a write writes; `None` for other operations.
    pub value: Option<ValueHash>,
    /// The name of the write or delete. `None` for reads, for refused operations, and for deletes that found nothing.
    pub dot: Option<WriteName>,
    /// The versions that a write or delete replaces, or that a read returned.
    pub seen: Vec<WriteName>,
    /// When a write was made, by its node's clock. `None` for other operations, and where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// A version that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The write that made it.
    pub dot: WriteName,
    /// Its value.
    pub value: ValueHash,
}

/// What a node holds and has seen at a key that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The key.
    pub key: KeyIndex,
    /// The versions that the node holds, in the order of their dots.
    pub held: Vec<Held>,
    /// Writes and deletes of this key that the node's context covers now and did not before.
    pub covered: Vec<WriteName>,
    /// Writes and deletes of this key that the node's context covered before and does not now.
    pub forgotten: Vec<WriteName>,
}

/// In which state a node's store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// Empty: the node is new.
    New,
    /// As it was before a crash or an orderly restart.
    Restarted,
    /// Empty, because it was wiped.
    Wiped,
    /// Restored to an earlier state.
    Restored,
    /// Exchanged for another node's store.
    Swapped,
    /// A copy of another node's store, which goes on as well.
    Cloned,
}

/// A node's store was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// In which state.
    pub opened: Opened,
    /// Everything that it holds and has seen: here `covered` includes everything and not only what is new.
    pub keys: Vec<KeyState>,
    /// The writes and deletes with [`Acknowledged::Unknown`] that the store turned out to have kept.
    pub kept: Vec<WriteName>,
    /// Writes and deletes that no store knows any more, since this one was wiped or restored. Frames in flight may bring them
    /// back.
    pub lost: Vec<WriteName>,
    /// The first bytes of its Merkle root.
    pub root: ValueHash,
}

/// A change of what a node holds or has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// The sender of the frame that caused it; `None` if an operation at this node caused it.
    pub from: Option<NodeIndex>,
    /// The keys that changed.
    pub keys: Vec<KeyState>,
    /// Whether the context still covers everything that it covered before, of every writer and at every key.
    pub grown: bool,
    /// The first bytes of its Merkle root after the change.
    pub root: ValueHash,
}

/// A frame arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When.
    pub at: u64,
    /// The sender.
    pub from: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// Its length.
    pub bytes: u64,
    /// A hash of its bytes, which tells repeated and damaged frames apart.
    pub frame: ValueHash,
}

/// A fault began or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultChange {
    /// When.
    pub at: u64,
    /// The fault, as the scenario names it.
    pub fault: String,
    /// Whether it begins.
    pub begins: bool,
    /// Whether the fault is a partition.
    pub partitions: bool,
    /// Whether the fault ends processes.
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

/// What a node has on the heap, besides its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heap {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// How many bytes it has at the end of the interval.
    pub held_bytes: u64,
    /// How many it had at most during the interval, within steps too.
    pub most_bytes: u64,
    /// How many it may have at most; `None` for no limit.
    pub limit_bytes: Option<u64>,
}

/// All core nodes are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converged {
    /// When.
    pub at: u64,
}

/// A session that ended, as one side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSession {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// The other side.
    pub peer: NodeIndex,
    /// How it ended: `converged`, `progress`, `partial: reason`, `refused: reason`.
    pub outcome: String,
    /// How many keys differed.
    pub differences: u64,
    /// How many keys changed here.
    pub changed: u64,
    /// How many bytes of values were sent.
    pub value_bytes: u64,
    /// How many requests the other side answered.
    pub round_trips: u32,
    /// The first bytes of the root that both sides had, if the session converged. `None` if the peer has ever forged frames,
    /// since the simulator does not observe such a peer.
    #[serde(default)]
    pub root: Option<ValueHash>,
}

/// What all nodes together sent in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// When the span began.
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

/// The resources that a node uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// The length of the longest frame that it has sent.
    pub frame_bytes: u64,
    /// The number of sessions.
    pub sessions: u64,
    /// The number of frames that wait to be sent.
    pub queued_frames: u64,
    /// The number of peers.
    pub peers: u64,
    /// The number of pieces of the context.
    pub context_pieces: u64,
    /// The age of the oldest open session by the node's own clock; 0 if there is none.
    pub oldest_session_us: u64,
}

/// A report of something that should not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: NodeIndex,
    /// Its name: `renamed`, `content_clash`, `histories_differ`, `clock_skew`, `refused`, `push_rejected`, `frame_refused`,
    /// `store_failed`, `operation_failed`.
    pub alarm: String,
    /// A description.
    pub detail: String,
}

/// What a node holds at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Which node.
    pub node: NodeIndex,
    /// Whether it is in the core.
    pub core: bool,
    /// Whether it is up. A node that is down is read from its disk.
    pub up: bool,
    /// The Merkle root that the node keeps, in hexadecimal.
    pub root: String,
    /// The Merkle root computed from its store, in hexadecimal.
    pub root_afresh: String,
    /// A hash of the canonical bytes of everything that it holds, computed without the tree.
    pub state: ValueHash,
    /// A hash of its context.
    pub context: String,
    /// A hash of what reads return at every key, resolved.
    pub view: ValueHash,
    /// The discrepancies that an audit of the store finds.
    pub discrepancies: Vec<String>,
    /// Everything that it holds and has seen.
    pub keys: Vec<KeyState>,
}
