//! Sessions: what two replicas compared, and the certified batches that they make of it, both ways, as the session layer does.

use alloc::vec::Vec;

use super::Item;
use super::ghost::Violation;
use super::odds::Fault;
use super::session::{BatchMessage, Message, Session};
use super::world::{Node, World, open_store};
use crate::clock::Seed;
use crate::replica::{Continuity, Replica};
use crate::summary::{Difference, Fingerprint, TruncatedFingerprint, Width};
use crate::sync::transfer::{BatchLimits, BatchPlan, Unreadable};
use crate::sync::wire::{Batch, BatchBase, Inventory};
use crate::{KeyHash, KeyRange};

/// How a batch is made.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Probability that the comparison missed a difference.
    pub(super) miss: f64,
    /// Whether it may take in all that is left.
    pub(super) whole: bool,
    /// Whether content is sent that the receiver may hold.
    pub(super) inline: bool,
    pub(super) base: BatchBase,
}

impl World {
    pub(super) fn open_somewhere(&mut self, opener: usize, answerer: usize) {
        let session = self.open_session(opener, answerer);
        if self.random.bool() {
            self.compare(session, 1);
        }
        if self.chance(0.2) {
            let start = |world: &mut Self| {
                let key = world.some_key();
                Some(world.history.keys[key].1)
            };
            self.sessions[session].cursors = [start(self), start(self)];
        }
    }

    pub(super) fn open_session(&mut self, opener: usize, answerer: usize) -> usize {
        self.next_session += 1;
        self.sessions.push(Session {
            id: self.next_session,
            sides: [opener, answerer],
            lives: [None; 2],
            compared: [None, None],
            cuts: None,
            cursors: [Some(KeyHash::MIN); 2],
            unreadable: [Unreadable::default(), Unreadable::default()],
            joined: Vec::new(),
            frozen: [None, None],
        });
        let session = self.sessions.len() - 1;
        self.compare(session, 0);
        session
    }

    /// One side puts up its state for comparison.
    pub(super) fn compare(&mut self, session: usize, side: usize) {
        let is_frozen = self.has(Fault::EntriesOlderThanTheInstant);
        let session = &mut self.sessions[session];
        let node = &mut self.nodes[session.sides[side]];
        let baseline = node.replica.baseline();
        node.bases.insert((session.id, 0), baseline.clone());
        session.lives[side] = Some(node.life);
        session.compared[side] = Some(baseline);
        session.unreadable[side].before = node.replica.unreadable();
        session.cuts = match (session.cuts.take(), node.replica.cuts_if_full()) {
            (Some(theirs), Some(mine)) => Some(mine.into_iter().filter(|cut| theirs.contains(cut)).collect()),
            (theirs, mine) => theirs.or(mine),
        };
        if is_frozen {
            session.frozen[side] = frozen(node).ok();
        }
    }

    pub(super) fn answer_some(&mut self) {
        let waiting = |session: &Session| session.lives[1].is_none();
        let waiting: Vec<usize> = (0..self.sessions.len()).filter(|index| waiting(&self.sessions[*index])).collect();
        if let Some(session) = self.random.choice(&waiting) {
            self.compare(*session, 1);
        }
    }

    pub(super) fn send_some_batch(&mut self) -> Result<(), Violation> {
        let Some(session) = self.some_session() else { return Ok(()) };
        let style =
            Style { miss: self.odds.miss, whole: self.chance(0.2), inline: self.chance(0.2), base: self.some_base() };
        let sender = self.random.usize(0..2);
        let message = self.next_batch(session, sender, style)?;
        self.messages.extend(message.map(Message::Batch));
        Ok(())
    }

    pub(super) fn send_some_reply(&mut self) -> Result<(), Violation> {
        let Some(session) = self.some_session() else { return Ok(()) };
        let joined = &self.sessions[session].joined;
        if joined.is_empty() {
            return Ok(());
        }
        let answered = self.random.usize(0..joined.len());
        let from = if self.random.bool() { joined[answered].range.lo() } else { joined[answered].next };
        let style = Style { miss: 0.0, whole: self.random.bool(), inline: self.chance(0.2), base: self.some_base() };
        let message = self.reply(session, answered, from, style)?;
        self.messages.extend(message.map(Message::Batch));
        Ok(())
    }

