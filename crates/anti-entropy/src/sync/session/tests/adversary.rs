//! A peer that lies: what it forges is refused for the right reason, and changes nothing.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::takes;
use crate::clock::{Dot, RangeClocks, ReplicaId, Seed, Tally, Timestamp, VectorClock, WriterPolicy};
use crate::refusal::Refusal;
use crate::replica::tests::pattern::Pattern;
use crate::replica::{
    Claim, Growth, Keyed, LastWriterWins, Life, MemoryStore, Notice, Opening, Part, PartHash, ReplicaConfig, Resolver,
};
use crate::summary::compare::first_answer;
use crate::summary::{Root, Snapshot, Width};
use crate::sync::session::exchange::{TAG_BYTES, frames};
use crate::sync::session::*;
use crate::sync::transfer::tests::plan;
use crate::sync::transfer::{BatchLimits, BatchPlan};
use crate::sync::wire::Header;
use crate::sync::wire::message::{BatchReply, BatchRequest, Differs, First, Open, Seen, State, Verdict};
use crate::sync::wire::{
    Batch, BatchBase, HasSeen, Inventory, KeyPrefix, KeyState, Lazy, WireContent, WireEntry, WirePart, WireValue,
    WireVersion,
};
use crate::{KeyHash, KeyRange};

type Item = Keyed<u32, String>;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn replica<V: Replicated>(seed: u8, config: ReplicaConfig) -> Replica<V>
where
    LastWriterWins: Resolver<V>,
{
    let opening = Opening { config, ..Opening::from(Seed::from_bytes([seed; 32])) };
    Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap()
}

fn write(replica: &mut Replica<Item>, key: u32, value: &str) {
    replica.write(Keyed::new(key, value.to_string()), now()).unwrap();
}

/// Hands a message to a session, and returns what it says.
pub(super) fn hand<V: Replicated, M: Serialize, R: serde::de::DeserializeOwned>(
    session: &mut Session,
    header: Header,
    message: &M,
    victim: &mut Replica<V>,
) -> Option<R> {
    let bytes = postcard::to_allocvec(message).unwrap();
    for frame in frames(header, &bytes, 60_000, true).unwrap() {
        session.handle_frame(Frame::decode(&frame, &SessionConfig::default()).unwrap(), victim, now()).unwrap();
    }
    said(session)
}

pub(super) fn said<R: serde::de::DeserializeOwned>(session: &mut Session) -> Option<R> {
    let mut message = Vec::new();
    while let SessionOutput::Send(frame) = session.poll_output() {
        let frame = Frame::decode(&frame, &SessionConfig::default()).unwrap();
        message.extend_from_slice(&frame.payload[if frame.fragments == 1 { 0 } else { TAG_BYTES }..]);
    }
    (!message.is_empty()).then(|| postcard::from_bytes(&message).unwrap())
}

pub(super) fn outcome(session: &mut Session) -> Option<Outcome> {
    match session.poll_output() {
        SessionOutput::Done(finished) => Some(finished.outcome),
        _ => None,
    }
}

/// The side that opens, and lies.
struct Liar {
    session: Session,
    exchange: u32,
}

const NONCE: u64 = 5;

/// An opening whose sender wants no sketch.
/// What an answerer says that holds something else: its first step.
pub(super) fn differs(first: First) -> Reply {
    Reply::Differs(Differs {
        nonce: NONCE,
        cuts: None,
        own: 9,
        claim: Claim::default(),
        life: Life::default(),
        first,
        takes: takes(),
        seen: HasSeen::Untold,
    })
}

fn any_open() -> Open {
    let state = State { seen: Seen { root: Root::from_bytes([9; 32]), context: 0 }, filled: None };
    let tally = Tally::default();
    Open { schema_id: 0, state, width: Width::Short, cuts: None, entries: 0, tally, max_cells: 0, own: 9 }
}

/// A batch that does not say how its sender is.
pub(super) fn batch_request(batch: Batch) -> Request {
    Request::Batch(BatchRequest {
        batch: batch.whole(),
        state: None,
        claim: Claim::default(),
        life: Life::default(),
        takes: takes(),
    })
}

impl Liar {
    fn open<V: Replicated>(victim: &mut Replica<V>) -> Self {
        let open = Request::Open(any_open());
        let header = Header { kind: FrameKind::Request, session: 1, exchange: 0 };
        let bytes = header.encode(0, 1, &postcard::to_allocvec(&open).unwrap(), true);
        let frame = Frame::decode(&bytes, &SessionConfig::default()).unwrap();
        let mut session = Session::accept_valid(&frame, NONCE, SessionConfig::default(), now()).unwrap();
        session.handle_frame(frame, victim, now()).unwrap();
        assert!(matches!(said(&mut session), Some(Reply::Differs(_))));
        Self { session, exchange: 0 }
    }

    fn say<V: Replicated>(&mut self, request: &Request, victim: &mut Replica<V>) -> Option<Reply> {
        self.exchange += 1;
        let header = Header { kind: FrameKind::Request, session: NONCE, exchange: self.exchange };
        hand(&mut self.session, header, request, victim)
    }
}

