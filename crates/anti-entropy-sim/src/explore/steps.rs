//! All steps of sessions, each executed once: the same frame in the same states has the same result.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use anti_entropy::SessionConfig;
use anti_entropy::clock::Now;
use anti_entropy::session::{Frame, Outcome, PartialReason, Session, SessionOutput};

use super::disk::{ByHash, Wide, side_by_side};
use super::ghost::Violation;
use super::replicas::{ReplicaRef, Replicas};
use super::slot::{Slot, UNDISTURBED};

/// The number of a state of one side of a session.
pub(super) type HalfRef = u32;
/// The number of a frame.
pub(super) type FrameRef = u32;

/// The answering side before the first request.
pub(super) const NONE: HalfRef = 0;
/// An opener that is over. It takes no more frames, so that it makes no difference how it ended.
pub(super) const OVER: HalfRef = 1;

/// One side of a session that is not over.
struct Half {
    session: Session,
    /// For an answerer that has made a reply by which the session may converge.
    parting: Option<Parting>,
}

/// What an answerer's replica held and had seen when it made a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Parting {
    /// The hash of the reply's frames, which are the same when it is repeated.
    frames: u128,
    agreed: u128,
}

/// A frame in flight.
pub(super) struct Sent {
    pub(super) slot: Slot,
    pub(super) to_opener: bool,
    bytes: Vec<u8>,
    /// The sender's [`Half::parting`].
    parting: Option<Parting>,
}

/// A replica and its side of a session after a step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) replica: ReplicaRef,
    pub(super) half: HalfRef,
    pub(super) sent: Vec<FrameRef>,
}

/// Replicas, sessions and frames, and all steps between them.
pub(super) struct Steps {
    pub(super) replicas: Replicas,
    config: SessionConfig,
    /// None for [`NONE`] and [`OVER`].
    halves: Vec<Option<Half>>,
    halves_by_hash: HashMap<u128, HalfRef, ByHash>,
    frames: Vec<Sent>,
    frames_by_hash: HashMap<u128, FrameRef, ByHash>,
    taken: Vec<Step>,
    opened: HashMap<(ReplicaRef, Slot), usize>,
    delivered: HashMap<u128, usize, ByHash>,
    timed_out: HashMap<(HalfRef, Slot), usize>,
}

impl Steps {
    pub(super) fn new(replicas: Replicas) -> Self {
        let config = SessionConfig::default().with(|config| {
            config.batch_entries = NonZeroUsize::MIN;
            config.idle_timeout = Duration::MAX;
            config.checksum = false;
        });
        Self {
            replicas,
            config,
            halves: vec![None, None],
            halves_by_hash: HashMap::default(),
            frames: Vec::new(),
            frames_by_hash: HashMap::default(),
            taken: Vec::new(),
            opened: HashMap::new(),
            delivered: HashMap::default(),
            timed_out: HashMap::new(),
        }
    }

    pub(super) fn step(&self, index: usize) -> &Step {
        &self.taken[index]
    }

    pub(super) fn frame(&self, frame: FrameRef) -> &Sent {
        &self.frames[frame as usize]
    }

    /// A replica opens a session.
    pub(super) fn open(&mut self, at: ReplicaRef, slot: Slot) -> Result<usize, Violation> {
        if let Some(known) = self.opened.get(&(at, slot)) {
            return Ok(*known);
        }
        let (mut replica, disk) = self.replicas.fork(at);
        let session =
            Session::open(slot.nonce(false), &mut replica, self.config, at_rest()).expect("the settings are valid");
        let after = self.replicas.keep_after(at, replica, disk, None)?;
        let (half, sent, _) = self.settle_half(session, slot, false, None, after)?;
        let index = self.remember(Step { replica: after, half, sent });
        self.opened.insert((at, slot), index);
        Ok(index)
    }

    /// A replica receives a frame of a session.
    pub(super) fn deliver(&mut self, at: ReplicaRef, half: HalfRef, frame: FrameRef) -> Result<usize, Violation> {
        let key = side_by_side([0, at, half, frame]);
        if let Some(known) = self.delivered.get(&key) {
            return Ok(*known);
        }
        let step = self.execute(at, half, frame)?;
        self.check_replay(&step, frame)?;
        let index = self.remember(step);
        self.delivered.insert(key, index);
        Ok(index)
    }

