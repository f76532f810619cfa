//! A few replicas, what is on its way between them, and a run from the first random step to the healed end.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::disk::Disk;
use super::ghost::{Events, Ghost, History, Violation};
use super::odds::{Boost, Bug, Fault, Odds, Op};
use super::session::{BaseId, Message, Session};
use super::{Item, Stats};
use crate::clock::{Context, Now, Seed};
use crate::mutant::with;
use crate::replica::{Continuity, LastWriterWins, Marker, MemoryStore, Opening, Replica, ReplicaConfig, Seen};
use crate::sync::session::{SessionConfig, state_of};
use crate::sync::transfer::Baseline;
use crate::sync::wire::message::{Equality, State};

/// A replica and what the model keeps beside it.
pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) replica: Replica<Item>,
    pub(super) ghost: Ghost,
    /// The ghost of what is durable.
    pub(super) durable: Ghost,
    /// What had been seen at the last check.
    pub(super) context: Context,
    /// Baselines that batches from peers can name. They end with the life in which they were taken.
    pub(super) bases: BTreeMap<BaseId, Baseline>,
    pub(super) tokens: Vec<Token>,
    pub(super) backups: Vec<Backup>,
    /// How often it was opened.
    pub(super) life: u32,
    /// The seed that gave the present id.
    pub(super) seed: Seed,
    /// What its last closing in order returned; used up by the opening after it.
    pub(super) closed_with: Option<Marker>,
    /// Whether it is of an older release, and cannot read values of the new one.
    pub(super) is_old: bool,
    /// How far its wall clock is off.
    skew_ms: u64,
}

/// What an application read, and keeps for a later write.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) key: usize,
    pub(super) seen: Seen,
    pub(super) events: Events,
}

#[derive(Clone)]
pub(super) struct Backup {
    pub(super) store: MemoryStore,
    pub(super) ghost: Ghost,
    pub(super) id: crate::clock::ReplicaId,
    pub(super) counter: u64,
    /// What the last closing before it returned.
    pub(super) marker: Option<Marker>,
    /// Whether it was made of the closed store.
    pub(super) closed: bool,
}

pub(super) struct World {
    pub(super) random: fastrand::Rng,
    pub(super) random_of_bases: fastrand::Rng,
    /// Draws what a replica writes that was put back without notice, apart from all else as well.
    pub(super) random_of_copies: fastrand::Rng,
    pub(super) bug: Bug,
    pub(super) odds: Odds,
    pub(super) history: History,
    pub(super) nodes: Vec<Node>,
    pub(super) sessions: Vec<Session>,
    pub(super) messages: Vec<Message>,
    pub(super) next_session: u32,
    pub(super) next_sequence: u32,
    /// Whether a store was wiped or rolled back: then cuts may stay for good.
    pub(super) rolled_back: bool,
    /// The replica whose store has just been rolled back in a way that it has to find out.
    pub(super) unnoticed: Option<usize>,
    /// What it has written since, as keys and events.
    pub(super) in_doubt: Vec<(usize, usize)>,
    pub(super) stats: Stats,
    step: u32,
}

/// One run from a seed, with a bug planted or none.
pub(super) fn run(seed: u64, boost: &Boost, bug: Bug) -> Result<Stats, Violation> {
    match bug {
        Bug::InTheCore(planted) => with(Some(planted), || run_world(seed, boost, bug)),
        _ => run_world(seed, boost, bug),
    }
}

fn run_world(seed: u64, boost: &Boost, bug: Bug) -> Result<Stats, Violation> {
    let mut world = World::new(seed, boost, bug)?;
    let explain = |world: &World, mut violation: Violation| {
        violation.detail = format!("seed {seed}, step {}: {}", world.step, violation.detail);
        violation
    };
    for _ in 0..world.odds.steps {
        world.step += 1;
        let op = world.odds.choose(&mut world.random);
        world.perform(op).map_err(|violation| explain(&world, violation))?;
    }
    world.heal().map_err(|violation| explain(&world, violation))?;
    Ok(world.stats)
}