/// What `sender` would send of itself to `receiver`, all of it.
fn honest<V: Replicated>(sender: &mut Replica<V>, receiver: &mut Replica<V>) -> Batch {
    let (mine, theirs) = (sender.summary(), receiver.summary());
    let differences = mine.diff(&theirs).collect();
    let nothing = Inventory::new();
    let plan = plan(KeyRange::ALL, &nothing, BatchLimits::NONE);
    sender.make_batch(&BatchPlan { base: BatchBase::Snapshot, differences, inline: true, ..plan }).unwrap()
}

fn clocks(pieces: Vec<(KeyHash, VectorClock)>) -> RangeClocks {
    RangeClocks::new(KeyRange::ALL, pieces).unwrap()
}

/// The batch with its clock changed, which must be a single one.
fn with_clock(batch: &Batch, change: impl FnOnce(&mut VectorClock)) -> Batch {
    let mut clock = batch.clocks.clock_at(KeyHash::MIN).unwrap().clone();
    change(&mut clock);
    Batch { clocks: clocks(vec![(KeyHash::MIN, clock)]), ..batch.clone() }
}

/// Sends a forged batch: it must be refused, with this verdict and this outcome, and change nothing.
fn refused<V: Replicated>(victim: &mut Replica<V>, forged: Batch, expected: &Verdict, end: Option<&Outcome>) {
    let before = (victim.root(), victim.context_hash(), victim.id(), victim.len());
    let mut liar = Liar::open(victim);
    let Some(Reply::Batch(reply)) = liar.say(&batch_request(forged), victim) else { panic!("no verdict") };
    assert_eq!((&reply.verdict, &reply.batch), (expected, &None));
    assert_eq!(outcome(&mut liar.session).as_ref(), end);
    assert_eq!((victim.root(), victim.context_hash(), victim.id(), victim.len()), before);
    assert!(victim.audit().unwrap().discrepancies.is_empty());
}

fn rejected<V: Replicated>(victim: &mut Replica<V>, forged: Batch, rejection: Refusal) {
    let verdict = Verdict::Rejected(rejection.to_string());
    let end = match rejection {
        Refusal::TooManyPieces { .. } | Refusal::TooManyCounters { .. } => {
            Outcome::Partial(PartialReason::TooManyPieces)
        }
        other => Outcome::Refused(other),
    };
    refused(victim, forged, &verdict, Some(&end));
}

/// What cannot be read is to be left out, and changes nothing until it is.
fn unreadable<V: Replicated>(victim: &mut Replica<V>, forged: Batch) {
    let present = forged.changes.iter().find(|change| matches!(**change, KeyState::Present(_)));
    let verdict = Verdict::Unreadable(present.map(|change| change.key()).into_iter().collect());
    refused(victim, forged, &verdict, None);
}

/// A sender, a receiver with other entries, and the honest batch between them.
fn stage(config: ReplicaConfig) -> (Replica<Item>, Replica<Item>, Batch) {
    let (mut sender, mut victim) = (replica(1, ReplicaConfig::default()), replica(2, config));
    (0..10).for_each(|key| write(&mut sender, key, "sent"));
    (5..15).for_each(|key| write(&mut victim, key, "held"));
    let batch = honest(&mut sender, &mut victim);
    (sender, victim, batch)
}

fn first_dot(batch: &Batch) -> Dot {
    let present = batch.changes.iter().find_map(|change| match change.as_ref() {
        KeyState::Present(entry) => Some(entry.versions.iter().next().unwrap().dot),
        KeyState::Absent(_) | KeyState::AbsentUnder(_) | KeyState::Withheld(_) => None,
    });
    present.unwrap()
}

#[test]
fn the_honest_batch_is_taken() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let mut liar = Liar::open(&mut victim);
    let reply = liar.say(&batch_request(batch), &mut victim);
    assert!(matches!(reply, Some(Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: Some(_), .. }))));
    assert_eq!((victim.len(), victim.conflicts()), (15, 5));
}

#[test]
fn a_wrong_digest_is_not_certified() {
    let (_, mut victim, mut batch) = stage(ReplicaConfig::default());
    batch.digest = with_a_bit_flipped(batch.digest, 31);
    refused(&mut victim, batch.clone(), &Verdict::NotCertified, None);
    // Nor is a right digest of other entries.
    let (_, mut victim, mut batch) = stage(ReplicaConfig::default());
    batch.changes.make_mut().pop();
    refused(&mut victim, batch, &Verdict::NotCertified, None);
}

#[test]
fn a_write_that_its_clock_does_not_cover_is_refused() {
    let (sender, mut victim, batch) = stage(ReplicaConfig::default());
    let forged = with_clock(&batch, |clock| clock.set(sender.id(), 0));
    let dot = first_dot(&batch);
    rejected(&mut victim, forged, Refusal::UncoveredWrite(dot));
}

