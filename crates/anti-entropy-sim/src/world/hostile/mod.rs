//! Hostile members, and the time in which the others have to exchange what they hold all the same.
//!
//! A hostile node has an engine like any other. What it does besides is done by the simulator in its name: it holds back or repeats
//! what the engine sends, writes, and sends frames that it has made itself.

mod crafted;
mod siege;
mod strain;

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::Continuity;
use anti_entropy::SessionConfig;
use anti_entropy::clock::ReplicaId;
use anti_entropy::session::{Frame, FrameKind};

use self::crafted::{Differs, differs};
pub(super) use self::siege::Siege;
use super::World;
use super::queue::What;
use super::replies::{Header, push_frame};
use crate::history::{NodeIndex, OpKind, Opened};
use crate::random::stream;
use crate::scenario::{Abuse, Operation};
use crate::subject::Subject;

/// The stream of draws for hostile nodes.
const STREAM: u64 = 0x0068_6f73_7469_6c65;

/// At how many keys it writes large values. If it were all, what members legitimately hold would take longer to send than any bound
/// in rounds allows.
pub(super) const LARGE_KEYS: u32 = 3;
/// How many siblings a node writes at one key.
const SIBLINGS: u32 = 60;
/// How often it makes up ids for pieces, for each peer. What it takes to compute with more is not what is tested.
const INVENTIONS: u32 = 8;
/// How many deletes it pushes in a frame.
const TINY_PUSHES: u64 = 100;

/// What a hostile node does, and what it knows for that.
pub(super) struct Hostile {
    does: BTreeSet<Abuse>,
    /// The ids under which it has written.
    ids: BTreeSet<ReplicaId>,
    random: fastrand::Rng,
    /// When the next frame to each peer may be sent.
    free_at: BTreeMap<NodeIndex, u64>,
    /// The sessions that it has opened by hand, by the names of the replies that they wait for.
    sessions: BTreeMap<u64, Crafted>,
    /// How often each reply was sent to it, by who sent it and a hash of the frame.
    heard: BTreeMap<(NodeIndex, u64), u64>,
    siblings: u32,
    /// How often it has made up ids for pieces, for all peers together.
    inventions: u32,
    /// An id that it has made up, and up to which counter it has used it.
    made_up: (ReplicaId, u64),
}

/// A session that was opened by hand.
#[derive(Clone, Copy)]
struct Crafted {
    with: NodeIndex,
    purpose: Purpose,
    /// The number that it was opened under.
    number: u64,
    /// The number that the answerer has given it.
    nonce: Option<u64>,
    /// How many replies have come.
    answers: u32,
    heard_at: u64,
}

/// What a session by hand is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is kept.
    Hold,
    /// It asks for everything, and again and again for the first of it.
    Drain,
    /// It is given up when it is answered.
    Close,
    /// It is left alone when it is answered.
    Leave,
    /// It brings clocks with pieces of ids that nobody has.
    Pieces,
    /// It brings a value with as many parts as fit.
    Parts,
}

impl Hostile {
    fn ids(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.ids.iter().copied()
    }
}

impl<S: Subject> World<S> {
    /// Whether a node does this at present.
    pub(super) fn does(&self, at: NodeIndex, abuse: Abuse) -> bool {
        self.hostile.get(&at).is_some_and(|hostile| hostile.does.contains(&abuse))
    }

    pub(super) fn turn_hostile(&mut self, at: NodeIndex, does: &[Abuse]) {
        let mut random = stream(self.seed, &[STREAM, u64::from(at)]);
        let made_up = (ReplicaId::from_u128(random.u128(..)), 0);
        let hostile = self.hostile.entry(at).or_insert_with(|| Hostile {
            does: BTreeSet::new(),
            ids: BTreeSet::new(),
            random,
            free_at: BTreeMap::new(),
            sessions: BTreeMap::new(),
            heard: BTreeMap::new(),
            siblings: 0,
            inventions: 0,
            made_up,
        });
        let new: Vec<Abuse> = does.iter().copied().filter(|abuse| hostile.does.insert(*abuse)).collect();
        self.note_id(at);
        self.agreement.outside.insert(at);
        self.agreement.set(at, None);
        for abuse in new {
            self.queue.push(self.now, What::Abuse { node: at, abuse });
        }
    }