impl World {
    fn new(seed: u64, boost: &Boost, bug: Bug) -> Result<Self, Violation> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut random_of_bases = fastrand::Rng::with_seed(!seed);
        let odds = Odds::swarm(boost, bug, &mut random, &mut random_of_bases);
        let mut world = Self {
            history: History::new(odds.keys),
            odds,
            random,
            random_of_bases,
            random_of_copies: fastrand::Rng::with_seed(seed.rotate_left(32) ^ 0xc0b1),
            bug,
            nodes: Vec::new(),
            sessions: Vec::new(),
            messages: Vec::new(),
            next_session: 0,
            next_sequence: 0,
            rolled_back: false,
            unnoticed: None,
            in_doubt: Vec::new(),
            stats: Stats::default(),
            step: 0,
        };
        for _ in 0..world.odds.replicas {
            world.add_node()?;
        }
        Ok(world)
    }

    pub(super) fn add_node(&mut self) -> Result<(), Violation> {
        let disk = if self.has(Fault::LateDurability) { Disk::lazy() } else { Disk::default() };
        let seed = self.fresh_seed();
        let replica = open(&disk, seed.clone(), Continuity::Unproven, self.odds.max_pieces)?;
        disk.sync();
        let old_releases = self.odds.old_releases;
        let is_old = old_releases > 0.0 && self.random_of_bases.f64() < old_releases;
        self.nodes.push(Node {
            is_old,
            context: replica.context().clone(),
            disk,
            replica,
            ghost: Ghost::nothing(self.history.keys.len()),
            durable: Ghost::nothing(self.history.keys.len()),
            bases: BTreeMap::new(),
            tokens: Vec::new(),
            backups: Vec::new(),
            life: 0,
            seed,
            closed_with: None,
            skew_ms: self.random.u64(0..1000),
        });
        Ok(())
    }

    pub(super) fn fresh_seed(&mut self) -> Seed {
        Seed::from_bytes(core::array::from_fn(|_| self.random.u8(..)))
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.bug == Bug::InTheDriver(fault)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.random.f64() < probability
    }

    pub(super) fn some_node(&mut self) -> usize {
        self.random.usize(0..self.nodes.len())
    }

    pub(super) fn some_key(&mut self) -> usize {
        self.random.usize(0..self.history.keys.len())
    }

    pub(super) fn two_nodes(&mut self) -> Option<(usize, usize)> {
        let (a, b) = (self.some_node(), self.some_node());
        (a != b).then_some((a, b))
    }

    pub(super) fn now(&self, at: usize) -> Now {
        let unix_ms = 1_700_000_000_000 + u64::from(self.step) + self.nodes[at].skew_ms;
        Now { elapsed: Duration::from_millis(u64::from(self.step)), unix_ms }
    }

    /// Checks the replica that moved.
    pub(super) fn check(&mut self, at: usize) -> Result<(), Violation> {
        if !self.has(Fault::LateDurability) {
            self.sync(at);
        }
        let node = &mut self.nodes[at];
        let context = node.replica.context();
        if !context.includes(&node.context) {
            let detail = format!("replica {at}: {:?} after {:?}", context, node.context);
            return Err(Violation::new("G4 forgotten", detail));
        }
        let most = node.replica.config().max_context_pieces.get() * ReplicaConfig::PIECES_OF_PEERS;
        if context.pieces_len() > most {
            return Err(Violation::new("too many pieces", format!("replica {at}: {context:?}")));
        }
        node.context = context.clone();
        self.stats.most_pieces = self.stats.most_pieces.max(context.pieces_len());
        self.history.check(&node.replica, &mut node.ghost).map_err(|mut violation| {
            violation.detail = format!("replica {at}, {}", violation.detail);
            violation
        })
    }

    fn perform(&mut self, op: Op) -> Result<(), Violation> {
        let at = self.some_node();
        match op {
            Op::Write => self.write(at, false),
            Op::Delete => self.write(at, true),
            Op::Commit => self.commit(at),
            Op::Read => self.read(at),
            Op::StaleWrite => self.write_seen(at, at, false),
            Op::StaleDelete => self.write_seen(at, at, true),
            Op::ForeignRead => {
                let (from, is_delete) = (self.some_node(), self.chance(0.3));
                self.write_seen(at, from, is_delete)
            }
            Op::Batch => self.send_some_batch(),
            Op::Reply => self.send_some_reply(),
            Op::Deliver => self.deliver_some(),
            Op::Full => match self.two_nodes() {
                Some((opener, answerer)) => self.synchronise(opener, answerer),
                None => Ok(()),
            },
            Op::Crash => self.crash(at),
            Op::Restore => self.restore(at),
            Op::UnnoticedRestore => self.restore_unnoticed(at),
            Op::Wipe => self.wipe(at),
            Op::Join if self.nodes.len() < 6 => self.add_node(),
            other => {
                self.perform_safely(other, at);
                Ok(())
            }
        }
    }

    /// The steps that change nothing to be checked.
    fn perform_safely(&mut self, op: Op, at: usize) {
        match op {
            Op::Open => {
                if let Some((opener, answerer)) = self.two_nodes() {
                    self.open_somewhere(opener, answerer);
                }
            }
            Op::Answer => self.answer_some(),
            Op::Drop if !self.messages.is_empty() => {
                let index = self.random.usize(0..self.messages.len());
                self.messages.remove(index);
            }
            Op::EndSession if !self.sessions.is_empty() => {
                let index = self.random.usize(0..self.sessions.len());
                self.sessions.remove(index);
            }
            Op::Backup => self.back_up(at),
            Op::Sync => self.sync(at),
            _ => {}
        }
    }

    /// The network is whole again: complete sessions until all are equal, and then everything has to be.
    fn heal(&mut self) -> Result<(), Violation> {
        if self.random.bool() {
            self.random.shuffle(&mut self.messages);
            for message in core::mem::take(&mut self.messages) {
                self.receive(&message)?;
            }
        }
        self.messages.clear();
        self.forget_sessions();
        self.synchronise_all(Self::difference_but_for_holes)?;
        self.upgrade_all()?;
        self.synchronise_all(Self::difference)?;
        self.check_end()
    }

    /// Complete sessions between all, until no two differ.
    fn synchronise_all(
        &mut self,
        difference: impl Fn(&mut Self, usize, usize) -> Option<&'static str>,
    ) -> Result<(), Violation> {
        for _ in 0..2 * self.nodes.len() + 2 {
            for opener in 0..self.nodes.len() {
                for answerer in 0..self.nodes.len() {
                    if opener != answerer {
                        self.synchronise(opener, answerer)?;
                    }
                }
            }
            self.forget_sessions();
            if (1..self.nodes.len()).all(|other| difference(self, 0, other).is_none()) {
                break;
            }
        }
        Ok(())
    }

    /// Replicas of an older release are equal to the others by now, but for what they cannot read. Then they are
    /// upgraded.
    fn upgrade_all(&mut self) -> Result<(), Violation> {
        let old: Vec<usize> = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_old).collect();
        let holes = self.nodes.iter().map(|node| node.replica.holes_len()).max();
        self.stats.most_holes = holes.unwrap_or(0);
        if !old.is_empty() {
            for other in 1..self.nodes.len() {
                if let Some(check) = self.difference_but_for_holes(0, other) {
                    return Err(Violation::new(check, format!("replicas 0 and {other}, before all are upgraded")));
                }
            }
        }
        for at in old {
            self.check_store(at)?;
            self.nodes[at].is_old = false;
            let seed = self.fresh_seed();
            self.reopen(at, seed, Continuity::Vouched, false)?;
            self.check(at)?;
        }
        Ok(())
    }

    pub(super) fn state(&mut self, at: usize) -> State {
        state_of(&mut self.nodes[at].replica, &SessionConfig::default())
    }

    /// What two replicas differ in beside the keys at which they know of a hole.
    fn difference_but_for_holes(&mut self, a: usize, b: usize) -> Option<&'static str> {
        let [mine, theirs] = [a, b].map(|at| self.state(at));
        let Some(Equality { keys, .. }) = mine.equality(&theirs) else { return Some("diverged beside holes") };
        let [a, b] = [a, b].map(|at| &self.nodes[at]);
        let differ = (0..self.history.keys.len()).filter(|key| a.ghost.known[*key] != b.ghost.known[*key]);
        let differ: Vec<usize> = differ.collect();
        let is_hole = |key: &usize| {
            let hash = self.history.keys[*key].1;
            a.replica.context().is_hole(hash) || b.replica.context().is_hole(hash)
        };
        if differ.iter().all(is_hole) && differ.len() as u64 <= keys { None } else { Some("diverged outside of holes") }
    }

    fn forget_sessions(&mut self) {
        self.sessions.clear();
        self.nodes.iter_mut().for_each(|node| node.bases.clear());
    }

    /// What two replicas differ in.
    fn difference(&mut self, a: usize, b: usize) -> Option<&'static str> {
        if self.nodes[a].replica.root() != self.nodes[b].replica.root() {
            Some("diverged: entries")
        } else if self.nodes[a].replica.context_hash() != self.nodes[b].replica.context_hash() {
            Some("diverged: contexts")
        } else if self.nodes[a].ghost.known != self.nodes[b].ghost.known {
            Some("diverged: known events")
        } else {
            None
        }
    }

    fn check_end(&mut self) -> Result<(), Violation> {
        for other in 1..self.nodes.len() {
            if let Some(check) = self.difference(0, other) {
                return Err(Violation::new(check, format!("replicas 0 and {other}")));
            }
        }
        for at in 0..self.nodes.len() {
            self.check(at)?;
            self.check_store(at)?;
        }
        let node = &self.nodes[0];
        // A cut can stay only where the events behind it were lost with their store.
        if node.replica.context().pieces_len() > 1 && !self.rolled_back {
            return Err(Violation::new("a cut stays", format!("{:?}", node.replica.context())));
        }
        self.stats.cuts_for_good += u64::from(node.replica.context().pieces_len() > 1);
        match self.history.lost(&node.ghost) {
            Some(lost) => Err(Violation::new("event lost", lost)),
            None => Ok(()),
        }
    }

    /// The store, read again, is what the replica thinks it is.
    pub(super) fn check_store(&mut self, at: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[at];
        let audit = node.replica.audit()?;
        if !audit.discrepancies.is_empty() {
            return Err(Violation::new("audit", format!("replica {at}: {:?}", audit.discrepancies)));
        }
        let mut copy = open_store(node.disk.copy(), Seed::from_bytes([0; 32]), Continuity::Vouched, None)?;
        if !node.replica.sketch_is_sound_for_test() {
            return Err(Violation::new("sketch", format!("replica {at}: its cells are not those of its entries")));
        }
        let same = copy.root() == node.replica.root() && copy.context() == node.replica.context();
        if same { Ok(()) } else { Err(Violation::new("reopened otherwise", format!("replica {at}"))) }
    }
}

pub(super) fn open(
    disk: &Disk,
    seed: Seed,
    continuity: Continuity,
    max_pieces: Option<usize>,
) -> Result<Replica<Item>, Violation> {
    open_store(disk.clone(), seed, continuity, max_pieces)
}

pub(super) fn open_store(
    store: impl crate::replica::Store + 'static,
    seed: Seed,
    continuity: Continuity,
    max_pieces: Option<usize>,
) -> Result<Replica<Item>, Violation> {
    let mut config = ReplicaConfig::default();
    config.max_context_pieces = max_pieces.and_then(NonZeroUsize::new).unwrap_or(config.max_context_pieces);
    Ok(Replica::open(store, LastWriterWins, Opening { seed, continuity, config })?)
}