#[test]
fn keys_out_of_order_repeated_or_out_of_the_range_are_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let malformed = || Refusal::Malformed("a key is out of order or out of the range");
    let mut swapped = batch.clone();
    swapped.changes.make_mut().swap(3, 4);
    rejected(&mut victim, swapped, malformed());
    let mut twice = batch.clone();
    twice.changes.make_mut().insert(4, batch.changes.iter().nth(4).unwrap().into_owned());
    rejected(&mut victim, twice, malformed());
    let range = KeyRange::new(KeyHash::MIN, Some(KeyHash::from_u128(1))).unwrap();
    let clock = batch.clocks.clock_at(KeyHash::MIN).unwrap().clone();
    let outside = Batch { clocks: RangeClocks::new(range, vec![(KeyHash::MIN, clock)]).unwrap(), ..batch };
    rejected(&mut victim, outside, malformed());
}

#[test]
fn a_writer_that_is_not_admitted_is_refused() {
    let (sender, mut victim, batch) = stage(ReplicaConfig::default());
    let known = BTreeSet::from([sender.id()]);
    let config = ReplicaConfig { writers: WriterPolicy::AllowList(known), ..ReplicaConfig::default() };
    drop(victim);
    victim = replica(3, config);
    let stranger = ReplicaId::from_u128(77);
    let forged = with_clock(&batch, |clock| clock.set(stranger, 1));
    // Against an empty replica, all entries stand for themselves.
    rejected(&mut victim, forged, Refusal::WriterNotAdmitted(stranger));
    let mut liar = Liar::open(&mut victim);
    liar.say(&batch_request(batch), &mut victim);
    assert_eq!(victim.len(), 10, "the listed writer is admitted");
}

#[test]
fn a_hundred_thousand_invented_replicas_are_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let invented = (0..100_000).map(|number| (ReplicaId::from_u128(number << 20), 1));
    let all: VectorClock = batch.clocks.clock_at(KeyHash::MIN).unwrap().iter().chain(invented).collect();
    // The victim has written too.
    let replicas = all.len() + 1;
    let forged = Batch { clocks: clocks(vec![(KeyHash::MIN, all)]), ..batch.clone() };
    rejected(&mut victim, forged, Refusal::TooManyReplicas { replicas, limit: 1024 });
    // Many pieces with a few replicas each.
    let piece =
        |number: u128| (KeyHash::from_u128(number), VectorClock::from_iter([(ReplicaId::from_u128(number), 1)]));
    let forged = Batch { clocks: clocks((0..100_000).map(piece).collect()), ..batch };
    rejected(&mut victim, forged, Refusal::TooManyPieces { pieces: 100_000, limit: 1024 });
}

#[test]
fn a_clock_in_too_many_pieces_is_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let own = batch.clocks.clock_at(KeyHash::MIN).unwrap();
    let piece = |number: u128| {
        let mut clock = own.clone();
        clock.set(ReplicaId::from_u128(77), 1 + u64::try_from(number % 2).unwrap());
        // Not neighbours: a piece for a single hash may be a hole.
        (KeyHash::from_u128(2 * number), clock)
    };
    let forged = Batch { clocks: clocks((0..1025).map(piece).collect()), ..batch.clone() };
    rejected(&mut victim, forged, Refusal::TooManyPieces { pieces: 1025, limit: 1024 });
    // Fewer are taken in, though transfers make no more cuts then.
    let cut = Batch { clocks: clocks((0..600).map(piece).collect()), ..batch };
    Liar::open(&mut victim).say(&batch_request(cut), &mut victim);
    assert_eq!(victim.context().pieces_len(), 600);
    assert!(victim.cuts_if_full().is_some());
}

#[test]
fn many_replicas_in_many_pieces_are_refused_though_either_alone_is_not() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let own = batch.clocks.clock_at(KeyHash::MIN).unwrap();
    let many = |number: u128, ids: u128| {
        let invented =
            (0..ids).map(|id| (ReplicaId::from_u128(1 + (id << 20)), 1 + u64::try_from(number % 2).unwrap()));
        (KeyHash::from_u128(2 * number), own.iter().chain(invented).collect())
    };
    let forged =
        |pieces, ids| Batch { clocks: clocks((0..pieces).map(|number| many(number, ids)).collect()), ..batch.clone() };
    // With the sender's own id, and what the victim has seen of itself.
    let counters = 1000 * (66 + own.len());
    rejected(&mut victim, forged(1000, 66), Refusal::TooManyCounters { counters, limit: 65_536 });
    rejected(
        &mut victim,
        forged(70, 1000),
        Refusal::TooManyCounters { counters: 70 * (1000 + own.len()), limit: 65_536 },
    );
    // Fewer are taken in, though transfers make no more cuts then.
    let taken = forged(1000, 40);
    Liar::open(&mut victim).say(&batch_request(taken), &mut victim);
    assert_eq!((victim.context().pieces_len(), victim.len()), (1000, 15));
    assert!(victim.context().counters_len() <= 65_536);
    assert!(victim.cuts_if_full().is_some());
}