    /// A frame that arrives twice changes nothing the second time, and gets the same answer or none (S7). This is checked even
    /// with bounds that have no duplicates.
    fn check_replay(&mut self, step: &Step, frame: FrameRef) -> Result<(), Violation> {
        let again = self.execute(step.replica, step.half, frame)?;
        let same = (again.replica, again.half) == (step.replica, step.half);
        if same && (again.sent.is_empty() || again.sent == step.sent) {
            return Ok(());
        }
        Err(Violation::new("a frame that comes twice is not taken for one (S7)", self.frame(frame).to_string()))
    }

    fn execute(&mut self, at: ReplicaRef, half: HalfRef, frame: FrameRef) -> Result<Step, Violation> {
        let unchanged = Step { replica: at, half, sent: Vec::new() };
        let (mut replica, disk) = self.replicas.fork(at);
        let Sent { slot, to_opener, bytes, parting: theirs } = self.frame(frame);
        let (slot, to_opener, theirs) = (*slot, *to_opener, *theirs);
        let decoded = Frame::decode(bytes, &self.config)
            .map_err(|error| Violation::new("a frame that was sent does not parse", error.to_string()))?;
        let (mut session, parting) = match &self.halves[half as usize] {
            Some(half) => (half.session.clone(), half.parting),
            None if half == OVER => return Ok(unchanged),
            None => match Session::accept(&decoded, slot.nonce(true), self.config, at_rest())
                .expect("the settings are valid")
            {
                Some(session) => (session, None),
                None => return Ok(unchanged),
            },
        };
        session.handle_frame(decoded, &mut replica, at_rest())?;
        let after = self.replicas.keep_after(at, replica, disk, None)?;
        let (half, sent, outcome) = self.settle_half(session, slot, !to_opener, parting, after)?;
        // The opener is as the answerer was at one instant: when it made its last reply.
        let agreed = self.replicas.get(after).agreed;
        let is_as_heard = theirs.is_some_and(|theirs| theirs.agreed == agreed);
        if to_opener && outcome == Some(Outcome::Converged) && !is_as_heard {
            let detail = format!("{slot}, and its sides were not equal when the answerer was last heard");
            return Err(Violation::new("converged and not equal (S6)", detail));
        }
        Ok(Step { replica: after, half, sent })
    }

    /// The opener's time-out for an answer has passed.
    pub(super) fn time_out(&mut self, half: HalfRef, slot: Slot) -> Result<usize, Violation> {
        if let Some(known) = self.timed_out.get(&(half, slot)) {
            return Ok(*known);
        }
        let mut session = self.halves[half as usize].as_ref().expect("only who is not over waits").session.clone();
        if let SessionOutput::Wait(until) = session.poll_output() {
            session.handle_timeout(Now { elapsed: until, ..at_rest() });
        }
        // The replica is not asked.
        let (half, sent, _) = self.settle_half(session, slot, false, None, 0)?;
        let index = self.remember(Step { replica: 0, half, sent });
        self.timed_out.insert((half, slot), index);
        Ok(index)
    }

    /// Takes the frames that a session sends, checks how it ended, and stores its state.
    fn settle_half(
        &mut self,
        mut session: Session,
        slot: Slot,
        answers: bool,
        parting: Option<Parting>,
        replica: ReplicaRef,
    ) -> Result<(HalfRef, Vec<FrameRef>, Option<Outcome>), Violation> {
        let mut frames = Vec::new();
        let outcome = loop {
            match session.poll_output() {
                SessionOutput::Send(bytes) => frames.push(bytes),
                SessionOutput::Done(finished) => break Some(finished.outcome),
                SessionOutput::Wait(_) => break None,
            }
        };
        match &outcome {
            None | Some(Outcome::Converged | Outcome::Progress) => {}
            Some(Outcome::Partial(PartialReason::AbortedByPeer)) if answers => {}
            Some(other) => return Err(Violation::new("ended among honest peers", format!("{slot}: {other:?}"))),
        }
        let parting = if answers { self.parting(parting, &frames, replica) } else { None };
        let sent = frames.into_iter().map(|bytes| self.keep_frame(slot, !answers, bytes, parting)).collect();
        let half = if outcome.is_some() && !answers { OVER } else { self.keep_half(session, parting) };
        Ok((half, sent, outcome))
    }