    pub(super) fn some_base(&mut self) -> BatchBase {
        let nothing = self.random_of_bases.f64() < self.odds.against_nothing;
        if nothing { BatchBase::Nothing } else { BatchBase::Snapshot }
    }

    /// One of the latest sessions in which both sides were compared.
    fn some_session(&mut self) -> Option<usize> {
        let ready = (0..self.sessions.len()).rev().filter(|index| self.sessions[*index].lives[1].is_some());
        let latest: Vec<usize> = ready.take(4).collect();
        self.random.choice(&latest).copied()
    }

    /// The next batch of one side, relative to what the other side compared (rule 4).
    pub(super) fn next_batch(
        &mut self,
        session: usize,
        sender: usize,
        style: Style,
    ) -> Result<Option<BatchMessage>, Violation> {
        let Some(range) = self.next_range(session, sender, style.whole) else { return Ok(None) };
        let session = &mut self.sessions[session];
        let node = &mut self.nodes[session.sides[sender]];
        let (Some(mine), Some(theirs)) = (&session.compared[sender], &session.compared[1 - sender]) else {
            return Ok(None);
        };
        if session.lives[sender] != Some(node.life) {
            return Ok(None);
        }
        let random = &mut self.random;
        let limits = some_limits(style.whole, random);
        // An answerer says what it has seen if that is short.
        let seen = theirs.context.pieces(&KeyRange::ALL);
        let seen = random.bool().then_some(&seen);
        let mut plan = BatchPlan {
            range,
            base: style.base,
            differences: Vec::new(),
            compared: Some(mine),
            inventory: &Inventory::new(),
            seen,
            inline: style.inline,
            cuts: session.cuts.as_deref(),
            limits,
            unreadable: &session.unreadable[1 - sender],
        };
        let batch = if let Some(frozen) = &mut session.frozen[sender] {
            plan.differences = frozen.summary().diff_range(&theirs.summary, &range).collect();
            plan.compared = None;
            let batch = frozen.make_batch(&plan)?;
            Batch { clocks: node.replica.context().pieces(&batch.range()), ..batch }
        } else {
            let found = mine.summary.diff_range(&theirs.summary, &range).filter(|_| random.f64() >= style.miss);
            plan.differences = found.map(|found| if style.inline { found } else { shortened(&found) }).collect();
            node.replica.make_batch(&plan)?
        };
        session.cursors[sender] = batch.range().hi();
        let (id, base) = (session.id, (session.id, 0));
        let (from, to) = (session.sides[sender], session.sides[1 - sender]);
        let message = BatchMessage { from, to, session: id, sender, sequence: 0, base, batch, carried: Vec::new() };
        Ok(Some(self.send(message)))
    }

    /// The answer to a batch that was taken in, relative to its sender's state when it made it (rule 6).
    pub(super) fn reply(
        &mut self,
        session: usize,
        answered: usize,
        from: KeyHash,
        style: Style,
    ) -> Result<Option<BatchMessage>, Violation> {
        let session = &mut self.sessions[session];
        let answered = &mut session.joined[answered];
        let sender = 1 - answered.sender;
        let node = &mut self.nodes[session.sides[sender]];
        let Some(rest) = KeyRange::new(from, answered.range.hi()) else { return Ok(None) };
        if session.lives[sender] != Some(node.life) {
            return Ok(None);
        }
        let replica = answered.frozen.as_mut().unwrap_or(&mut node.replica);
        let differences: Vec<Difference> = replica.summary().diff_range(&answered.joined.theirs, &rest).collect();
        if differences.is_empty() && replica.context().pieces(&answered.range) == answered.clocks {
            return Ok(None);
        }
        let nothing = Inventory::new();
        let plan = BatchPlan {
            range: rest,
            base: style.base,
            differences,
            compared: None,
            inventory: if style.inline { &nothing } else { &answered.joined.inventory },
            seen: None,
            inline: style.inline,
            cuts: session.cuts.as_deref(),
            limits: some_limits(style.whole, &mut self.random),
            unreadable: &session.unreadable[1 - sender],
        };
        let mut batch = replica.make_batch(&plan)?;
        if answered.frozen.is_some() {
            batch.clocks = node.replica.context().pieces(&batch.range());
        }
        answered.next = batch.range().hi().unwrap_or(answered.range.lo());
        let (id, base) = (session.id, (session.id, answered.sequence));
        let (from, to) = (session.sides[sender], session.sides[1 - sender]);
        let message = BatchMessage { from, to, session: id, sender, sequence: 0, base, batch, carried: Vec::new() };
        Ok(Some(self.send(message)))
    }

