//! A node: its disk, its engine while it is up, and what the simulator has observed of it.

use std::collections::{BTreeSet, VecDeque};

use anti_entropy::clock::{Context, ContextHash, Seed};
use anti_entropy::engine::Engine;
use anti_entropy::summary::Root;
use anti_entropy::{Marker, PeerId};

use super::clock::NodeClock;
use super::disk::Disk;
use super::replies::Replies;
use crate::history::{Held, NodeIndex, Opened, WriteName};
use crate::scenario::Lie;
use crate::subject::{Release, Subject};

/// How many frames wait at a paused node. More are lost, as in a socket's buffer.
pub(super) const INBOX_FRAMES: usize = 1000;

#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Node<S: Subject> {
    pub(super) name: PeerId,
    pub(super) disk: Disk<S::Store>,
    /// `None` while the node is down.
    pub(super) engine: Option<Engine<S::Value>>,
    pub(super) clock: NodeClock,
    /// Whether it is a member. A node that joins later is not one at first.
    pub(super) member: bool,
    /// The peers that it knows.
    pub(super) peers: BTreeSet<NodeIndex>,
    /// How many steps pause it at present.
    pub(super) pauses: u32,
    pub(super) inbox: VecDeque<(NodeIndex, Vec<u8>)>,
    /// Counts engines, so that events for an earlier one are recognised.
    pub(super) life: u32,
    /// When the next timer is scheduled for.
    pub(super) timer_at: u64,
    /// Until when it is busy with its disk.
    pub(super) busy_until: u64,
    /// How long a commit takes.
    pub(super) commit_us: u64,
    pub(super) commits: u64,
    /// The marker of the last orderly shutdown.
    pub(super) marker: Option<Marker>,
    pub(super) backup: Option<S::Store>,
    pub(super) seen: Seen,
    /// Operations that may have been done or not, as indices into the ledger.
    pub(super) unknown: Vec<usize>,
    pub(super) lie: Option<Lie>,
    /// Whether it has ever forged frames. The simulator does not observe such a node.
    pub(super) has_forged: bool,
    /// The second replica of a liar that is two replicas with one id.
    pub(super) twin: Option<Engine<S::Value>>,
    /// The frames that a liar has sent and may repeat.
    pub(super) said: Vec<(NodeIndex, Vec<u8>)>,
    /// How often a liar will still claim another member's next write.
    pub(super) claims: u32,
    /// Fragments of replies that wait until their cells can be poisoned.
    pub(super) replies: Replies,
    /// The longest frame that it has sent.
    pub(super) longest_frame: u64,
    /// Bytes of values that were counted already.
    pub(super) value_bytes_counted: u64,
    pub(super) up_since: u64,
    /// In which state its store is opened once its disk allows it.
    pub(super) opens_as: Opened,
    /// Whether a step of the scenario keeps it down.
    pub(super) held_down: bool,
    /// Whether its replica has stopped because a commit may have been kept or not, and its process lives on.
    pub(super) is_doubtful: bool,
    /// Up to which counter the writes with its own id are in the history.
    pub(super) accounted: u64,
    /// The seed with which the current replica was opened.
    pub(super) seed: Option<Seed>,
    /// The seed with which the current engine was made.
    pub(super) engine_seed: u64,
    /// Whether the next opening has both seeds of the last one.
    pub(super) repeats_seed: bool,
    /// Which release its process runs.
    pub(super) release: Release,
    /// What a snapshot of it has kept.
    pub(super) memory: Option<Memory<S>>,
}

/// A snapshot of a machine.
pub(super) struct Memory<S: Subject> {
    /// The process; nothing if it was down.
    pub(super) engine: Option<Engine<S::Value>>,
    pub(super) store: S::Store,
    /// What its monotonic clock showed.
    pub(super) elapsed_us: u64,
    pub(super) marker: Option<Marker>,
}

/// What the simulator has observed of a node's replica.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) root: Root,
    pub(super) context: Context,
    pub(super) context_hash: ContextHash,
    /// The versions held, by key.
    pub(super) held: Vec<Vec<Held>>,
    /// The events that the context does not cover, as indices into the ledger.
    pub(super) open: Vec<usize>,
}

/// An attempted write or delete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: usize,
    pub(super) dot: anti_entropy::clock::Dot,
    /// Whether it turned out not to have been done, so that its dot names no event or another one.
    pub(super) void: bool,
}

impl<S: Subject> Node<S> {
    pub(super) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether its replica has found its store to be another one than it left, so that its operator has to start it again.
    pub(super) fn has_stopped(&self) -> bool {
        !self.is_doubtful && self.engine.as_ref().is_some_and(|engine| engine.replica().is_stopped())
    }
}

pub(super) fn dots(held: &[Held]) -> Vec<WriteName> {
    held.iter().map(|held| held.dot).collect()
}