#[test]
fn a_batch_adds_no_more_replicas_and_pieces_than_are_left_to_its_sender() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let left = Some(Growth { replicas: 0, pieces: 0 });
    victim.allow_growth(left);
    let mut liar = Liar::open(&mut victim);
    liar.say(&batch_request(batch.clone()), &mut victim);
    assert_eq!((victim.len(), victim.context().replicas_len()), (15, 2), "the first that it hears of anybody");
    let with = |ids: u128, pieces: u128| {
        let own = batch.clocks.clock_at(KeyHash::MIN).unwrap();
        let invented = (0..ids).map(|id| (ReplicaId::from_u128(1 + (id << 20)), 1));
        let piece = |number: u128| {
            let counter = (ReplicaId::from_u128(1), 1 + u64::try_from(number % 2).unwrap());
            (KeyHash::from_u128(2 * number), own.iter().chain(invented.clone()).chain([counter]).collect())
        };
        Batch { clocks: clocks((0..pieces).map(piece).collect()), changes: Vec::new().into(), ..batch.clone() }
    };
    // What is held changes no more: only clocks come.
    let digest = victim.root();
    let forged = |ids, pieces| Batch { digest, ..with(ids, pieces) };
    victim.allow_growth(Some(Growth { replicas: 3, pieces: 4 }));
    rejected(&mut victim, forged(4, 1), Refusal::GrowsTooFast { new: 4, left: 3 });
    rejected(&mut victim, forged(3, 6), Refusal::GrowsTooFast { new: 5, left: 4 });
    Liar::open(&mut victim).say(&batch_request(forged(3, 4)), &mut victim);
    assert_eq!(victim.allow_growth(None), Some(Growth { replicas: 0, pieces: 1 }));
}

