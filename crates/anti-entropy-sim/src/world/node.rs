//! A node: a disk that stays, an engine that comes and goes, and what the simulator has seen of it.

use std::collections::{BTreeSet, VecDeque};

use anti_entropy::clock::{Context, ContextHash, Seed};
use anti_entropy::engine::Engine;
use anti_entropy::summary::Root;
use anti_entropy::{Marker, PeerId};

use super::clock::NodeClock;
use super::disk::Disk;
use super::poison::Replies;
use crate::history::{Dot, Held, NodeIndex, Opened};
use crate::scenario::Lie;
use crate::subject::Subject;

/// What waits at a node that stands still; what is more is lost, as in a socket's buffer.
pub(super) const INBOX_FRAMES: usize = 1000;

pub(crate) struct Node<S: Subject> {
    pub(super) name: PeerId,
    pub(super) disk: Disk<S::Store>,
    /// Nothing while the node is down.
    pub(super) engine: Option<Engine<S::Value>>,
    pub(super) clock: NodeClock,
    /// Whether it is a member; a node that joins later is none at first.
    pub(super) member: bool,
    /// Whom it knows.
    pub(super) peers: BTreeSet<NodeIndex>,
    /// How many pauses are on.
    pub(super) pauses: u32,
    pub(super) inbox: VecDeque<(NodeIndex, Vec<u8>)>,
    /// Counts engines, so that what was scheduled for an earlier one is told apart.
    pub(super) life: u32,
    /// When the next timer is scheduled for.
    pub(super) timer_at: u64,
    /// Busy with its disk until then.
    pub(super) busy_until: u64,
    /// How long a commit takes.
    pub(super) commit_us: u64,
    pub(super) commits: u64,
    /// What the last closing in order left outside the store.
    pub(super) marker: Option<Marker>,
    pub(super) backup: Option<S::Store>,
    pub(super) seen: Seen,
    /// Operations that may have been done or not, as indices into the ledger.
    pub(super) unknown: Vec<usize>,
    pub(super) lie: Option<Lie>,
    /// Whether it has ever forged frames: then nobody knows what it had when it said something.
    pub(super) has_forged: bool,
    /// The other face of a liar with two.
    pub(super) twin: Option<Engine<S::Value>>,
    /// What a liar that repeats itself has sent.
    pub(super) said: Vec<(NodeIndex, Vec<u8>)>,
    /// What waits until its cells can be poisoned.
    pub(super) replies: Replies,
    /// The longest frame that it has sent.
    pub(super) longest_frame: u64,
    /// Bytes of values that were counted already.
    pub(super) value_bytes_counted: u64,
    pub(super) up_since: u64,
    /// As what it is opened once its disk lets it.
    pub(super) opens_as: Opened,
    /// Whether a step of the scenario keeps it down.
    pub(super) held_down: bool,
    /// Up to where the writes under its own id are in the history.
    pub(super) accounted: u64,
    /// What the present replica was opened with.
    pub(super) seed: Option<Seed>,
}

/// What the simulator has seen of a node's replica.
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

/// A write or delete that was ever attempted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: usize,
    pub(super) dot: anti_entropy::clock::Dot,
    /// Whether it turned out not to have been done: its dot names nothing, or another event.
    pub(super) void: bool,
}

impl<S: Subject> Node<S> {
    pub(super) fn is_up(&self) -> bool {
        self.engine.is_some()
    }
}

pub(super) fn dots(held: &[Held]) -> Vec<Dot> {
    held.iter().map(|held| held.dot).collect()
}
