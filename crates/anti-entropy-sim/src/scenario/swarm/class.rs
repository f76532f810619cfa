//! Classes of faults.

/// A class of faults, which a run has or does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Partition,
    Degrade,
    Process,
    Pause,
    Disk,
    Clock,
    Membership,
}

impl Class {
    pub(super) const ALL: [Self; 7] =
        [Self::Partition, Self::Degrade, Self::Process, Self::Pause, Self::Disk, Self::Clock, Self::Membership];
}