#[test]
fn each_side_learns_how_long_the_messages_are_that_the_other_takes() {
    let (mut a, mut b) = (replica(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
    write(&mut a, 1, "of one");
    write(&mut b, 2, "of the other");
    assert_eq!((a.least_peer_limit(), b.least_peer_limit()), (None, None));
    assert_eq!(converge(&mut a, &mut b), Outcome::Converged);
    assert_eq!((a.least_peer_limit(), b.least_peer_limit()), (Some(64 << 20), Some(64 << 20)));
}

#[test]
fn the_last_counter_of_another_is_believed_and_harms_nobody_else() {
    let (mut sender, mut victim, batch) = stage(ReplicaConfig::default());
    let (third, mut liar) = (ReplicaId::from_u128(77), Liar::open(&mut victim));
    let forged = with_clock(&batch, |clock| clock.set(third, u64::MAX));
    let reply = liar.say(&batch_request(forged), &mut victim);
    assert!(matches!(reply, Some(Reply::Batch(BatchReply { verdict: Verdict::Joined, .. }))));
    assert_eq!(victim.context().max_counter(third), u64::MAX);
    // Honest replicas go on, and converge.
    write(&mut victim, 1, "after");
    write(&mut sender, 2, "after");
    assert_eq!(converge(&mut sender, &mut victim), Outcome::Converged);
    assert_eq!(sender.context().max_counter(third), u64::MAX);
}

/// Row "two lies of 81 bytes about an honest node's counter": each costs the victim an id, and nobody else anything.
#[test]
fn who_claims_writes_that_i_never_made_is_refused_and_honest_peers_who_believe_it_are_not() {
    let (mut sender, mut victim, _) = stage(ReplicaConfig::default());
    converge(&mut sender, &mut victim);
    let mut believer = replica(7, ReplicaConfig::default());
    converge(&mut believer, &mut victim);
    for (lie, claimed) in [100, 1_000, u64::MAX].into_iter().enumerate() {
        let (id, made) = (victim.id(), victim.context().own_counter());
        let confirmed = believer.context().max_counter(id);
        converge(&mut sender, &mut believer);
        // The lie reaches an honest peer, which has no reason to doubt it, and from there the victim.
        let batch = with_clock(&honest(&mut sender, &mut believer), |clock| clock.set(id, claimed));
        let joined = Liar::open(&mut believer).say(&batch_request(batch), &mut believer);
        assert!(matches!(joined, Some(Reply::Batch(BatchReply { verdict: Verdict::Joined, .. }))), "{joined:?}");
        let unconfirmed = 500 + u32::try_from(lie).unwrap();
        write(&mut victim, unconfirmed, "nobody has seen this");
        let outcome = converge(&mut believer, &mut victim);
        assert!(matches!(outcome, Outcome::Refused(Refusal::ByPeer(_))), "{outcome:?}");
        let reissued = vec![unconfirmed];
        let to = victim.id();
        assert_ne!(to, id, "{outcome:?}");
        assert_eq!(victim.poll_notice(), Some(Notice::Renamed { from: id, to, made: made + 1, reissued }));
        assert!(confirmed <= made);
        assert_eq!(converge(&mut believer, &mut victim), Outcome::Converged);
        for key in (0..=lie).map(|lie| 500 + u32::try_from(lie).unwrap()) {
            assert_eq!(believer.read(&key).unwrap().value().unwrap().value, "nobody has seen this");
        }
    }
    assert_eq!(victim.stats().renamings, 3);
}

/// The alarm goes off by the message and by the clocks of a batch alike, before anything of the batch is joined.
#[test]
fn a_batch_that_raises_the_alarm_is_not_joined() {
    for says in [true, false] {
        let (_, mut victim, batch) = stage(ReplicaConfig::default());
        let (id, root) = (victim.id(), victim.len());
        let (knows, batch) = if says { (11, batch) } else { (0, with_clock(&batch, |clock| clock.set(id, 11))) };
        let request = BatchRequest {
            batch: batch.whole(),
            state: None,
            claim: Claim::of(knows),
            life: Life::default(),
            takes: takes(),
        };
        let reply = Liar::open(&mut victim).say(&Request::Batch(request), &mut victim);
        let Some(Reply::Batch(BatchReply { verdict: Verdict::Rejected(reason), .. })) = reply else {
            panic!("{reply:?}")
        };
        assert!(reason.contains("11 writes of this replica, which made 10"), "{reason}");
        assert_eq!((victim.len(), victim.context().max_counter(id)), (root, 0));
        assert_ne!(victim.id(), id);
        assert!(victim.audit().unwrap().discrepancies.is_empty());
    }
}

#[test]
fn a_liar_who_claims_the_last_counter_of_mine_does_not_stop_my_writes() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let mine = victim.id();
    let forged = with_clock(&batch, |clock| clock.set(mine, u64::MAX));
    Liar::open(&mut victim).say(&batch_request(forged), &mut victim);
    assert_ne!(victim.id(), mine);
    write(&mut victim, 7, "still writing");
    assert_eq!(victim.read(&7).unwrap().into_value().unwrap().value, "still writing");
    assert!(victim.audit().unwrap().discrepancies.is_empty());
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
}
crate::replicated!(Note, key: String = |note| note.id.clone());

fn sent_value(batch: &mut Batch) -> &mut WireValue {
    let Some(KeyState::Present(entry)) = batch.changes.make_mut().first_mut() else { panic!("an entry is sent") };
    let WireContent::Sent(value) = &mut entry.versions.make_mut()[0].content else { panic!("a value is sent") };
    value
}

#[test]
fn a_value_of_another_key_is_refused() {
    let (mut sender, mut victim) = (replica::<Note>(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
    sender.write(Note { id: "mine".to_string(), text: "text".to_string() }, now()).unwrap();
    let mut batch = honest(&mut sender, &mut victim);
    sent_value(&mut batch).body = Note { id: "other".to_string(), text: "text".to_string() }.encode().body;
    unreadable(&mut victim, batch);
}

#[test]
fn entries_without_versions_and_keys_in_other_forms_are_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let change = |change: &dyn Fn(&mut WireEntry)| {
        let mut batch = batch.clone();
        let Some(KeyState::Present(entry)) = batch.changes.make_mut().first_mut() else { panic!("an entry is sent") };
        change(entry);
        batch
    };
    let none = change(&|entry| entry.versions.make_mut().clear());
    rejected(&mut victim, none, Refusal::Malformed("an entry has no version"));
    let twice = change(&|entry| {
        let first = entry.versions.make_mut()[0].clone();
        entry.versions.make_mut().push(first);
    });
    rejected(&mut victim, twice, Refusal::Malformed("a version is out of order"));
    let longer = change(&|entry| {
        *entry.key.last_mut().unwrap() |= 0x80;
        entry.key.push(0);
    });
    unreadable(&mut victim, longer);
}

fn pattern(confidence: u8, embedding: &[u8]) -> Pattern {
    Pattern { id: 0, confidence, embedding: Part::from(embedding) }
}

#[test]
fn a_part_that_does_not_match_is_refused() {
    let (mut sender, mut victim) = (replica(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
    sender.write(pattern(1, b"sent"), now()).unwrap();
    victim.write(pattern(2, b"held"), now()).unwrap();
    let batch = honest(&mut sender, &mut victim);
    let with_parts = |parts: Vec<WirePart>| {
        let mut batch = batch.clone();
        sent_value(&mut batch).parts = parts.into();
        batch
    };
    let other = with_parts(vec![WirePart::Sent(Part::from(&b"other"[..]))]);
    refused(&mut victim, other, &Verdict::NotCertified, None);
    let held = with_parts(vec![WirePart::Held(Part::from(&b"held"[..]).hash())]);
    refused(&mut victim, held, &Verdict::NotCertified, None);
    let unknown = with_parts(vec![WirePart::Held(PartHash::from_bytes([7; 32]))]);
    refused(&mut victim, unknown, &Verdict::MissingContent, None);
    // Naming a part very often costs its hash once, and not a hash each time.
    let part = Part::from(vec![1; 1 << 20]);
    victim.write(pattern(2, part.as_bytes()), now()).unwrap();
    let batch = honest(&mut sender, &mut victim);
    let mut often = batch.clone();
    sent_value(&mut often).parts = vec![WirePart::Held(part.hash()); 100_000].into();
    unreadable(&mut victim, often);
}

/// Elements that take little to send and much to hold.
fn empty_elements(batch: &Batch, many: usize) -> [(&'static str, Vec<KeyState>); 4] {
    let content = |parts| WireContent::Sent(WireValue { body: Vec::new(), parts });
    let version = |counter, parts| WireVersion {
        dot: Dot { counter, ..first_dot(batch) },
        timestamp: Timestamp { wall_ms: 0, logical: 0 },
        content: content(parts),
    };
    let entry =
        |key: Vec<u8>, versions: Vec<WireVersion>| KeyState::Present(WireEntry { key, versions: versions.into() });
    let counters = 1..=u64::try_from(many).unwrap();
    let parts = alloc::vec![WirePart::Sent(Part::from(&[][..])); many];
    [
        ("keys", alloc::vec![KeyState::AbsentUnder(KeyPrefix(1)); many]),
        ("entries", alloc::vec![entry(Vec::new(), Vec::new()); many]),
        (
            "versions",
            alloc::vec![entry(alloc::vec![1], counters.map(|counter| version(counter, Vec::new().into())).collect())],
        ),
        ("parts", alloc::vec![entry(alloc::vec![1], alloc::vec![version(1, parts.into())])]),
    ]
}

#[test]
fn empty_elements_take_no_more_than_their_bytes_and_are_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    for (what, changes) in empty_elements(&batch, 100_000) {
        let forged = Batch { changes: changes.into(), ..batch.clone() };
        let encoded = postcard::to_allocvec(&forged).unwrap();
        let arrived: Batch = postcard::from_bytes(&encoded).unwrap();
        let Lazy::Arrived { bytes, .. } = &arrived.changes else { panic!("{what} are all read at once") };
        assert!(bytes.capacity() <= 2 * encoded.len(), "{what}: {} of {}", bytes.capacity(), encoded.len());
        let before = (victim.root(), victim.context_hash());
        let mut liar = Liar::open(&mut victim);
        let reply = liar.say(&batch_request(arrived), &mut victim);
        let Some(Reply::Batch(BatchReply { verdict, batch: None, .. })) = reply else { panic!("{what}: {reply:?}") };
        assert!(matches!(verdict, Verdict::Rejected(_) | Verdict::Unreadable(_)), "{what}: {verdict:?}");
        assert_eq!((victim.root(), victim.context_hash()), before, "{what}");
    }
}

/// The answering side, which lies: replies to the victim's requests.
fn lie<V: Replicated>(session: &mut Session, exchange: u32, reply: &Reply, victim: &mut Replica<V>) -> Option<Request> {
    let header = Header { kind: FrameKind::Reply, session: session.exchange.reply_number(), exchange };
    hand(session, header, reply, victim)
}

fn opened(victim: &mut Replica<Item>) -> Session {
    let mut session = Session::open_valid(1, victim, SessionConfig::default(), now());
    assert!(matches!(said(&mut session), Some(Request::Open(_))));
    session
}

#[test]
fn an_answerer_whose_batches_do_not_add_up_is_given_up_at_the_second() {
    let (mut sender, mut victim, _) = stage(ReplicaConfig::default());
    let before = (victim.root(), victim.context_hash());
    let mut session = opened(&mut victim);
    for (exchange, width) in [(0, Width::Short), (2, Width::Full)] {
        let theirs: Snapshot = sender.summary();
        let first = First::Tree(first_answer(&theirs, width, 10_000));
        let differs = differs(first);
        let Some(Request::Batch(_)) = lie(&mut session, exchange, &differs, &mut victim) else { panic!("no batch") };
        let mut batch = honest(&mut sender, &mut victim);
        batch.digest = with_a_bit_flipped(batch.digest, 0);
        let reply = Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: Some(batch.whole()), state: None });
        let next: Option<Request> = lie(&mut session, exchange + 1, &reply, &mut victim);
        match width {
            Width::Short => assert!(matches!(next, Some(Request::Open(open)) if open.width == Width::Full)),
            Width::Full => assert_eq!(next, Some(Request::Abort)),
        }
    }
    assert_eq!(outcome(&mut session), Some(Outcome::Partial(PartialReason::Uncertified)));
    assert_eq!((victim.root(), victim.context_hash()), before);
}

#[test]
fn replies_that_answer_nothing_end_the_session() {
    let (mut sender, mut victim, _) = stage(ReplicaConfig::default());
    let before = (victim.root(), victim.context_hash());
    let range = KeyRange::new(KeyHash::from_u128(1), None).unwrap();
    let clocks = RangeClocks::new(range, vec![(KeyHash::from_u128(1), VectorClock::new())]).unwrap();
    let elsewhere =
        Batch { clocks, base: BatchBase::Snapshot, digest: Root::from_bytes([0; 32]), changes: Vec::new().into() };
    let (opening, batch) = ("a reply to an opening that was not sent", "a batch of another range");
    let answer = first_answer(&sender.summary(), Width::Short, 1000);
    let differs = || differs(First::Tree(answer.clone()));
    for (reply, reason) in [
        (Reply::Equal { keys: 0 }, opening),
        (Reply::Busy, opening),
        (differs(), opening),
        (Reply::Answer(answer.clone()), "an answer that does not fit the question"),
        (Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: Some(elsewhere.whole()), state: None }), batch),
    ] {
        let mut session = opened(&mut victim);
        lie::<Item>(&mut session, 0, &differs(), &mut victim);
        assert_eq!(lie(&mut session, 1, &reply, &mut victim), Some(Request::Abort));
        assert_eq!(outcome(&mut session), Some(Outcome::Refused(Refusal::Malformed(reason))));
    }
    let mut session = opened(&mut victim);
    let joined = Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: None, state: None });
    lie::<Item>(&mut session, 0, &joined, &mut victim);
    let unasked = Refusal::Malformed("a batch that was not asked for");
    assert_eq!(outcome(&mut session), Some(Outcome::Refused(unasked)));
    assert_eq!((victim.root(), victim.context_hash()), before);
}

