//! How likely things are in a run. Each seed draws its own weights ("swarm testing", Groce et al., 2012): what one run
//! never does, another does all the time.

use alloc::vec::Vec;

use crate::mutant::Mutant;

/// A step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Write,
    Delete,
    /// Several keys at once.
    Commit,
    Read,
    StaleWrite,
    StaleDelete,
    /// A write or delete with what was read at another replica.
    ForeignRead,
    Open,
    Answer,
    Batch,
    Reply,
    Deliver,
    Drop,
    EndSession,
    Full,
    Crash,
    Backup,
    Restore,
    /// A backup is opened as if it were the latest state, and the replica meets its peers before it writes.
    UnnoticedRestore,
    Wipe,
    Join,
    Sync,
}

/// Each step and its usual weight.
const OPS: [(Op, f64); 22] = [
    (Op::Write, 6.0),
    (Op::Delete, 2.0),
    (Op::Commit, 0.7),
    (Op::Read, 2.0),
    (Op::StaleWrite, 2.0),
    (Op::StaleDelete, 1.0),
    (Op::ForeignRead, 1.0),
    (Op::Open, 3.0),
    (Op::Answer, 4.0),
    (Op::Batch, 7.0),
    (Op::Reply, 3.0),
    (Op::Deliver, 12.0),
    (Op::Drop, 1.0),
    (Op::EndSession, 0.7),
    (Op::Full, 0.6),
    (Op::Crash, 0.4),
    (Op::Backup, 1.0),
    (Op::Restore, 0.5),
    (Op::UnnoticedRestore, 0.3),
    (Op::Wipe, 0.15),
    (Op::Join, 0.2),
    (Op::Sync, 1.0),
];

/// What is broken in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    InTheCore(Mutant),
    InTheDriver(Fault),
}

/// What is broken in the driver of the model; bugs in the core are [`Mutant`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Writes are acknowledged and sent before the store has synced them.
    LateDurability,
    /// A wiped store is opened with the seed that it had before.
    WipedStoreKeepsItsId,
    /// A restored backup is vouched for.
    RestoredStoreIsVouchedFor,
    /// A marker is kept although the store was opened with it, and a backup of the closed store passes for the store.
    MarkerIsUsedTwice,
    // The next three are in the core as well, as far as it can have them without keeping what was before.
    ReplyWithOldEntriesAndNewClock,
    EntriesOlderThanTheInstant,
    ClockLaterThanTheInstant,
}

/// Weights for what a rare bug needs, where the usual ones would take too many seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boost {
    pub(super) weights: &'static [(Op, f64)],
    pub(super) replicas: Option<usize>,
    pub(super) keys: Option<u8>,
    /// Every write is pushed, and comparisons miss nothing.
    pub(super) pushes: bool,
    /// Into how many pieces contexts may be cut; the default of [`ReplicaConfig`](crate::replica::ReplicaConfig) is never
    /// reached.
    pub(super) max_pieces: Option<usize>,
    /// How likely a batch is whole; drawn where nothing is said.
    pub(super) against_nothing: Option<f64>,
    /// How likely a replica is of an older release, and cannot read some of what others write.
    pub(super) old_releases: f64,
}

impl Boost {
    pub(super) const NONE: Self = Self {
        weights: &[],
        replicas: None,
        keys: None,
        pushes: false,
        max_pieces: None,
        against_nothing: None,
        old_releases: 0.0,
    };
}

/// What one run draws.
pub(super) struct Odds {
    pub(super) replicas: usize,
    pub(super) keys: u8,
    pub(super) steps: u32,
    weights: Vec<(Op, f64)>,
    /// How likely a write is pushed to each peer.
    pub(super) push: f64,
    /// How likely a push that was taken is passed on.
    pub(super) relay: f64,
    /// How likely a message is delivered again later.
    pub(super) repeat: f64,
    /// How likely any message is delivered, and not one of the latest.
    pub(super) reorder: f64,
    /// How likely a comparison misses a difference.
    pub(super) miss: f64,
    /// Whether batches end where the sender's context is cut.
    pub(super) cut_at_pieces: bool,
    pub(super) max_pieces: Option<usize>,
    /// How likely a batch is whole, and not relative to a snapshot.
    pub(super) against_nothing: f64,
    pub(super) old_releases: f64,
}

impl Odds {
    /// `of_bases` draws what batches are relative to, apart from all else: without whole batches, the seeds of histories
    /// that once went wrong still mean what they meant.
    pub(super) fn swarm(boost: &Boost, bug: Bug, random: &mut fastrand::Rng, of_bases: &mut fastrand::Rng) -> Self {
        let mut weights = OPS.to_vec();
        for (op, weight) in &mut weights {
            let basic = matches!(op, Op::Write | Op::Deliver | Op::Open | Op::Answer | Op::Batch);
            *weight *=
                if basic { one_of(random, &[0.5, 1.0, 2.0]) } else { one_of(random, &[0.0, 0.3, 1.0, 1.0, 1.0, 3.0]) };
            if let Some((_, boosted)) = boost.weights.iter().find(|(boosted, _)| boosted == op) {
                *weight = *boosted;
            }
        }
        if bug != Bug::InTheDriver(Fault::LateDurability) {
            weights.retain(|(op, _)| *op != Op::Sync);
        }
        Self {
            replicas: boost.replicas.unwrap_or(random.usize(2..=4)),
            keys: boost.keys.unwrap_or(one_of(random, &[1, 2, 2, 3, 3, 4, 5, 8])),
            steps: random.u32(5..=90),
            weights,
            push: if boost.pushes { 1.0 } else { one_of(random, &[0.0, 0.3, 0.6, 1.0]) },
            relay: one_of(random, &[0.0, 0.3]),
            repeat: one_of(random, &[0.0, 0.2, 0.5]),
            reorder: one_of(random, &[0.0, 0.5]),
            miss: if boost.pushes { 0.0 } else { one_of(random, &[0.0, 0.0, 0.1, 0.3]) },
            cut_at_pieces: random.f64() < 0.3,
            max_pieces: boost.max_pieces,
            old_releases: boost.old_releases,
            against_nothing: boost.against_nothing.unwrap_or(one_of(of_bases, &[0.0, 0.0, 0.1, 0.3, 0.8])),
        }
    }

    pub(super) fn choose(&self, random: &mut fastrand::Rng) -> Op {
        let mut rest = random.f64() * self.weights.iter().map(|(_, weight)| weight).sum::<f64>();
        for (op, weight) in &self.weights {
            rest -= weight;
            if rest < 0.0 {
                return *op;
            }
        }
        Op::Write
    }
}

fn one_of<T: Copy>(random: &mut fastrand::Rng, choices: &[T]) -> T {
    choices[random.usize(0..choices.len())]
}
