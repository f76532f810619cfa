//! What messages and frames look like on the wire, byte for byte. The bytes were written down from docs/protocol.md by
//! a separate program, and must not change within a protocol version.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{Context, Dot, Now, RangeClocks, ReplicaId, Seed, Timestamp, VectorClock, WholeSpace};
use crate::refusal::Refusal;
use crate::replica::{Claim, ContentHash, Keyed, LastWriterWins, Life, MemoryStore, Part, PartHash, Replica};
use crate::summary::Width;
use crate::summary::compare::{Answer, Ask, Prefix, first_answer};
use crate::summary::sketch::{Cell, Chunk};
use crate::summary::{Fingerprint, MerkleTree, Root, Snapshot};
use crate::sync::session::{Session, SessionConfig, SessionOutput, encode_push_frame};
use crate::sync::wire::message::{
    BatchReply, BatchRequest, Differs, Filled, First, Open, RefusalCode, Reply, Request, Seen, State, Takes, Verdict,
};
use crate::sync::wire::*;
use crate::sync::wire::{
    Batch, BatchBase, ClockCells, HasSeen, KeyPrefix, KeyState, Push, PushedWrite, WireContent, WireEntry, WirePart,
    WireValue, WireVersion, Withheld, WithheldFor,
};
use crate::{KeyHash, KeyRange};

type Vectors<T> = Vec<(T, &'static str)>;

const SESSION: u64 = 0x0102_0304_0506_0708;
const COLOUR: &[u8] = b"\x06colour";
const GREEN: &[u8] = b"\x05green";
const MIDDLE: KeyHash = KeyHash::from_u128(1 << 127);
const ANSWER: &str = "02001800000000000000000000000000000000eeeeeeeeeeeeeeee01010a10eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn dot(replica: u128, counter: u64) -> Dot {
    Dot { replica: ReplicaId::from_u128(replica), counter }
}

fn clock(entries: &[(u128, u64)]) -> VectorClock {
    entries.iter().map(|(id, counter)| (ReplicaId::from_u128(*id), *counter)).collect()
}

fn state() -> State {
    State { seen: Seen { root: Root::from_bytes([0xaa; 32]), context: SESSION }, filled: None }
}

/// Of a side with holes.
fn filled_state() -> State {
    let seen = Seen { root: Root::from_bytes([0xab; 32]), context: 0x1112_1314_1516_1718 };
    State { filled: Some(Filled { seen, keys: 300, peer_limit: Some(1 << 16) }), ..state() }
}

/// With nothing that could not be read, or with something.
fn takes(unreadable: bool) -> Takes {
    let entry = (MIDDLE, Fingerprint::from_bytes([0xee; 32]));
    Takes { max_message_bytes: 64 << 20, unreadable: Some(entry).filter(|_| unreadable).into_iter().collect() }
}

const CLAIM: Claim = Claim { knows: 300, last: 0x5555_5555_5555_5555 };

fn life() -> Life {
    Life { opening: SESSION, began_at: 300 }
}

fn timestamp() -> Timestamp {
    Timestamp { wall_ms: 1_700_000_000_000, logical: 3 }
}

fn entries_answer() -> Answer {
    postcard::from_bytes(&bytes(ANSWER)).unwrap()
}

fn batch() -> Batch {
    let value = WireValue {
        body: GREEN.to_vec(),
        parts: vec![WirePart::Held(PartHash::from_bytes([0xdd; 32])), WirePart::Sent(Part::from(&b"part"[..]))].into(),
    };
    let version = |dot, content| WireVersion { dot, timestamp: timestamp(), content };
    let versions = vec![
        version(
            dot(1, 300),
            WireContent::Seen {
                content: ContentHash::from_bytes([0xcc; 32]),
                parts: vec![PartHash::from_bytes([0x99; 32])],
            },
        ),
        version(dot(2, 7), WireContent::Sent(value)),
    ];
    let range = KeyRange::new(KeyHash::MIN, Some(MIDDLE)).unwrap();
    let pieces =
        vec![(KeyHash::MIN, clock(&[(1, 300), (2, 7)])), (KeyHash::from_u128(1 << 126), clock(&[(1, 300), (3, 1)]))];
    Batch {
        clocks: RangeClocks::new(range, pieces).unwrap(),
        base: BatchBase::Snapshot,
        digest: Root::from_bytes([0xbb; 32]),
        changes: vec![
            KeyState::Absent(KeyHash::from_u128(5)),
            KeyState::Present(WireEntry { key: COLOUR.to_vec(), versions: versions.into() }),
            KeyState::AbsentUnder(KeyPrefix(0x7f << 56)),
            KeyState::Withheld(Withheld {
                key: KeyHash::from_u128(0x7f80 << 112),
                fingerprint: Fingerprint::from_bytes([0xee; 32]),
                reason: WithheldFor::TooLong,
            }),
        ]
        .into(),
    }
}