#[test]
fn requests_out_of_turn_are_refused() {
    let (_, mut victim, batch) = stage(ReplicaConfig::default());
    let range = batch.range();
    for request in [
        Request::More { from: range.lo(), inline: false, unreadable: vec![] },
        Request::More { from: KeyHash::MAX, inline: true, unreadable: vec![] },
    ] {
        let mut liar = Liar::open(&mut victim);
        assert_eq!(liar.say(&request, &mut victim), Some(Reply::Refused(RefusalCode::OutOfTurn)));
        let reason = Refusal::Malformed("a request out of turn");
        assert_eq!(outcome(&mut liar.session), Some(Outcome::Refused(reason)));
    }
}

pub(super) fn converge(a: &mut Replica<Item>, b: &mut Replica<Item>) -> Outcome {
    converge_with(a, b, SessionConfig::default(), |_| {})
}

/// A session over a perfect link, whose messages can be looked at.
fn converge_with(
    a: &mut Replica<Item>,
    b: &mut Replica<Item>,
    config: SessionConfig,
    mut look: impl FnMut(&[u8]),
) -> Outcome {
    let mut opener = Session::open_valid(1, a, config, now());
    let mut answerer: Option<Session> = None;
    for _ in 0..100_000 {
        match opener.poll_output() {
            SessionOutput::Done(finished) => return finished.outcome,
            SessionOutput::Send(bytes) => {
                look(&bytes);
                let frame = Frame::decode(&bytes, &SessionConfig::default()).unwrap();
                let answerer = answerer.get_or_insert_with(|| Session::accept_valid(&frame, 2, config, now()).unwrap());
                answerer.handle_frame(frame, b, now()).unwrap();
            }
            SessionOutput::Wait(_) => {
                while let Some(SessionOutput::Send(bytes)) = answerer.as_mut().map(Session::poll_output) {
                    look(&bytes);
                    opener.handle_frame(Frame::decode(&bytes, &SessionConfig::default()).unwrap(), a, now()).unwrap();
                }
            }
        }
    }
    panic!("the session does not end");
}

