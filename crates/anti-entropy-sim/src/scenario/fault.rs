//! Faults, when they happen, and to which nodes.

use core::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Abuse, Links, Scenario};
use crate::history::NodeIndex;

/// A fault from one time to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds; before `end_ms`.
    pub start_ms: u64,
    /// When it ends, in milliseconds; at most the scenario's duration. A fault that ends when another begins ends first.
    pub end_ms: u64,
    /// The nodes that it affects, as each fault describes. An empty list stands for all nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeIndex>,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
}

impl Step {
    /// The nodes that are not there before it.
    pub(crate) fn joining(&self) -> &[NodeIndex] {
        match self.fault {
            Fault::Join => &self.nodes,
            Fault::Clone { .. } => self.nodes.get(1..).unwrap_or(&[]),
            _ => &[],
        }
    }
}

impl Scenario {
    /// Whether a node is hostile at some time.
    pub(crate) fn is_hostile(&self, node: NodeIndex) -> bool {
        let names = |step: &Step| matches!(step.fault, Fault::Hostile { .. }) && step.nodes.contains(&node);
        self.steps.iter().any(names)
    }

    /// Whether a node never has to become equal to others.
    pub(crate) fn is_outside(&self, node: NodeIndex) -> bool {
        self.never_back.contains(&node) || self.is_hostile(node)
    }
}

/// A fault. In TOML, the field `fault` is its name, and its own fields stand beside that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Frames between nodes of different groups are lost. A node in no group reaches all nodes, and so is a bridge.
    Split {
        /// The groups: at least two, none of them empty, each node in at most one.
        groups: Vec<Vec<NodeIndex>>,
    },
    /// Frames from `nodes` to other nodes are lost. Frames to them arrive. Some nodes have to be named, and not all.
    Mute,
    /// Frames from other nodes to `nodes` are lost. Frames from them arrive. Some nodes have to be named, and not all.
    Deaf,
    /// All frames from and to each of `nodes` are lost.
    Isolate,
    /// Each node reaches only the nodes with the number before and after its own.
    Ring,
    /// The groups are separated and joined again and again.
    Flapping {
        /// The groups: at least two, none of them empty, each node in at most one.
        groups: Vec<Vec<NodeIndex>>,
        /// How long one separation and the time joined after it last together; 2 ms to the length of the step.
        period_ms: u64,
    },
    /// Links between two of `nodes` get these properties. At least two nodes have to be named, or none.
    Degrade {
        /// The properties of the links.
        links: Links,
    },
    /// `nodes` crash at the beginning, and start again at the end with what was durable.
    Crash {
        /// Whether they are closed in order and not crashed, so that they keep their replica ids.
        #[serde(default)]
        in_order: bool,
        /// Whether the operator vouches for the store at the restart, so that they keep their replica ids.
        #[serde(default)]
        vouched: bool,
    },
    /// `nodes` crash one after the other, and all start again at the end.
    Cascade {
        /// The time between two crashes. All have to happen within the step.
        every_ms: u64,
    },
    /// `nodes` crash at the beginning, lose their stores, and start again empty at the end.
    Wipe,
    /// `nodes` are backed up at the beginning. At the end they crash, and start from the backup.
    Restore {
        /// Whether the operator wrongly vouches for the backup, so that they keep their replica ids. A node has to find that out
        /// from the first peer that has seen later writes of it.
        #[serde(default)]
        vouched: bool,
    },
    /// `nodes` are closed in order at the beginning, backed up together with their markers, and start again at once. At the end
    /// they crash, and start from the backup with the marker that lies in it, as a machine does whose disk is put back.
    RestoreMarker,
    /// `nodes` are put back at the end to the memory that they had at the beginning, as a virtual machine is.
    RestoreMemory {
        /// Whether the disk is put back as well.
        disk: DiskAge,
    },
    /// The second of two `nodes` is not there at first. At the beginning it becomes a clone of the first one, which goes on. It
    /// is gone from the end on if that is before the end of the scenario.
    Clone {
        /// Whether it is a copy of the running process. Otherwise the first node is closed in order, and both start with copies
        /// of its store and its marker.
        #[serde(default)]
        running: bool,
        /// Whether both answer to the name of the first node, so that each hears from half of all peers. The clone is then gone
        /// before the end of the scenario.
        #[serde(default)]
        one_name: bool,
    },
    /// `nodes` crash at the beginning, and start again at the end with the seed of their last start.
    SameSeed {
        /// Whether their stores are lost, as those of nodes that keep everything in memory are.
        #[serde(default)]
        wiped: bool,
    },
    /// `nodes` run an old release from the start of the scenario, and are restarted with the new one at the end. The old release
    /// cannot read some of the values that nodes with the new one write.
    OldRelease,
    /// Running `nodes` get lower limits at the beginning, and those of the scenario back at the end.
    Limits {
        /// The most pieces of a context.
        context_pieces: NonZeroUsize,
        /// The most pushes that wait to be sent.
        max_queued_pushes: usize,
        /// The most entries of a batch.
        batch_entries: NonZeroUsize,
    },
    /// The first two of `nodes` are down, and start with each other's stores at the end.
    Swap,
    /// `nodes` are paused. Frames that arrive wait until the end.
    Pause,
    /// Every commit at `nodes` takes this long.
    SlowDisk {
        /// How long; 1 ms to a hundred years.
        commit_ms: u64,
    },
    /// Some disk operations at `nodes` fail. A failed sync may have kept the commit or not, and the node is restarted.
    DiskErrors {
        /// How many of a thousand reads fail; at most 1000.
        reads_permille: u16,
        /// How many of a thousand commits fail and change nothing. With `syncs_permille` at most 1000.
        commits_permille: u16,
        /// How many of a thousand commits fail so that they may have been kept or not.
        syncs_permille: u16,
    },
    /// The disks of `nodes` are full. Every commit fails and changes nothing.
    FullDisk,
    /// The wall clocks of `nodes` jump at the beginning, and back at the end.
    ClockJump {
        /// By how much: 1 ms to a hundred years, backwards if it is negative.
        by_ms: i64,
    },
    /// Both clocks of `nodes` run too fast or too slow.
    ClockDrift {
        /// By how many millionths: 1 to 500,000, too slow if it is negative.
        ppm: i32,
    },
    /// The wall clocks of `nodes` stand still.
    ClockFreeze,
    /// `nodes` are not members at first. They join at the beginning, and leave for good at the end if that is before the end of
    /// the scenario. Some nodes have to be named.
    Join,
    /// `nodes` are shut down and removed from the peers of all others at the beginning, and come back at the end.
    Leave,
    /// `nodes` are hostile, and never of the core. If the step lasts until the end of the scenario, they go on while the others
    /// have to exchange what they hold, and are shut down after that. Some nodes have to be named.
    Hostile {
        /// What they do, all at the same time.
        does: Vec<Abuse>,
    },
    /// `nodes` lie. Some nodes have to be named.
    Lie {
        /// What the liars do.
        lie: Lie,
    },
}