    fn note_id(&mut self, at: NodeIndex) {
        let id = self.replica(at).map(|replica| replica.context().own_id());
        if let Some(hostile) = self.hostile.get_mut(&at) {
            hostile.ids.extend(id);
        }
    }

    /// Ends what a node does, before the scenario ends.
    pub(super) fn calm_down(&mut self, at: NodeIndex, does: &[Abuse]) {
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        hostile.does.retain(|abuse| !does.contains(abuse));
        if hostile.does.is_empty() {
            self.hostile.remove(&at);
        }
    }

    /// Does something once, and again after its period.
    pub(super) fn abuse(&mut self, at: NodeIndex, abuse: Abuse) {
        let Some(period) = self.period_us(abuse).filter(|_| self.does(at, abuse)) else { return };
        self.queue.push(self.now + period, What::Abuse { node: at, abuse });
        let node = &self.nodes[at as usize];
        if !node.is_up() || node.pauses > 0 {
            return;
        }
        match abuse {
            Abuse::AlwaysMore => self.write_something(at, self.scenario.keys),
            Abuse::LargestValues => self.write_something(at, LARGE_KEYS.min(self.scenario.keys)),
            Abuse::MostSiblings => self.write_sibling(at),
            Abuse::LongestClocks => {
                self.write_something(at, self.scenario.keys);
                self.crash(at);
                self.come_back(at, Opened::Restarted, Continuity::Unproven);
                self.note_id(at);
            }
            Abuse::SaysEqual => self.announce_for_others(at),
            _ => {
                for to in self.nodes[at as usize].peers.clone() {
                    self.abuse_peer(at, to, abuse);
                }
            }
        }
    }

    fn abuse_peer(&mut self, at: NodeIndex, to: NodeIndex, abuse: Abuse) {
        match abuse {
            Abuse::OpensAndCloses => {
                let Some(hostile) = self.hostile.get_mut(&at) else { return };
                let purpose = if hostile.random.bool() { Purpose::Close } else { Purpose::Leave };
                self.open_by_hand(at, to, purpose);
            }
            Abuse::RepeatsRequests => self.go_on(at, to, Purpose::Drain),
            Abuse::HoldsTheSlot => self.go_on(at, to, Purpose::Hold),
            Abuse::MostPieces if self.may_invent(at) => self.open_by_hand(at, to, Purpose::Pieces),
            Abuse::EmptyParts => self.open_by_hand(at, to, Purpose::Parts),
            Abuse::Floods => {
                let Some(hostile) = self.hostile.get_mut(&at) else { return };
                let frame = crafted::nonsense(&mut hostile.random);
                self.utter(at, to, frame);
            }
            Abuse::TinyPushes => self.push_tiny(at, to),
            _ => {}
        }
    }

    /// How long it takes until something is done again; `None` if it is not done by itself.
    fn period_us(&self, abuse: Abuse) -> Option<u64> {
        const MS: u64 = 1_000;
        Some(match abuse {
            Abuse::SlowReader | Abuse::SlowWriter | Abuse::NeverAcknowledges => return None,
            Abuse::Floods => 10 * MS,
            Abuse::OpensAndCloses => 20 * MS,
            Abuse::RepeatsRequests => 50 * MS,
            Abuse::AlwaysMore | Abuse::MostSiblings => 100 * MS,
            Abuse::TinyPushes => 200 * MS,
            Abuse::LargestValues | Abuse::MostPieces | Abuse::EmptyParts => 1_000 * MS,
            Abuse::LongestClocks => 1_500 * MS,
            Abuse::SaysEqual => self.interval_us() / 4,
            Abuse::HoldsTheSlot => self.idle_us() / 2,
        })
    }

    fn idle_us(&self) -> u64 {
        u64::try_from(self.config.session.idle_timeout.as_micros()).unwrap_or(u64::MAX)
    }

    /// Writes at one of the first keys.
    fn write_something(&mut self, at: NodeIndex, keys: u32) {
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        let key = hostile.random.u32(0..keys);
        self.operate(&self.operation_of(at, OpKind::Write, key));
    }