#[test]
fn a_context_full_of_pieces_still_converges_at_its_cuts() {
    let limit = 8;
    let config = ReplicaConfig { max_context_pieces: NonZeroUsize::new(limit).unwrap(), ..ReplicaConfig::default() };
    for swap in [false, true] {
        let (mut full, mut other) = (replica(1, config.clone()), replica(2, config.clone()));
        (0..200).for_each(|key| write(&mut other, key, "to be learnt"));
        (100..300).for_each(|key| write(&mut full, key, "to be taught"));
        // A third replica that has nothing cut the context in as many pieces as it may have.
        let piece = |number: u64| {
            let clock = VectorClock::from_iter([(ReplicaId::from_u128(77), number)]);
            let start = KeyHash::from_u128(u128::from(number) << 124);
            Batch {
                clocks: RangeClocks::new(KeyRange::new(start, None).unwrap(), vec![(start, clock)]).unwrap(),
                base: BatchBase::Snapshot,
                digest: Root::from_bytes([0; 32]),
                changes: Vec::new().into(),
            }
        };
        let mut third: Replica<Item> = replica(3, config.clone());
        for number in 1..8 {
            let base = third.baseline();
            let mut batch = piece(number);
            batch.digest = base.summary.range_digest(&batch.range());
            third.apply(batch, &base, now()).unwrap();
        }
        assert_eq!(third.context().pieces_len(), limit);
        assert_eq!(converge(&mut third, &mut full), Outcome::Converged);
        assert_eq!(full.context().pieces_len(), limit);
        assert_eq!(full.cuts_if_full().unwrap().len(), limit - 1);
        let (cuts, mut ends) = (full.cuts_if_full().unwrap(), Vec::new());
        let session = SessionConfig { batch_entries: NonZeroUsize::MIN, ..SessionConfig::default() };
        let (a, b) = if swap { (&mut full, &mut other) } else { (&mut other, &mut full) };
        let outcome = converge_with(a, b, session, |bytes| {
            let frame = Frame::decode(bytes, &SessionConfig::default()).unwrap();
            if let Ok(Request::Batch(BatchRequest { batch, .. })) = postcard::from_bytes(frame.payload)
                && frame.kind == FrameKind::Request
                && frame.fragments == 1
            {
                ends.extend(batch.range().hi());
            }
        });
        assert_eq!(outcome, Outcome::Converged);
        assert!(!ends.is_empty() && ends.iter().all(|end| cuts.contains(end)), "{ends:?}");
        assert_eq!((full.root(), full.context_hash()), (other.root(), other.context_hash()));
        assert_eq!(full.len(), 300);
        assert_eq!(full.context().pieces_len(), limit);
    }
}