/// Of a replica that has seen nothing.
fn empty_batch() -> Batch {
    let clocks = RangeClocks::new(KeyRange::ALL, vec![(KeyHash::MIN, VectorClock::new())]).unwrap();
    Batch { clocks, base: BatchBase::Nothing, digest: Root::from_bytes([0xbb; 32]), changes: Vec::new().into() }
}

fn requests() -> Vectors<Request> {
    let mut tallied = Context::new(ReplicaId::from_u128(3));
    (0..300).for_each(|_| assert!(tallied.mint().is_ok()));
    let tally = tallied.tally();
    let open = |schema_id, width, cuts| {
        let (state, entries, max_cells) = (state(), 300, 1 << 14);
        let own = 9;
        Request::Open(Open { schema_id, state, width, cuts, entries, tally, max_cells, own })
    };
    let (whole, lower) = (
        BatchRequest {
            batch: empty_batch().whole(),
            state: Some(state()),
            claim: CLAIM,
            life: life(),
            takes: takes(true),
        },
        BatchRequest {
            batch: batch().whole(),
            state: None,
            claim: Claim::default(),
            life: Life::default(),
            takes: takes(false),
        },
    );
    let prefixes = vec![Prefix::ALL, Prefix::new(12, KeyHash::from_u128(0xab << 120)).unwrap()];
    vec![
        (
            open(300, Width::Short, None),
            "\
         00ac02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0102030405060708000000ac020000\
         00000000012c00000000000000008080010000000000000009",
        ),
        (
            open(0, Width::Full, Some(vec![MIDDLE])),
            "\
         0000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01020304050607080001010180000000\
         000000000000000000000000ac02000000000000012c00000000000000008080010000000000000009",
        ),
        (Request::Ask(Ask::new(prefixes, Width::Full)), "0102018002ab0801"),
        (
            Request::Batch(lower),
            "\
         0200020000000000000000000000000000000080000000000000000000000000000000020000000000000000000000000000\
         0001ac0200000000000000000000000000000002070140000000000000000000000000000000020000000000000000000000\
         000000000200000000000000000000000000000000030100bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
         bbbbbbbbbbbb040000000000000000000000000000000005010706636f6c6f75720200000000000000000000000000000001\
         ac0280d095ffbc310300cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc0199999999999999\
         99999999999999999999999999999999999999999999999999000000000000000000000000000000020780d095ffbc310301\
         0605677265656e0200dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd010470617274027f00\
         000000000000037f800000000000000000000000000000eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
         eeeeeeeeee01000000000000000000000000000000000000008080802000",
        ),
        (
            Request::Batch(whole),
            "\
         020000000001bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0001aaaaaaaaaaaaaaaaaaaa\
         aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa010203040506070800ac0255555555555555550102030405060708ac0280808020018000\
         0000000000000000000000000000eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        ),
        (
            Request::More { from: MIDDLE, inline: true, unreadable: vec![MIDDLE] },
            "0380000000000000000000000000000000010180000000000000000000000000000000",
        ),
        (
            Request::Close(state()),
            "04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa010203040506070800",
        ),
        (
            Request::Close(filled_state()),
            "\
         04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa010203040506070801abababababababab\
         abababababababababababababababababababababababab1112131415161718ac0201808004",
        ),
        (Request::Abort, "05"),
        (Request::Busy, "07"),
        (Request::Cells { start: 300, count: 44 }, "08ac022c"),
        (Request::Inventory(vec![MIDDLE]), "060180000000000000000000000000000000"),
    ]
}

fn replies() -> Vectors<Reply> {
    let (own, claim) = (9, CLAIM);
    let differs = |cuts, first| {
        Reply::Differs(Differs {
            nonce: SESSION,
            cuts,
            own,
            claim,
            life: life(),
            first,
            takes: takes(false),
            seen: HasSeen::Untold,
        })
    };
    let reply = |verdict, batch| Reply::Batch(BatchReply { verdict, batch, state: None });
    let chunk = Chunk::new(300, vec![Cell::from_bytes([7; Cell::LEN])]).unwrap();
    vec![
        (Reply::Equal { keys: 0 }, "0000"),
        (Reply::Equal { keys: 300 }, "00ac02"),
        (
            differs(None, First::Tree(entries_answer())),
            "\
         010102030405060708000000000000000009ac0255555555555555550102030405060708ac020102001800000000000000000000000000000000\
         eeeeeeeeeeeeeeee01010a10eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee808080200000",
        ),
        (
            differs(Some(vec![MIDDLE]), First::Nothing),
            "\
         0101020304050607080101800000000000000000000000000000000000000000000009ac0255555555555555550102030405060708ac02008080\
         80200000",
        ),
        (
            Reply::Inventory(vec![(MIDDLE, (vec![dot(2, 7)], vec![PartHash::from_bytes([0x99; 32])]))].into()),
            "\
         070180000000000000000000000000000000010000000000000000000000000000000207019999999999999999999999999999\
         999999999999999999999999999999999999",
        ),
        (
            differs(None, First::Cells(chunk.clone())),
            "\
         010102030405060708000000000000000009ac0255555555555555550102030405060708ac0202ac021307070707070707070707070707070707\
         070707808080200000",
        ),
        (
            differs(None, First::Bulk { entries: 300 }),
            "\
         010102030405060708000000000000000009ac0255555555555555550102030405060708ac0203ac02808080200000",
        ),
        (Reply::Cells(chunk), "05ac021307070707070707070707070707070707070707"),
        (Reply::Busy, "02"),
        (
            Reply::Answer(entries_answer()),
            "0302001800000000000000000000000000000000eeeeeeeeeeeeeeee01010a10eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        ),
        (reply(Verdict::Joined, None), "04000000"),
        (
            Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: None, state: Some(state()) }),
            "04000001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa010203040506070800",
        ),
        (
            reply(Verdict::Joined, Some(empty_batch().whole())),
            "\
         0400010000000001bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000",
        ),
        (reply(Verdict::NotCertified, None), "04010000"),
        (reply(Verdict::MissingContent, None), "04020000"),
        (reply(Verdict::Unreadable(vec![MIDDLE]), None), "040501800000000000000000000000000000000000"),
        (reply(Verdict::Rejected("why".to_string()), None), "0403037768790000"),
        (reply(Verdict::IdInUse, None), "04040000"),
        (Reply::Refused(RefusalCode::Agreement), "0600"),
        (Reply::Refused(RefusalCode::OutOfTurn), "0601"),
        (Reply::Refused(RefusalCode::Budget), "0602"),
        (Reply::Refused(RefusalCode::EntryTooLong), "0603"),
        (Reply::Refused(RefusalCode::MessageTooLong), "0604"),
    ]
}