    /// Writes what replaces nothing but what was there at first.
    fn write_sibling(&mut self, at: NodeIndex) {
        let Some(hostile) = self.hostile.get_mut(&at).filter(|hostile| hostile.siblings < SIBLINGS) else { return };
        hostile.siblings += 1;
        if hostile.siblings == 1 {
            self.operate(&self.operation_of(at, OpKind::Read, 0));
        }
        self.operate(&self.operation_of(at, OpKind::WriteSeen, 0));
    }

    /// An operation of a client that is the hostile node itself.
    fn operation_of(&self, at: NodeIndex, op: OpKind, key: u32) -> Operation {
        Operation { at_us: self.now, process: 3 * self.scenario.nodes + at, node: at, op, keys: vec![key] }
    }

    /// Tells each peer, in the name of each other one, that they are equal.
    fn announce_for_others(&mut self, at: NodeIndex) {
        let peers = self.nodes[at as usize].peers.clone();
        for &to in &peers {
            let Some(engine) = self.nodes[to as usize].engine.as_mut() else { continue };
            let state = engine.announcement();
            for &from in peers.iter().filter(|from| **from != to) {
                self.queue.push(self.now + 1, What::Announcement { to, from, state });
            }
        }
    }

    /// Whether it has not made up ids often enough.
    fn may_invent(&mut self, at: NodeIndex) -> bool {
        let most = INVENTIONS * u32::try_from(self.nodes[at as usize].peers.len()).unwrap_or(1);
        let Some(hostile) = self.hostile.get_mut(&at) else { return false };
        hostile.inventions += 1;
        hostile.inventions <= most
    }

    fn push_tiny(&mut self, at: NodeIndex, to: NodeIndex) {
        let schema_id = self.config.session.schema_id;
        let own = self.replica(at).map(|replica| (replica.context().own_id(), replica.context().own_counter()));
        // A delete has to name something that it replaces.
        let Some((own, 1..)) = own else { return self.write_something(at, self.scenario.keys) };
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        let (replica, made) = hostile.made_up;
        // All peers get the same, so that each has all before it.
        let first_peer = self.nodes[at as usize].peers.first();
        let from = if first_peer == Some(&to) { made } else { made.saturating_sub(TINY_PUSHES) };
        hostile.made_up.1 = from + TINY_PUSHES;
        let pushes: Vec<u8> = (1..=TINY_PUSHES)
            .flat_map(|more| crafted::delete(replica, from + more, own, &mut hostile.random))
            .collect();
        self.utter(at, to, push_frame(schema_id, &pushes));
    }

    /// Opens a session by hand, or makes the next request in the one that there is.
    fn go_on(&mut self, at: NodeIndex, to: NodeIndex, purpose: Purpose) {
        let (patience, now) = (self.idle_us(), self.now);
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        hostile.sessions.retain(|_, session| session.heard_at + patience >= now);
        let mut known = hostile.sessions.iter().filter(|(_, known)| known.with == to && known.purpose == purpose);
        let Some((reply, known)) = known.next().map(|(reply, known)| (*reply, *known)) else {
            return self.open_by_hand(at, to, purpose);
        };
        if known.nonce.is_none() {
            return;
        }
        match purpose {
            Purpose::Hold => self.request(at, reply, known.answers, &crafted::ask()),
            _ => self.request(at, reply, 1, &crafted::nothing()),
        }
    }

    fn open_by_hand(&mut self, at: NodeIndex, with: NodeIndex, purpose: Purpose) {
        let schema_id = self.config.session.schema_id;
        let heard_at = self.now;
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        let number = hostile.random.u64(..);
        let open = crafted::open(schema_id, &mut hostile.random);
        hostile.sessions.insert(number, Crafted { with, purpose, number, nonce: None, answers: 0, heard_at });
        self.request(at, number, 0, &open);
    }

    /// Makes a request in the session that waits for this reply. From then on it waits for another one.
    fn request(&mut self, at: NodeIndex, reply: u64, exchange: u32, message: &[u8]) {
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        let Some(session) = hostile.sessions.remove(&reply) else { return };
        hostile.sessions.insert(session.number ^ crafted::tag(message), session);
        let header = Header { kind: Header::REQUEST, session: session.nonce.unwrap_or(session.number), exchange };
        self.utter_all(at, session.with, &header, message);
    }

