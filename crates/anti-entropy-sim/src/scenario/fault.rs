//! Faults, and when they happen to whom.

use serde::{Deserialize, Serialize};

use super::Links;
use crate::history::NodeIndex;

/// A fault from one time to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds.
    pub start_ms: u64,
    /// When it is over; with the scenario's duration at the latest. What is over when something else begins is
    /// over before it.
    pub end_ms: u64,
    /// To whom it happens; what that means stands with each fault. All nodes if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeIndex>,
    /// What happens.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What goes wrong. In TOML, `fault` names it and its fields stand beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Nodes of different groups do not hear each other; nodes in no group hear everybody, and so are bridges.
    Split {
        /// Who is together.
        groups: Vec<Vec<NodeIndex>>,
    },
    /// `nodes` are heard by nobody else, and hear everybody.
    Mute,
    /// `nodes` hear nobody else, and are heard.
    Deaf,
    /// Each of `nodes` hears nobody and is heard by nobody.
    Isolate,
    /// Each node hears the one before and the one after it only.
    Ring,
    /// Two groups fall apart and come together again and again.
    Flapping {
        /// Who is together.
        groups: Vec<Vec<NodeIndex>>,
        /// How long a time apart and a time together take, both in one.
        period_ms: u64,
    },
    /// Links that both begin and end at `nodes` get these properties.
    Degrade {
        /// The properties.
        links: Links,
    },
    /// `nodes` crash, and start again in the end with what was durable.
    Crash {
        /// Whether they are closed in order, so that they go on under the same id.
        #[serde(default)]
        in_order: bool,
        /// Whether whoever starts them vouches for the store, so that they go on under the same id.
        #[serde(default)]
        vouched: bool,
    },
    /// `nodes` crash one after the other, this long after each other, and all start again in the end.
    Cascade {
        /// How long after each other.
        every_ms: u64,
    },
    /// `nodes` crash and lose their stores.
    Wipe,
    /// `nodes` are backed up in the beginning; in the end they crash, and start from the backup.
    Restore {
        /// Whether whoever starts them vouches, wrongly, for the backup, so that they go on under the same id. A node has to
        /// find that out from the first peer that knows more of it.
        #[serde(default)]
        vouched: bool,
    },
    /// The first two of `nodes` are down, and start with each other's store in the end.
    Swap,
    /// `nodes` stand still; what they are sent waits.
    Pause,
    /// Every commit at `nodes` takes this long.
    SlowDisk {
        /// How long.
        commit_ms: u64,
    },
    /// Disk operations at `nodes` fail now and then. A failed sync may have kept the commit, or not; the node is started again.
    DiskErrors {
        /// How many of a thousand reads fail.
        reads_permille: u16,
        /// How many of a thousand commits fail and change nothing.
        commits_permille: u16,
        /// How many of a thousand commits fail in a way that leaves open whether they were kept.
        syncs_permille: u16,
    },
    /// The disks of `nodes` are full: every commit fails and changes nothing.
    FullDisk,
    /// The wall clocks of `nodes` jump by this, and back in the end.
    ClockJump {
        /// By how much; backwards if it is negative.
        by_ms: i64,
    },
    /// Both clocks of `nodes` run too fast, or too slow, by this many millionths.
    ClockDrift {
        /// How much.
        ppm: i32,
    },
    /// The wall clocks of `nodes` stand still.
    ClockFreeze,
    /// `nodes` are not there in the beginning: they join at the start of the step, and leave at its end if that is before
    /// the faults are over.
    Join,
    /// `nodes` are taken off everybody's list of peers and shut down, and come back in the end.
    Leave,
    /// `nodes` lie.
    Lie {
        /// How.
        lie: Lie,
    },
}

impl Fault {
    /// Its name, as it stands in TOML.
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
            Self::Lie { .. } => "lie",
        }
    }
}

/// What a lying member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lie {
    /// It answers nothing, and takes everything.
    Stall,
    /// It sends random bytes.
    Garbage,
    /// It flips a bit in what it sends and makes the checksum fit, so that digests, clocks and dots are forged.
    Forge,
    /// It repeats what it has ever sent, at random.
    Replay,
    /// It says different things to different peers: it is two replicas under one id.
    Twin,
    /// It writes under the id of another member.
    Impersonate,
    /// It poisons the cells of its sketches: they cannot be read, hide what differs, or make it up. All else that it says
    /// is true.
    Poison,
}

impl Lie {
    pub(crate) const ALL: [Self; 7] =
        [Self::Stall, Self::Garbage, Self::Forge, Self::Replay, Self::Twin, Self::Impersonate, Self::Poison];
}