const GUESS: &str = "\
    02020200000000000000000000000000000000800000000000000000000000000000000100000000000000a5010000000000\
    0000000000000000000002070140000000000000000000000000000000010000000000000000000000000000000200999008\
    5fd4250fa3a2053cc6a0f4219e00bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb00000000\
    000000000000000000000000000000008080802000";
const SINCE: &str = "\
    040001010200000000000000000000000000000000800000000000000000000000000000000100000000000000a501000000\
    0000000000000000000000000207014000000000000000000000000000000001000000000000000000000000000000020000\
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000";
const WHOLE: &str = "\
    010102030405060708000000000000000009ac0255555555555555550102030405060708ac020080808020018000000000000000000000000000\
    0000eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee01040000000000000000000000000000\
    0001ac0200000000000000000000000000000002070000000000000000000000000000000301000000000000000000000000\
    00000004010140000000000000000000000000000000010000000000000000000000000000000200";
const CELLS: &str = "\
    010102030405060708000000000000000009ac0255555555555555550102030405060708ac0200808080200002004cc700000000000013000000\
    000001105e4c0303c7000000000000a5000000000001105ccbb20200000000000000a5000000000000012c2d6f0100000000\
    000000b6000000000000000287b10101800000000000000000000000000000000100000000000000a5000000000000000100";