#[test]
fn frames_and_batches_keep_to_their_limits() {
    // A bulk transfer is one once so many differences are found, which the first batch shows.
    for (bulk_after, most) in [(1000, 7), (0, 53)] {
        let (mut a, mut b) = (replica(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
        (0..60).for_each(|key| write(&mut a, key, "value"));
        let config = SessionConfig {
            max_frame_bytes: 8192,
            batch_entries: NonZeroUsize::new(7).unwrap(),
            bulk_after,
            ..SessionConfig::default()
        };
        let mut sizes = Vec::new();
        let outcome = converge_with(&mut a, &mut b, config, |bytes| {
            assert!(bytes.len() <= 8192);
            let frame = Frame::decode(bytes, &SessionConfig::default()).unwrap();
            if let (FrameKind::Request, Ok(Request::Batch(BatchRequest { batch, .. }))) =
                (frame.kind, postcard::from_bytes(frame.payload))
            {
                sizes.push(batch.changes.len());
            }
        });
        assert_eq!(outcome, Outcome::Converged);
        assert_eq!(sizes.iter().max(), Some(&most));
        assert_eq!(sizes.iter().sum::<usize>(), 60);
    }
    // In bytes: no batch has more than asked for, but for a single entry.
    let (mut a, mut b) = (replica(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
    (0..60).for_each(|key| write(&mut a, key, &"x".repeat(if key == 30 { 2000 } else { 100 })));
    let config = SessionConfig { batch_bytes: 1000, ..SessionConfig::default() };
    let outcome = converge_with(&mut a, &mut b, config, |bytes| {
        let frame = Frame::decode(bytes, &SessionConfig::default()).unwrap();
        if let (FrameKind::Request, Ok(Request::Batch(BatchRequest { batch, .. }))) =
            (frame.kind, postcard::from_bytes(frame.payload))
        {
            assert!(bytes.len() < 1200 || batch.changes.len() == 1, "{} bytes", bytes.len());
        }
    });
    assert_eq!(outcome, Outcome::Converged);
}

#[test]
fn answers_keep_to_their_limit() {
    let (mut a, mut b) = (replica(1, ReplicaConfig::default()), replica(2, ReplicaConfig::default()));
    (0..2000).for_each(|key| write(if key % 2 == 0 { &mut a } else { &mut b }, key, "value"));
    let config = SessionConfig { answer_bytes: 400, max_sketch_cells: 0, ..SessionConfig::default() };
    let mut answers = 0;
    let outcome = converge_with(&mut a, &mut b, config, |bytes| {
        let frame = Frame::decode(bytes, &SessionConfig::default()).unwrap();
        if let (FrameKind::Reply, Ok(Reply::Answer(answer))) = (frame.kind, postcard::from_bytes(frame.payload)) {
            answers += 1;
            assert!(postcard::to_allocvec(&answer).unwrap().len() <= 400);
        }
    });
    assert_eq!(outcome, Outcome::Converged);
    assert!(answers > 10, "{answers}");
}

#[test]
fn more_cuts_than_fit_into_an_opening_are_refused_before_memory_is_taken() {
    let mut victim: Replica<Item> = replica(1, ReplicaConfig::default());
    let cuts = Some((0..5000).map(KeyHash::from_u128).collect());
    let open = Request::Open(Open { cuts, ..any_open() });
    let header = Header { kind: FrameKind::Request, session: 1, exchange: 0 };
    let bytes = header.encode(0, 1, &postcard::to_allocvec(&open).unwrap(), true);
    let frame = Frame::decode(&bytes, &SessionConfig::default()).unwrap();
    let mut session = Session::accept_valid(&frame, NONCE, SessionConfig::default(), now()).unwrap();
    session.handle_frame(frame, &mut victim, now()).unwrap();
    assert_eq!(said(&mut session), Some(Reply::Refused(RefusalCode::MessageTooLong)));
    assert_eq!(outcome(&mut session), Some(Outcome::Refused(Refusal::MessageTooLong)));
}

fn with_a_bit_flipped(root: Root, byte: usize) -> Root {
    let mut bytes = root.to_bytes();
    bytes[byte] ^= 1;
    Root::from_bytes(bytes)
}