impl Fault {
    /// The fault's name in TOML.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Split { .. } => "split",
            Self::Mute => "mute",
            Self::Deaf => "deaf",
            Self::Isolate => "isolate",
            Self::Ring => "ring",
            Self::Flapping { .. } => "flapping",
            Self::Degrade { .. } => "degrade",
            Self::Crash { .. } => "crash",
            Self::Cascade { .. } => "cascade",
            Self::Wipe => "wipe",
            Self::Restore { .. } => "restore",
            Self::RestoreMarker => "restore_marker",
            Self::RestoreMemory { .. } => "restore_memory",
            Self::Clone { .. } => "clone",
            Self::SameSeed { .. } => "same_seed",
            Self::OldRelease => "old_release",
            Self::Limits { .. } => "limits",
            Self::Swap => "swap",
            Self::Pause => "pause",
            Self::SlowDisk { .. } => "slow_disk",
            Self::DiskErrors { .. } => "disk_errors",
            Self::FullDisk => "full_disk",
            Self::ClockJump { .. } => "clock_jump",
            Self::ClockDrift { .. } => "clock_drift",
            Self::ClockFreeze => "clock_freeze",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Hostile { .. } => "hostile",
            Self::Lie { .. } => "lie",
        }
    }
}

impl Fault {
    /// Whether it gives names of writes a second time, so that what is known of a name says nothing of a write any more.
    pub(crate) fn reuses_names(&self) -> bool {
        match self {
            Self::RestoreMarker | Self::RestoreMemory { .. } | Self::Clone { .. } | Self::SameSeed { wiped: true } => {
                true
            }
            Self::Restore { vouched } => *vouched,
            Self::Lie { lie } => *lie == Lie::Counter,
            _ => false,
        }
    }
}

/// Which disk a node has that is put back to an earlier memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskAge {
    /// That of the time of the memory.
    Then,
    /// Its last one, as where the disk is elsewhere on the network.
    Now,
}

/// What a lying member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lie {
    /// It takes all frames, and sends none.
    Stall,
    /// It sends random bytes.
    Garbage,
    /// It flips a bit in the frames that it sends and corrects the checksum, so that digests, clocks and dots are forged.
    Forge,
    /// It repeats random frames that it sent earlier.
    Replay,
    /// It tells different peers different things: it is two replicas with one id.
    Twin,
    /// It writes with the replica id of another member.
    Impersonate,
    /// It poisons the cells of its sketches: they cannot be decoded, hide differences, or invent some. Everything else that it
    /// sends is true.
    Poison,
    /// It tells others of a write that another member has not made yet, under the name of that member's next one.
    Counter,
}

impl Lie {
    /// All that a core survives, which is not yet so of [`Counter`](Self::Counter).
    pub(crate) const ALL: [Self; 7] =
        [Self::Stall, Self::Garbage, Self::Forge, Self::Replay, Self::Twin, Self::Impersonate, Self::Poison];
}