/// The first four cells of the clock of three writers.
pub(crate) const CLOCK_CELLS: &str = "\
    004cc700000000000013000000000001105e4c0303c7000000000000a5000000000001105ccbb20200000000000000a50000\
    00000000012c2d6f0100000000000000b6000000000000000287b101";

/// Clocks in each of their forms.
fn clocks() -> (Vectors<Request>, Vectors<Reply>) {
    let range = KeyRange::new(KeyHash::MIN, Some(MIDDLE)).unwrap();
    let (first, second) = (clock(&[(1, 300), (2, 7), (3, 1), (4, 1)]), clock(&[(1, 300), (3, 1), (4, 1)]));
    let pieces = vec![(KeyHash::MIN, first), (KeyHash::from_u128(1 << 126), second)];
    let batch = Batch { clocks: RangeClocks::new(range, pieces).unwrap(), changes: Vec::new().into(), ..batch() };
    // Of a receiver that has seen one write less of one writer, and a writer of whom the sender knows nothing.
    let receiver = clock(&[(1, 300), (2, 6), (3, 1), (4, 1), (0xa5 << 64 | 1, 9)]);
    let guessed = clock(&[(1, 300), (2, 6), (3, 1), (4, 1), (0xa5 << 64, 9)]);
    assert_eq!(batch.clone().since(&receiver).expand(|_| receiver.clone()), Some(batch.clone()));
    assert_eq!(batch.clone().since_guess(&guessed).expand(|_| receiver.clone()), Some(batch.clone()));
    let (since, guess) = (batch.clone().since(&receiver), batch.clone().since_guess(&guessed));
    let request = Request::Batch(BatchRequest {
        batch: guess,
        state: None,
        claim: Claim::default(),
        life: Life::default(),
        takes: takes(false),
    });
    let reply = Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: Some(since), state: None });

    let differs = |seen, unreadable| {
        let (own, claim, life, takes) = (9, CLAIM, life(), takes(unreadable));
        Reply::Differs(Differs { nonce: SESSION, cuts: None, own, claim, life, first: First::Nothing, takes, seen })
    };
    let pieces = batch.clocks.iter().map(|(piece, clock)| (piece.lo(), clock.clone())).collect();
    let whole = HasSeen::Whole(WholeSpace(RangeClocks::new(KeyRange::ALL, pieces).unwrap()));
    let first = clock(&[(0xa5 << 64 | 1, 300), (0xb6 << 64 | 2, 2), (0xc7 << 120, 70_000)]);
    let without_one = clock(&[(0xb6 << 64 | 2, 2), (0xc7 << 120, 70_000)]);
    let further =
        RangeClocks::new(KeyRange::ALL, vec![(KeyHash::MIN, first), (MIDDLE, without_one)]).unwrap().further();
    let cells = HasSeen::Cells(ClockCells { cells: Chunk::from_bytes(&bytes(CLOCK_CELLS)).unwrap(), further });
    (vec![(request, GUESS)], vec![(reply, SINCE), (differs(whole, true), WHOLE), (differs(cells, false), CELLS)])
}

fn pushes() -> Vectors<Push> {
    let value =
        WireValue { body: GREEN.to_vec(), parts: vec![WirePart::Held(PartHash::from_bytes([0xdd; 32]))].into() };
    let write = PushedWrite { key: COLOUR.to_vec(), timestamp: timestamp(), value };
    vec![
        (
            Push { key: MIDDLE, dot: dot(1, 300), seen: vec![dot(2, 7)], write: Some(write) },
            "\
         8000000000000000000000000000000000000000000000000000000000000001ac0201000000000000000000000000000000\
         0207010706636f6c6f757280d095ffbc31030605677265656e0100dddddddddddddddddddddddddddddddddddddddddddddd\
         dddddddddddddddddd",
        ),
        (
            Push { key: MIDDLE, dot: dot(1, 300), seen: Vec::new(), write: None },
            "8000000000000000000000000000000000000000000000000000000000000001ac020000",
        ),
    ]
}