    /// Hears what was sent to a hostile node. Returns whether that is for a session by hand, and nothing for its engine.
    pub(super) fn overhears(&mut self, at: NodeIndex, frame: &[u8]) -> bool {
        let wait = self.idle_us() / 3;
        let now = self.now;
        let Some(hostile) = self.hostile.get_mut(&at) else { return false };
        if hostile.does.contains(&Abuse::SlowReader) {
            self.nodes[at as usize].busy_until = now + wait;
        }
        let Ok(frame) = Frame::decode(frame, &SessionConfig::default()) else { return false };
        let Some(session) = hostile.sessions.get_mut(&frame.session) else { return false };
        session.heard_at = now;
        session.answers = session.answers.max(frame.exchange + 1);
        match differs(&frame) {
            Differs::Yes(nonce) if session.nonce.is_none() => {
                session.nonce = Some(nonce);
                let purpose = session.purpose;
                self.go_on_by_hand(at, frame.session, purpose);
            }
            Differs::Yes(_) | Differs::Goes => {}
            Differs::Over => drop(hostile.sessions.remove(&frame.session)),
        }
        true
    }

    fn go_on_by_hand(&mut self, at: NodeIndex, reply: u64, purpose: Purpose) {
        let Some(hostile) = self.hostile.get_mut(&at) else { return };
        let message = match purpose {
            Purpose::Hold | Purpose::Leave => return,
            Purpose::Close => crafted::abort(),
            Purpose::Drain => crafted::nothing(),
            Purpose::Parts => crafted::empty_parts(hostile.made_up.0),
            Purpose::Pieces => crafted::pieces(&mut hostile.random),
        };
        self.request(at, reply, 1, &message);
    }

    /// Sends what the engine of a hostile node wants to send, or not, or later.
    pub(super) fn speak(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) {
        let (wait, now) = (self.idle_us() / 3, self.now);
        let Some(hostile) = self.hostile.get_mut(&from) else { return };
        // Otherwise it would carry what it keeps others from telling each other.
        if hostile.does.contains(&Abuse::SaysEqual) {
            return;
        }
        if let Ok(decoded) = Frame::decode(&frame, &SessionConfig::default()) {
            if hostile.does.contains(&Abuse::NeverAcknowledges) && crafted::acknowledges(&decoded) {
                return;
            }
            // A peer gives up the session that is held when another one is opened.
            let holds = [Abuse::HoldsTheSlot, Abuse::RepeatsRequests].iter().any(|abuse| hostile.does.contains(abuse));
            if holds && decoded.kind == FrameKind::Request {
                return;
            }
        }
        if hostile.does.contains(&Abuse::SlowWriter) {
            let at = hostile.free_at.get(&to).map_or(now, |free| now.max(*free));
            hostile.free_at.insert(to, at + wait);
            self.queue.push(at, What::Late { from, to, frame });
        } else {
            self.transmit(from, to, frame);
        }
    }

    fn utter_all(&mut self, from: NodeIndex, to: NodeIndex, header: &Header, message: &[u8]) {
        for frame in header.frames(message, self.config.session.max_frame_bytes) {
            self.utter(from, to, frame);
        }
    }

