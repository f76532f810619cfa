//! What becomes of messages: late, twice, out of order or never delivered, and complete sessions without any of that.

use alloc::collections::BTreeSet;

use super::exchange::{Style, frozen};
use super::ghost::Violation;
use super::odds::Fault;
use super::reading;
use super::session::{BatchMessage, JoinedBatch, Message};
use super::world::World;
use crate::refusal::Refusal;
use crate::sync::transfer::Applied;
use crate::sync::wire::BatchBase;
use crate::sync::wire::message::Takes;
use crate::{KeyHash, KeyRange};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Joined,
    MissingContent,
    /// It can be sent again without what could not be read.
    Unreadable,
    Refused,
}

impl World {
    pub(super) fn deliver_some(&mut self) -> Result<(), Violation> {
        let Some(last) = self.messages.len().checked_sub(1) else { return Ok(()) };
        let index = if self.chance(self.odds.reorder) {
            self.random.usize(0..=last)
        } else {
            // Mostly the latest, or one of the few before it.
            (0..last).rev().find(|_| self.random.f64() < 0.4).map_or(last, |index| index + 1)
        };
        let message =
            if self.chance(self.odds.repeat) { self.messages[index].clone() } else { self.messages.remove(index) };
        self.receive(&message)
    }

    pub(super) fn receive(&mut self, message: &Message) -> Result<(), Violation> {
        match message {
            Message::Batch(batch) => self.receive_batch(batch).map(|_| ()),
            Message::Push(push) => self.receive_push(push),
        }
    }

    fn receive_batch(&mut self, message: &BatchMessage) -> Result<Delivery, Violation> {
        let now = self.now(message.to);
        let mut batch = message.batch.clone();
        let (range, sender, to) = (batch.range(), message.sender, message.to);
        let whole = batch.base == BatchBase::Nothing;
        let listed: BTreeSet<KeyHash> = batch.changes.iter().map(|change| change.key()).collect();
        if self.has(Fault::ClockLaterThanTheInstant) {
            batch.clocks = self.nodes[message.from].replica.context().pieces(&range);
        }
        let clocks = batch.clocks.clone();
        let keeps_old = self.has(Fault::ReplyWithOldEntriesAndNewClock);
        let node = &mut self.nodes[to];
        // A whole batch is relative to nothing that a life could have taken with it: it holds after a restart as well.
        let base = node.bases.get(&message.base).cloned().or_else(|| whole.then(|| node.replica.baseline()));
        let Some(base) = base else { return Ok(Delivery::Refused) };
        let frozen = keeps_old.then(|| frozen(node)).transpose()?;
        let (replica, reads_new) = (&mut node.replica, !node.is_old);
        let applied = reading(reads_new, || replica.apply(batch, &base, now))?;
        self.hear_alarms(to)?;
        let joined = match applied {
            Applied::Joined(joined) => joined,
            Applied::Unreadable(keys) => {
                self.stats.left_out += keys.len() as u64;
                if let Some(session) = self.sessions.iter_mut().find(|session| session.id == message.session) {
                    session.unreadable[1 - sender].now.extend(keys);
                }
                self.check(to)?;
                return Ok(if reads_new { Delivery::Refused } else { Delivery::Unreadable });
            }
            Applied::Rejected(rejection) => {
                self.judge(&rejection)?;
                self.check(to)?;
                let missing = rejection == Refusal::MissingContent;
                return Ok(if missing { Delivery::MissingContent } else { Delivery::Refused });
            }
        };
        self.stats.joined += 1;
        self.stats.joined_whole += u64::from(whole);
        self.stats.died_unlisted += joined.changed.iter().filter(|key| whole && !listed.contains(key)).count() as u64;
        let node = &mut self.nodes[to];
        let left_out: BTreeSet<KeyHash> = joined.withheld.iter().map(|withheld| withheld.key).collect();
        for key in self.history.keys_in(range) {
            if !left_out.contains(&self.history.keys[key].1) {
                node.ghost.known[key] |= message.carried[key];
            }
        }
        if let Some(session) = self.sessions.iter_mut().find(|session| session.id == message.session) {
            let takes = Takes { max_message_bytes: u64::MAX, unreadable: session.unreadable[sender].before.clone() };
            node.replica.note_range(&range, &joined.withheld, usize::MAX, &takes);
            let (sequence, next) = (message.sequence, range.lo());
            session.joined.push(JoinedBatch { sender, sequence, range, clocks, joined, next, frozen });
        }
        self.check(to)?;
        Ok(Delivery::Joined)
    }

    /// A complete session, as the session layer runs it.
    pub(super) fn synchronise(&mut self, opener: usize, answerer: usize) -> Result<(), Violation> {
        let [mine, theirs] = [opener, answerer].map(|node| self.state(node));
        let equality = mine.equality(&theirs);
        plant!(let equality = equality(equality, mine.seen.root, theirs.seen.root));
        if equality.is_some() {
            return Ok(());
        }
        self.compare_claims(opener, answerer)?;
        let session = self.open_session(opener, answerer);
        self.compare(session, 1);
        let mut style = Style { miss: 0.0, whole: self.random.bool(), inline: false, base: BatchBase::Snapshot };
        while let Some(cursor) = self.sessions[session].cursors[0] {
            style.base = self.some_base();
            let Some(message) = self.next_batch(session, 0, style)? else { return Ok(()) };
            match self.receive_batch(&message)? {
                Delivery::Joined => {
                    self.answer_fully(session, message.batch.range(), style.whole)?;
                    style.inline = false;
                }
                Delivery::MissingContent if !style.inline => {
                    self.sessions[session].cursors[0] = Some(cursor);
                    style.inline = true;
                }
                Delivery::Unreadable => self.sessions[session].cursors[0] = Some(cursor),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Answers the batch that was taken in last, in as many batches as it takes.
    fn answer_fully(&mut self, session: usize, range: KeyRange, whole: bool) -> Result<(), Violation> {
        let answered = self.sessions[session].joined.len() - 1;
        let (mut from, mut inline) = (range.lo(), false);
        loop {
            let style = Style { miss: 0.0, whole, inline, base: self.some_base() };
            let Some(message) = self.reply(session, answered, from, style)? else { break };
            match (self.receive_batch(&message)?, message.batch.range().hi()) {
                (Delivery::Joined, Some(hi)) if Some(hi) != range.hi() => from = hi,
                (Delivery::MissingContent, _) if !inline => inline = true,
                (Delivery::Unreadable, _) => {}
                _ => break,
            }
        }
        Ok(())
    }
}