/// Header, fragment, number of fragments, payload, and the frame with its checksum.
fn frames() -> Vec<(Header, u32, u32, &'static [u8], &'static str)> {
    let header = |kind, exchange| Header { kind, session: SESSION, exchange };
    vec![
        (header(FrameKind::Request, 0), 0, 1, b"abc", "0280010203040506070800000161626388d28c7fb8fe794e"),
        (header(FrameKind::Reply, 300), 1, 2, b"abc", "02810102030405060708ac020102616263694e8f27b2d3483b"),
        (header(FrameKind::Push, 0), 0, 1, b"abc", "028201020304050607080000016162638edad47a27dec033"),
        (header(FrameKind::Refusal, 0), 0, 1, &[2, 2], "028301020304050607080000010202d74839551473d739"),
    ]
}

fn both_ways<T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug>(vectors: &[(T, &str)]) {
    for (value, golden) in vectors {
        assert_eq!(hex(&postcard::to_allocvec(value).unwrap()), *golden, "{value:?}");
        assert_eq!(postcard::from_bytes::<T>(&bytes(golden)).unwrap(), *value);
        for end in 0..golden.len() / 2 {
            assert!(postcard::from_bytes::<T>(&bytes(golden)[..end]).is_err(), "{value:?} cut to {end} bytes");
        }
    }
}

#[test]
fn messages_have_these_bytes() {
    both_ways(&requests());
    both_ways(&replies());
    both_ways(&pushes());
    let (requests, replies) = clocks();
    both_ways(&requests);
    both_ways(&replies);
    // Longer numbers are read over; bytes behind a message are not.
    assert_eq!(message::read::<Request>(&[0x85, 0x00]), Some(Request::Abort));
    assert_eq!(message::read::<Request>(&[0x05, 0xff]), None);
}

#[test]
fn several_pushes_of_a_frame_stand_one_behind_the_other() {
    let goldens: Vec<&str> = pushes().into_iter().map(|(_, golden)| golden).collect();
    let payload = goldens.concat();
    let frame = encode_push_frame(&bytes(&payload), &SessionConfig { schema_id: SESSION, ..SessionConfig::default() });
    assert_eq!(hex(&frame[..frame.len() - 8]), ["0282", "0102030405060708", "000001", &payload].concat());
    let mut rest = Frame::decode(&frame, &SessionConfig::default()).unwrap().payload;
    for (push, _) in pushes() {
        let (read, behind) = postcard::take_from_bytes::<Push>(rest).unwrap();
        assert_eq!(read, push);
        rest = behind;
    }
    assert!(rest.is_empty());
}

#[test]
fn an_answer_lists_what_the_tree_holds() {
    let fingerprint = Fingerprint::from_bytes([0xee; 32]);
    let tree: Snapshot = MerkleTree::from_entries([(KeyHash::from_u128(5), fingerprint)]).snapshot();
    let answer = first_answer(&tree, Width::Short, 100);
    let golden = "01001800000000000000000000000000000005eeeeeeeeeeeeeeee";
    both_ways(&[(answer, golden)]);
}