    /// Sends a frame that no engine has made.
    fn utter(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) {
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
        self.traffic.frames += 1;
        self.traffic.bytes += frame.len() as u64;
        self.transmit(from, to, frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Record;
    use crate::scenario::{Fault, Gossip, Scenario};
    use crate::subject::Items;
    use crate::world::Detail;

    /// Three nodes, of which the last does this from 1 s to 9 s.
    fn world(does: Abuse) -> World<Items> {
        let gossip = Gossip { idle_timeout_ms: Some(2_000), push: Some(false), ..Gossip::default() };
        let fault = Fault::Hostile { does: vec![does] };
        let scenario = Scenario::new("", 3).duration_ms(10_000).operations(30).gossip(gossip);
        World::new(&scenario.step(1_000, 9_000, [2], fault).expanded(1), 1, Items::default(), Detail::Everything)
    }

    #[test]
    fn questions_are_answered_in_a_session_that_is_held() {
        let mut world = world(Abuse::HoldsTheSlot);
        let mut answers = 0;
        while world.now < 8_000_000 {
            world.step();
            let sessions = world.hostile.values().flat_map(|hostile| hostile.sessions.values());
            answers = sessions.map(|session| session.answers).max().unwrap_or(0).max(answers);
        }
        assert!(answers >= 2, "{answers}");
    }

    /// What happens at node 0 until 9 s.
    fn records(does: Abuse) -> (World<Items>, Vec<Record>) {
        let mut world = world(does);
        world.run_until(9_000_000);
        let records = world.take_records();
        (world, records)
    }

    /// Nothing that is made by hand is refused as malformed, but for what is meant to be.
    #[test]
    fn what_is_made_by_hand_is_understood() {
        for does in Abuse::ALL.into_iter().filter(|does| *does != Abuse::Floods) {
            let (_, records) = records(does);
            let malformed =
                records.iter().find(|record| matches!(record, Record::Alarm(alarm) if alarm.alarm == "frame_refused"));
            assert_eq!(malformed, None, "{does:?}");
        }
    }

    #[test]
    fn ids_that_are_made_up_get_into_clocks() {
        let (mut world, _) = records(Abuse::MostPieces);
        let pieces = world.nodes[0].engine.as_mut().unwrap().replica().context().pieces_len();
        assert!(pieces >= 64, "{pieces}");
        let (mut world, _) = records(Abuse::LongestClocks);
        let context = world.nodes[0].engine.as_mut().unwrap().replica().context().clone();
        assert!(context.replicas_len() >= 6, "{}", context.replicas_len());
    }

    #[test]
    fn pushes_of_a_made_up_id_are_taken() {
        let mut world = world(Abuse::TinyPushes);
        world.run_until(8_000_000);
        let id = world.hostile[&2].made_up.0;
        let counter = world.nodes[0].engine.as_ref().unwrap().replica().context().max_counter(id);
        assert!(counter > 100, "{counter}");
    }

    #[test]
    fn sessions_are_opened_and_given_up() {
        let (_, records) = records(Abuse::OpensAndCloses);
        let given_up = |record: &&Record| matches!(record, Record::Session(ended) if ended.outcome.contains("gave up"));
        assert!(records.iter().filter(given_up).count() >= 3);
    }

    #[test]
    fn values_and_siblings_get_to_others() {
        let (_, records_of) = records(Abuse::MostSiblings);
        let siblings = records_of.iter().filter_map(|record| match record {
            Record::State(state) if state.node == 0 => state.keys.iter().map(|key| key.held.len()).max(),
            _ => None,
        });
        assert!(siblings.max() >= Some(20));
        let (world, _) = records(Abuse::LargestValues);
        assert!(world.counts.bytes > 1_000_000, "{:?}", world.counts);
    }

    #[test]
    fn what_is_said_in_the_name_of_others_keeps_sessions_away() {
        let sessions = |does| {
            let between = |record: &&Record| matches!(record, Record::Session(ended) if ended.node + ended.peer == 1);
            records(does).1.iter().filter(between).count()
        };
        let (fewer, usual) = (sessions(Abuse::SaysEqual), sessions(Abuse::SlowReader));
        assert!(fewer < usual, "{fewer} {usual}");
    }

    #[test]
    fn a_request_that_is_repeated_draws_its_answer_each_time() {
        let sent = |does| records(does).0.counts;
        let (repeats, leaves) = (sent(Abuse::RepeatsRequests), sent(Abuse::OpensAndCloses));
        assert!(repeats.bytes > 100 * repeats.frames, "{repeats:?} {leaves:?}");
    }

    #[test]
    fn a_batch_is_never_acknowledged() {
        let (_, records) = records(Abuse::NeverAcknowledges);
        let silent = |record: &&Record| matches!(record, Record::Session(ended) if ended.peer == 2 && ended.outcome.contains("silent"));
        assert!(records.iter().filter(silent).count() > 0);
    }
}