    /// Gives a batch its number, keeps the sender's state for the reply, and adds what the sender knows at this instant.
    fn send(&mut self, mut message: BatchMessage) -> BatchMessage {
        self.next_sequence += 1;
        message.sequence = self.next_sequence;
        let node = &mut self.nodes[message.from];
        node.bases.insert((message.session, message.sequence), node.replica.baseline());
        message.carried.clone_from(&node.ghost.known);
        message
    }

    /// From the cursor to somewhere behind it: the top, a key's own hash, or a short boundary between two keys.
    fn next_range(&mut self, session: usize, sender: usize, whole: bool) -> Option<KeyRange> {
        let lo = self.sessions[session].cursors[sender]?;
        let rest = KeyRange::new(lo, None)?;
        if let Some(cuts) = &self.sessions[session].cuts {
            let ahead: Vec<KeyHash> = cuts.iter().copied().filter(|cut| lo < *cut).collect();
            return KeyRange::new(lo, self.random.choice(&ahead).copied().filter(|_| !whole));
        }
        let context = self.nodes[self.sessions[session].sides[sender]].replica.context();
        let end_of_piece = context.cuts().find(|cut| lo < *cut).filter(|_| self.odds.cut_at_pieces);
        let keys: Vec<usize> = self.history.keys_in(rest).collect();
        let chosen = self.random.usize(0..=keys.len());
        let hi = keys.get(chosen).filter(|_| !whole).map(|key| {
            let hash = self.history.keys[*key].1;
            let below = key.checked_sub(1).map_or(KeyHash::MIN, |below| self.history.keys[below].1).max(lo);
            if self.random.bool() { hash } else { below.boundary_before(hash) }
        });
        let hi = match (hi.filter(|hi| lo < *hi), end_of_piece) {
            (Some(hi), Some(end)) => Some(hi.min(end)),
            (hi, end) => hi.or(end),
        };
        KeyRange::new(lo, hi)
    }
}

/// What the comparison says of a difference: the opener learns short fingerprints, or whole ones the second time.
fn shortened(difference: &Difference) -> Difference {
    let short = |fingerprint: Fingerprint| TruncatedFingerprint::new(&fingerprint, Width::Short);
    let theirs = difference.theirs.and_then(|theirs| theirs.full()).map(short);
    match (difference.ours, theirs) {
        // As a sketch finds them.
        (None, Some(theirs)) => Difference::under(difference.key.prefix_u64(), theirs),
        (ours, theirs) => Difference::at(difference.key, ours, theirs),
    }
}

fn some_limits(whole: bool, random: &mut fastrand::Rng) -> BatchLimits {
    let max_entries = if whole || random.bool() { usize::MAX } else { random.usize(1..4) };
    let max_bytes = if whole || random.bool() { usize::MAX } else { random.usize(1..400) };
    BatchLimits { max_entries, max_bytes, ..BatchLimits::NONE }
}

/// A replica that stays what this one is now.
pub(super) fn frozen(node: &Node) -> Result<Replica<Item>, Violation> {
    open_store(node.disk.copy(), Seed::from_bytes([0; 32]), Continuity::Vouched, None)
}
