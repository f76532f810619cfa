//! What runs on the engine's thread: the engine, and what says all that it does.

use std::collections::BTreeMap;

use anti_entropy::clock::{Dot, Now};
use anti_entropy::engine::Engine;
use anti_entropy::{Error, Seen, Written};
use anti_entropy_sim::history::{Acknowledged, KeyIndex, NodeIndex, OpKind, ValueHash};

use super::Item;
use super::look::{Watch, final_look};
use super::voice::Voice;
use crate::wire::{Attempt, Broken, Done, Report, Request, Tick};

/// An engine that says what it does: each change before anything else is done or sent.
pub(super) struct Driven {
    pub(super) engine: Engine<Item>,
    voice: Voice,
    watch: Watch,
    /// What each client has read last at each key.
    tokens: BTreeMap<(u32, KeyIndex), Seen>,
    broken: Option<Broken>,
    /// Whether it has said what it found when it was started.
    lives: bool,
}

/// The driver reaches for the engine once for each thing that it does: handing it a frame, letting it do what is due, and
/// asking it for what it sends. So what came of each is told before anything else is done or sent.
impl AsMut<Engine<Item>> for Driven {
    fn as_mut(&mut self) -> &mut Engine<Item> {
        self.look();
        &mut self.engine
    }
}

impl From<Driven> for Engine<Item> {
    fn from(driven: Driven) -> Self {
        driven.engine
    }
}

impl Driven {
    pub(super) fn new(engine: Engine<Item>, voice: Voice, broken: Option<Broken>) -> Self {
        let (watch, tokens) = (Watch::default(), BTreeMap::new());
        Self { engine, voice, watch, tokens, broken, lives: false }
    }

    /// Says what it holds, at first all of it, then what changed, if anything did.
    pub(super) fn look(&mut self) {
        let Some(look) = self.watch.look(self.engine.replica_mut()) else { return };
        let began = std::mem::replace(&mut self.lives, true);
        self.voice.say(if began { Report::State(look) } else { Report::Life(look) });
    }

    /// Says it after whatever has changed.
    pub(super) fn say(&mut self, report: Report) {
        self.look();
        self.voice.say(report);
    }

    pub(super) fn say_tick(&mut self, members: Vec<NodeIndex>, now: Now) {
        let (stats, context) = (self.engine.stats(), self.engine.replica().context().pieces_len());
        let oldest = self.engine.oldest_session(now).unwrap_or_default();
        let tick = Tick {
            frames: stats.frames_sent,
            bytes: stats.bytes_sent,
            value_bytes: stats.value_bytes_sent,
            sessions: self.engine.sessions_len() as u64,
            queued_frames: self.engine.queued_len() as u64,
            peers: self.engine.status(now).peers.len() as u64,
            members,
            context_pieces: context as u64,
            oldest_session_us: u64::try_from(oldest.as_micros()).unwrap_or(u64::MAX),
        };
        self.say(Report::Tick(tick));
    }

    pub(super) fn say_end(&mut self) {
        let end = final_look(self.engine.replica_mut());
        self.say(Report::End(end));
    }

    /// Does what a client asks for, and says before what it is about to do, so that a node that is killed meanwhile has
    /// said it.
    pub(super) fn perform(&mut self, request: &Request, now: Now) {
        self.look();
        let read = match self.engine.replica().read(&request.key) {
            Ok(read) => read,
            Err(error) => return self.refuse(request, &error),
        };
        let token = (request.process, request.key);
        let seen = match request.op {
            OpKind::Read => {
                let dots = read.seen().dots().iter().copied().map(Into::into).collect();
                self.tokens.insert(token, read.seen());
                return self.done(request, Acknowledged::Yes, None, dots);
            }
            OpKind::WriteSeen | OpKind::DeleteSeen => self.tokens.get(&token).cloned(),
            _ => Some(read.seen()),
        };
        // Who has read nothing replaces nothing; a delete that finds nothing is none.
        let Some(seen) = seen else { return self.done(request, Acknowledged::No, None, Vec::new()) };
        let finds = read.siblings().iter().any(|version| seen.dots().contains(&version.dot));
        let value = matches!(request.op, OpKind::Write | OpKind::WriteSeen).then(|| request.value.clone()).flatten();
        if value.is_none() && !finds {
            return self.done(request, Acknowledged::Yes, None, Vec::new());
        }
        let context = self.engine.replica().context();
        let dot = Dot { replica: context.own_id(), counter: context.own_counter() + 1 };
        self.attempt(request, dot, value.as_ref(), &seen);
        let result = self.commit(request.key, value, &seen, now);
        self.answer(request, dot, result);
    }

    fn attempt(&mut self, request: &Request, dot: Dot, value: Option<&String>, seen: &Seen) {
        self.voice.say(Report::Attempt(Attempt {
            op_id: request.op_id,
            process: request.process,
            op: request.op,
            key: request.key,
            dot: dot.into(),
            value: value.map(|value| ValueHash::of_value(&Item::new(request.key, value.clone()))),
            seen: seen.dots().iter().copied().map(Into::into).collect(),
        }));
    }

    fn commit(
        &mut self,
        key: KeyIndex,
        value: Option<String>,
        seen: &Seen,
        now: Now,
    ) -> Result<Option<Written>, Error> {
        let transaction = anti_entropy::Transaction::new();
        let transaction = match value {
            Some(value) if self.broken == Some(Broken::WritesAnotherValue) => {
                transaction.write_seen(Item::new(key, value + " or so"), seen)
            }
            Some(value) => transaction.write_seen(Item::new(key, value), seen),
            None => transaction.delete_seen(key, seen),
        };
        Ok(self.engine.commit(transaction, now)?.pop())
    }

    fn answer(&mut self, request: &Request, dot: Dot, result: Result<Option<Written>, Error>) {
        match result {
            Ok(written) => {
                let dot = written.map_or(dot, |written| written.dot);
                self.done(request, Acknowledged::Yes, Some(dot.into()), Vec::new());
            }
            Err(Error::Store(error)) if error.may_have_changed() => {
                self.done(request, Acknowledged::Unknown, Some(dot.into()), Vec::new());
            }
            Err(error) => self.refuse(request, &error),
        }
        self.look();
    }

    fn refuse(&mut self, request: &Request, error: &Error) {
        let alarm =
            if matches!(error, Error::Store(_) | Error::Stopped { .. }) { "store_failed" } else { "operation_failed" };
        self.voice.say(Report::Alarm { alarm: alarm.to_owned(), detail: error.to_string() });
        self.done(request, Acknowledged::No, None, Vec::new());
    }

    fn done(
        &mut self,
        request: &Request,
        ok: Acknowledged,
        dot: Option<anti_entropy_sim::history::WriteName>,
        seen: Vec<anti_entropy_sim::history::WriteName>,
    ) {
        let Request { op_id, process, op, key, .. } = *request;
        self.voice.say(Report::Done(Done { op_id, process, op, key, ok, dot, seen }));
    }
}