    /// What is known of an answerer, unless it has made another reply since.
    fn parting(&self, before: Option<Parting>, sent: &[Vec<u8>], replica: ReplicaRef) -> Option<Parting> {
        const EQUAL: u8 = 0;
        const BATCH: u8 = 4;
        let kind = sent.first().and_then(|frame| kind(frame));
        let frames = Wide::of(&sent);
        match kind {
            Some(EQUAL | BATCH) if before.is_none_or(|before| before.frames != frames) => {
                Some(Parting { frames, agreed: self.replicas.get(replica).agreed })
            }
            _ => before,
        }
    }

    fn keep_half(&mut self, session: Session, parting: Option<Parting>) -> HalfRef {
        let mut state = Wide::default();
        session.hash_state(&mut state);
        parting.hash(&mut state);
        let halves = &mut self.halves;
        *self.halves_by_hash.entry(state.finish_wide()).or_insert_with(|| {
            halves.push(Some(Half { session, parting }));
            HalfRef::try_from(halves.len() - 1).expect("fewer states of a session than that")
        })
    }

    fn keep_frame(&mut self, slot: Slot, to_answerer: bool, bytes: Vec<u8>, parting: Option<Parting>) -> FrameRef {
        let frames = &mut self.frames;
        *self.frames_by_hash.entry(Wide::of(&(slot, to_answerer, &bytes, parting))).or_insert_with(|| {
            frames.push(Sent { slot, to_opener: !to_answerer, bytes, parting });
            FrameRef::try_from(frames.len() - 1).expect("fewer frames than that")
        })
    }

    fn remember(&mut self, step: Step) -> usize {
        self.taken.push(step);
        self.taken.len() - 1
    }

    /// The states of two replicas after a session without disturbance.
    pub(super) fn run_clean(
        &mut self,
        mut opener: ReplicaRef,
        mut answerer: ReplicaRef,
    ) -> Result<(ReplicaRef, ReplicaRef), Violation> {
        let node = |at| self.replicas.get(at).node;
        let slot = Slot { opener: node(opener), answerer: node(answerer), nth: UNDISTURBED };
        let opening = self.open(opener, slot)?;
        let mut halves = [self.step(opening).half, NONE];
        let mut next = self.step(opening).sent.first().copied();
        while let Some(frame) = next {
            let to_opener = self.frame(frame).to_opener;
            let (at, half) = if to_opener { (&mut opener, &mut halves[0]) } else { (&mut answerer, &mut halves[1]) };
            let delivered = self.deliver(*at, *half, frame)?;
            let step = self.step(delivered);
            (*at, *half) = (step.replica, step.half);
            next = step.sent.first().copied();
        }
        if halves[0] != OVER {
            return Err(Violation::new("a session without disturbance does not end", slot.to_string()));
        }
        Ok((opener, answerer))
    }
}

impl Sent {
    pub(super) fn receiver(&self) -> u8 {
        if self.to_opener { self.slot.opener } else { self.slot.answerer }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REQUESTS: &[&str] = &["Open", "Ask", "Batch", "More", "Close", "Abort", "Inventory", "Busy", "Cells"];
        const REPLIES: &[&str] = &["Equal", "Differs", "Busy", "Answer", "Batch", "Cells", "Refused", "Inventory"];
        let names = if self.to_opener { REPLIES } else { REQUESTS };
        let name = kind(&self.bytes).and_then(|kind| names.get(usize::from(kind))).copied().unwrap_or("a frame");
        write!(f, "{name} of {}", self.slot)
    }
}

/// The kind of the message that a frame begins with.
fn kind(frame: &[u8]) -> Option<u8> {
    let unchecked = SessionConfig::default().with(|config| config.checksum = false);
    Frame::decode(frame, &unchecked).ok().and_then(|frame| frame.payload.first().copied())
}

/// The time, which only advances for time-outs.
fn at_rest() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 0 }
}