#[test]
fn frames_have_these_bytes() {
    let unchecked = SessionConfig { checksum: false, ..SessionConfig::default() };
    for (header, fragment, fragments, payload, golden) in frames() {
        let golden = bytes(golden);
        assert_eq!(hex(&header.encode(fragment, fragments, payload, true)), hex(&golden));
        let frame = Frame::decode(&golden, &SessionConfig::default()).unwrap();
        assert_eq!((frame.kind, frame.session, frame.exchange), (header.kind, header.session, header.exchange));
        assert_eq!((frame.fragment, frame.fragments, frame.payload), (fragment, fragments, payload));
        assert_eq!(frame.len_bytes(), golden.len());
        // Without a checksum: bit 7 of the kind is clear and eight bytes less.
        let mut plain = golden[..golden.len() - 8].to_vec();
        plain[1] &= 0x7f;
        assert_eq!(header.encode(fragment, fragments, payload, false), plain);
        assert_eq!(Frame::decode(&plain, &unchecked).unwrap().payload, payload);
        assert_eq!(Frame::decode(&plain, &SessionConfig::default()), Err(Refusal::FrameUnchecked));
    }
    assert_eq!(hex(&encode_version_refusal(SESSION, true)), frames()[3].4);
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_frame_is_refused() {
    let mut all: Vec<Vec<u8>> = frames().into_iter().map(|frame| bytes(frame.4)).collect();
    let header = |kind| Header { kind, session: SESSION, exchange: 1 };
    let messages = requests().into_iter().map(|(_, golden)| (FrameKind::Request, golden));
    let messages = messages.chain(replies().into_iter().map(|(_, golden)| (FrameKind::Reply, golden)));
    let messages = messages.chain(pushes().into_iter().map(|(_, golden)| (FrameKind::Push, golden)));
    all.extend(messages.map(|(kind, golden)| header(kind).encode(0, 1, &bytes(golden), true)));
    for frame in all {
        assert!(Frame::decode(&frame, &SessionConfig::default()).is_ok());
        for end in 0..frame.len() {
            assert!(Frame::decode(&frame[..end], &SessionConfig::default()).is_err(), "cut to {end} bytes");
        }
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&damaged, &SessionConfig::default()).is_err(), "bit {bit} of {}", hex(&frame));
        }
    }
}

#[test]
fn damaged_messages_without_a_checksum_do_no_harm() {
    type Item = Keyed<String, Vec<u8>>;
    let now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };
    let config = SessionConfig { checksum: false, answer_bytes: 200, ..SessionConfig::default() };
    let open = || Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let opening =
        Header { kind: FrameKind::Request, session: 7, exchange: 0 }.encode(0, 1, &bytes(requests()[0].1), false);
    let messages = requests().into_iter().map(|(_, golden)| (FrameKind::Request, golden));
    let messages: Vec<_> =
        messages.chain(replies().into_iter().map(|(_, golden)| (FrameKind::Reply, golden))).collect();
    let mut replica = open();
    (0..40).for_each(|key: u8| drop(replica.write(Keyed::new(key.to_string(), vec![key]), now).unwrap()));
    for (kind, golden) in messages {
        for _ in 0..150 {
            let mut message = bytes(golden);
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..message.len());
                message[at] = random.u8(..);
            }
            message.truncate(random.usize(0..message.len() * 3) + 1);
            let answered = kind == FrameKind::Request;
            let (mut session, exchange) = if answered {
                let first = Frame::decode(&opening, &config).unwrap();
                let mut session = Session::accept_valid(&first, 8, config, now).unwrap();
                session.handle_frame(first, &mut replica, now).unwrap();
                (session, 1)
            } else {
                (Session::open_valid(8, &mut replica, config, now), 0)
            };
            let frame = Header { kind, session: 8, exchange }.encode(0, 1, &message, false);
            session.handle_frame(Frame::decode(&frame, &config).unwrap(), &mut replica, now).unwrap();
            while let SessionOutput::Send(_) = session.poll_output() {}
            let mut damaged = frame;
            let at = random.usize(0..damaged.len());
            damaged[at] = random.u8(..);
            if let Ok(frame) = Frame::decode(&damaged, &config) {
                session.handle_frame(frame, &mut replica, now).unwrap();
            }
        }
    }
    assert!(replica.audit().unwrap().discrepancies.is_empty());
}

#[test]
fn an_inventory_of_short_elements_takes_no_more_than_twice_its_bytes() {
    let keys = (0..100_000).map(|key| (KeyHash::from_u128(key << 64), (Vec::new(), Vec::new())));
    let message = postcard::to_allocvec(&Reply::Inventory(keys.collect::<Vec<_>>().into())).unwrap();
    let Some(Reply::Inventory(Lazy::Arrived { bytes, len })) = postcard::from_bytes(&message).ok() else {
        panic!("read at once")
    };
    assert_eq!(len, 100_000);
    assert!(bytes.capacity() <= 2 * message.len(), "{} of {}", bytes.capacity(), message.len());
}
