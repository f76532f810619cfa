//! The state of the whole cluster: replicas, sessions and frames in flight, and the events that are possible.

use super::bounds::{Bounds, MAX_DUPLICATES, MAX_REPLICAS, MAX_SESSIONS};
use super::disk::Wide;
use super::ghost::{Named, Node};
use super::replicas::{Operation, ReplicaRef};
use super::slot::Slot;
use super::steps::{FrameRef, HalfRef, NONE, OVER, Steps};

/// Each session has one frame in flight, and each duplicate is one more.
const MAX_FRAMES: usize = MAX_SESSIONS + MAX_DUPLICATES;

/// A session that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) slot: Slot,
    pub(super) opener: HalfRef,
    pub(super) answerer: HalfRef,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The operation with this index among those that are possible at a replica.
    Operate { node: u8, choice: u8 },
    /// A session is opened.
    Open(Slot),
    /// A frame arrives: any of those in flight, in any order.
    Deliver(FrameRef),
    /// A frame arrives and will arrive once more. Frames are duplicated on arrival, since it makes no difference before.
    DeliverOnce(FrameRef),
    /// A frame is lost. If its opener then has nothing to wait for, it repeats its request. It could do so later, which is the
    /// same as if the request took longer to arrive.
    Lose(FrameRef),
    /// An opener repeats its request, since no frame of its session is in flight any more.
    TimeOut(Slot),
}

/// A state of the whole cluster; small, since there are millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) replicas: [ReplicaRef; MAX_REPLICAS],
    /// In the order of their slots.
    pairs: [Option<Pair>; MAX_SESSIONS],
    /// The frames in flight in ascending order: a multiset.
    frames: [Option<FrameRef>; MAX_FRAMES],
    /// The replica whose operation was the last event. The next event has to be at this replica: operations at one replica
    /// commute with all events at others, so that it is enough to explore an operation right before the first event that
    /// depends on it. Operations on which no event before the end of all sessions depends are left out.
    acting: Option<u8>,
    operations: u8,
    losses: u8,
    duplicates: u8,
}

impl World {
    pub(super) fn new(bounds: Bounds) -> Self {
        let mut replicas = [0; MAX_REPLICAS];
        for (at, replica) in (0..u32::from(bounds.replicas)).zip(&mut replicas) {
            *replica = at;
        }
        Self {
            replicas,
            pairs: [None; MAX_SESSIONS],
            frames: [None; MAX_FRAMES],
            acting: None,
            operations: bounds.operations,
            losses: bounds.losses,
            duplicates: bounds.duplicates,
        }
    }

    pub(super) fn hash(&self) -> u128 {
        Wide::of(self)
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().flatten()
    }

    /// The frames in flight, duplicated ones once.
    pub(super) fn frames(&self) -> Vec<FrameRef> {
        let mut frames: Vec<FrameRef> = self.frames.iter().flatten().copied().collect();
        frames.dedup();
        frames
    }

    pub(super) fn pair(&self, slot: Slot) -> Option<&Pair> {
        self.pairs().find(|pair| pair.slot == slot)
    }

    pub(super) fn pair_mut(&mut self, slot: Slot) -> &mut Pair {
        let pair = self.pairs.iter_mut().flatten().find(|pair| pair.slot == slot);
        pair.expect("a frame is of a session that was opened")
    }

    /// Whether an event that depends on an operation at a replica can follow it.
    pub(super) fn may_operate(&self, node: u8, bounds: Bounds, steps: &Steps) -> bool {
        let here = self.acting.is_none_or(|acting| acting == node);
        let arrives = || self.frames.iter().flatten().any(|frame| steps.frame(*frame).receiver() == node);
        self.operations > 0 && here && (self.may_open(bounds) || arrives())
    }

    fn may_open(&self, bounds: Bounds) -> bool {
        self.pairs().count() < usize::from(bounds.sessions)
    }

    /// All possible events; `offered` counts the operations at each replica.
    pub(super) fn actions(&self, bounds: Bounds, steps: &Steps, offered: [u8; MAX_REPLICAS]) -> Vec<Action> {
        let mut actions = Vec::new();
        for (node, offered) in (0..bounds.replicas).zip(offered) {
            actions.extend((0..offered).map(|choice| Action::Operate { node, choice }));
        }
        let here = |node: u8| self.acting.is_none_or(|acting| acting == node);
        if self.may_open(bounds) {
            for opener in (0..bounds.replicas).filter(|opener| here(*opener)) {
                for answerer in (0..bounds.replicas).filter(|answerer| *answerer != opener) {
                    let nth = self.pairs().filter(|pair| (pair.slot.opener, pair.slot.answerer) == (opener, answerer));
                    let nth = u8::try_from(nth.count()).expect("few sessions");
                    actions.push(Action::Open(Slot { opener, answerer, nth }));
                }
            }
        }
        for frame in self.frames().into_iter().filter(|frame| here(steps.frame(*frame).receiver())) {
            actions.push(Action::Deliver(frame));
            if self.duplicates > 0 {
                actions.push(Action::DeliverOnce(frame));
            }
        }
        if self.acting.is_some() {
            return actions;
        }
        if self.losses > 0 {
            actions.extend(self.frames().into_iter().map(Action::Lose));
        }
        for pair in self.pairs().filter(|pair| pair.opener != OVER) {
            if self.is_waiting(pair.slot, steps) {
                actions.push(Action::TimeOut(pair.slot));
            }
        }
        actions
    }

    /// Whether an opener waits although no frame of its session is in flight.
    pub(super) fn is_waiting(&self, slot: Slot, steps: &Steps) -> bool {
        self.pair(slot).is_some_and(|pair| pair.opener != OVER)
            && !self.frames.iter().flatten().any(|frame| steps.frame(*frame).slot == slot)
    }

    pub(super) fn operate(&mut self, node: u8, after: ReplicaRef) {
        self.replicas[usize::from(node)] = after;
        self.operations -= 1;
        self.acting = Some(node);
    }

    /// Applies an event that is not an operation.
    pub(super) fn act(&mut self) {
        self.acting = None;
    }

    pub(super) fn open(&mut self, slot: Slot, opener: HalfRef) {
        let place = self.pairs.iter().position(Option::is_none).expect("no more sessions than allowed are opened");
        self.pairs[place] = Some(Pair { slot, opener, answerer: NONE });
        self.pairs[..=place].sort_unstable_by_key(|pair| pair.map(|pair| pair.slot));
    }

    pub(super) fn lose(&mut self, frame: FrameRef) {
        self.losses -= 1;
        self.take(frame);
    }

    /// Keeps an arriving frame in flight.
    pub(super) fn duplicate(&mut self) {
        self.duplicates -= 1;
    }

    pub(super) fn take_all(&mut self, frame: FrameRef) {
        while self.frames.contains(&Some(frame)) {
            self.take(frame);
        }
    }

    pub(super) fn take(&mut self, frame: FrameRef) {
        let place = self.frames.iter().position(|other| *other == Some(frame)).expect("the frame is on its way");
        self.frames[place] = None;
        self.sort_frames();
    }

    pub(super) fn send(&mut self, sent: &[FrameRef]) {
        for frame in sent {
            let place = self.frames.iter_mut().find(|place| place.is_none());
            *place.expect("a session has one frame on its way, and its duplicates") = Some(*frame);
            self.sort_frames();
        }
    }

    fn sort_frames(&mut self) {
        self.frames.sort_unstable_by_key(|frame| frame.unwrap_or(FrameRef::MAX));
    }
}

impl Action {
    /// The event in words.
    pub(super) fn describe(self, operation: Option<&Operation>, event: u8, steps: &Steps) -> String {
        match (self, operation) {
            (Self::Operate { node, .. }, Some(operation)) => describe_operation(node, event, operation),
            (Self::Operate { node, .. }, None) => format!("{} does something", Node(node)),
            (Self::Open(slot), _) => format!("{} opens {slot}", Node(slot.opener)),
            (Self::Deliver(frame), _) => {
                let sent = steps.frame(frame);
                format!("{} gets {sent}", Node(sent.receiver()))
            }
            (Self::DeliverOnce(frame), _) => {
                let sent = steps.frame(frame);
                format!("{} gets {sent}, which will come again", Node(sent.receiver()))
            }
            (Self::Lose(frame), _) => format!("{} is lost", steps.frame(frame)),
            (Self::TimeOut(slot), _) => format!("{} repeats its request of {slot}", Node(slot.opener)),
        }
    }
}

fn describe_operation(node: u8, event: u8, operation: &Operation) -> String {
    let Operation { event: what, stale } = operation;
    let replaced: Vec<String> = what.replaces.iter().map(|name| Named(*name).to_string()).collect();
    let replaced = if replaced.is_empty() { "nothing".to_owned() } else { replaced.join(", ") };
    let verb = if what.is_write { "writes" } else { "deletes" };
    let stale = if *stale { ", all that an earlier read saw" } else { "" };
    format!("{} {verb} key {} as {}, in place of {replaced}{stale}", Node(node), what.key, Named((node, event)))
}
