//! The bytes on the wire, as the module `swim` defines them. They were computed by another implementation, too.

use anti_entropy::engine::StateDigest;
use foca::{Codec as _, Header as FocaHeader, Member, Message, State};

use crate::cluster_name::ClusterName;
use crate::swim::announce::Announcement;
use crate::swim::boot_id::BootId;
use crate::swim::codec::Codec;
use crate::swim::contents::{
    Heard, Introduction, decode_announcements, decode_hello, encode_announcements, encode_hello,
};
use crate::swim::entropy::{Entropy, NoEntropy};
use crate::swim::header::{HELLO_BYTES, Header, HeaderError, Kind};
use crate::swim::identity::Identity;
use crate::swim::key::{ClusterKey, ClusterKeys};
use crate::swim::reader::Reader;
use crate::swim::seal::{Opener, Sealer};

const BOOT: BootId = BootId([1, 2, 3, 4, 5, 6, 7, 8]);
const RECEIVER: BootId = BootId([0xA1; 8]);

fn key() -> ClusterKey {
    ClusterKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

fn identity() -> Identity {
    Identity {
        name: "node-1".into(),
        generation: 3,
        boot: BOOT,
        address: "192.0.2.1:7946".parse().unwrap(),
        transport: "[2001:db8::1]:7001".parse().unwrap(),
        zone: Some("north".into()),
    }
}

const IDENTITY: &str = "066e6f64652d31\
    00000003\
    0102030405060708\
    04c00002011f0a\
    0620010db80000000000000000000000011b59\
    056e6f727468";

const LOST: &str = "0205010203040506070800000000000000000ac7e6937732788c451dd6285b7b907423db86d4879185c9094a069fe9fb5505\
    68e9874c786e8fb2";
const DATA: &str = "02040102030405060708000000000000000196b95aeabc9cceb1d9baa731acb18a67a3e0cac1514626461f11c1389fa97a80\
    e949711fdb12a13641056b139ad4775d3c9e842361a5b7635205cf71275966bb6f0c59e8845e6a6bfc151719808256a49c00972a2e35ee8791\
    1ca2fd01f3617923cc40e3bf6585";
/// The start of a hello, and its tag.
const HELLO: [&str; 2] = [
    "020101020304050607080000000000000002dda05b3c9219c052d4600f38b659a545e2af757acfc8f5fde3967d1b2706cd3136101721f54fdad2\
     a913",
    "f7955d3ccf0965ef12861f962755acea",
];

/// The secret and the random bytes of the golden datagrams are all of this one.
struct Constant(u8);

impl Entropy for Constant {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(self.0);
        Ok(())
    }
}

fn cluster() -> ClusterName {
    ClusterName::new("test").unwrap()
}

fn announcement() -> Announcement {
    Announcement { space: 5, state: StateDigest::from_bytes([0xEE; 32]) }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    crate::hex::write(bytes, &mut text).unwrap();
    text
}

fn announced() -> String {
    format!("010000000000000005{}", "ee".repeat(32))
}

#[test]
fn identities_and_introductions() {
    let mut bytes = Vec::new();
    identity().encode(&mut bytes);
    assert_eq!(hex(&bytes), IDENTITY);
    assert_eq!(Identity::decode(&mut Reader(&bytes)), Some(identity()));
    let introduction = Introduction {
        heard: Heard(77),
        answers: 258,
        identity: identity(),
        known_generation: 2,
        announcements: vec![announcement()],
    };
    let mut bytes = Vec::new();
    introduction.encode(&mut bytes);
    assert_eq!(hex(&bytes), format!("000000000000004d0000000000000102{IDENTITY}00000002{}", announced()));
    assert_eq!(Introduction::decode(&bytes).as_ref(), Some(&introduction));
    for end in 0..bytes.len() {
        assert_eq!(Introduction::decode(&bytes[..end]), None, "{end}");
    }
    bytes.push(0);
    assert_eq!(Introduction::decode(&bytes), None, "something follows");
    let hello = encode_hello(&cluster(), &identity());
    assert_eq!(hex(&hello), format!("{:0<908}", format!("0474657374{IDENTITY}")));
    assert_eq!((hello.len() + 58, decode_hello(&hello)), (HELLO_BYTES, Some((cluster(), identity()))));
    assert_eq!(decode_hello(&hello[..453]), None);
}

#[test]
fn identities_that_make_no_sense_are_refused() {
    type Spoil = fn(&mut Vec<u8>);
    let mut whole = Vec::new();
    identity().encode(&mut whole);
    let spoils: [(&str, Spoil); 8] = [
        ("no name", |bytes| drop(bytes.splice(0..7, [0]))),
        ("a name that is no UTF-8", |bytes| bytes[1] = 0xFF),
        ("generation 0", |bytes| bytes[10] = 0),
        ("boot id 0", |bytes| bytes[11..19].fill(0)),
        ("an address of no family", |bytes| bytes[19] = 5),
        ("a zone that is no UTF-8", |bytes| bytes[47] = 0xFF),
        ("a zone of 33 bytes", |bytes| drop(bytes.splice(45..46, [33; 30]))),
        ("a zone that ends early", |bytes| bytes.truncate(50)),
    ];
    for (what, spoil) in spoils {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        assert_eq!(Identity::decode(&mut Reader(&bytes)), None, "{what}");
    }
}

#[test]
fn messages() {
    let other = || Identity { name: "b".into(), generation: 9, boot: RECEIVER, zone: None, ..identity() };
    // To the codec of the receiver.
    let mut codec = Codec::new(other());
    codec.context().sender = identity();
    let target = identity();
    let about = format!("07{IDENTITY}");
    let messages = [
        (Message::Ping(7), "0107".to_owned()),
        (Message::Ack(7), "0207".to_owned()),
        (Message::PingReq { target: target.clone(), probe_number: 7 }, format!("03{about}")),
        (Message::IndirectPing { origin: target.clone(), probe_number: 7 }, format!("04{about}")),
        (Message::IndirectAck { target: target.clone(), probe_number: 7 }, format!("05{about}")),
        (Message::ForwardedAck { origin: target, probe_number: 7 }, format!("06{about}")),
        (Message::Announce, "07".to_owned()),
        (Message::Feed, "08".to_owned()),
        (Message::Gossip, "09".to_owned()),
        (Message::TurnUndead, "0b".to_owned()),
    ];
    for (message, expected) in messages {
        let header = FocaHeader { src: identity(), src_incarnation: 4, dst: other(), message };
        let mut bytes = Vec::new();
        codec.encode_header(&header, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), format!("00000003000400000009{expected}"));
        assert_eq!(codec.decode_header(&bytes[..]), Ok(header));
        assert!((0..bytes.len()).all(|end| codec.decode_header(&bytes[..end]).is_err()));
    }
    for (state, expected) in [(State::Alive, "00"), (State::Suspect, "01"), (State::Down, "02")] {
        let member = Member::new(identity(), 4, state);
        let mut bytes = Vec::new();
        codec.encode_member(&member, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), format!("{IDENTITY}0004{expected}"));
        assert_eq!(codec.decode_member(&bytes[..]), Ok(member));
        assert!((0..bytes.len()).all(|end| codec.decode_member(&bytes[..end]).is_err()));
    }
}

#[test]
fn sealed_datagrams() {
    let mut announced = Vec::new();
    encode_announcements(&[announcement()], &mut announced);
    assert_eq!(hex(&announced), self::announced());
    assert_eq!(decode_announcements(&mut Reader(&announced)), Some(vec![announcement()]));
    assert_eq!(decode_announcements(&mut Reader(&announced[..40])), None);
    // A ping of generation 3, incarnation 4, to generation 9, number 7, without news.
    let ping = [0, 0, 0, 3, 0, 4, 0, 0, 0, 9, 1, 7, 0, 0];
    let mut data = Vec::new();
    Heard(77).encode(&mut data);
    data.extend_from_slice(&announced);
    data.extend_from_slice(&ping);
    let keys = ClusterKeys::from(key());
    let mut sealer = Sealer::new(&keys, cluster(), BOOT, Box::new(Constant(0x5A))).unwrap();
    let opener = Opener::new(&keys, cluster());
    let hello = encode_hello(&cluster(), &identity());
    let datagrams = [
        (Kind::Lost, BootId::UNKNOWN, &[][..], [LOST, ""]),
        (Kind::Data, RECEIVER, &data[..], [DATA, ""]),
        (Kind::Hello, BootId::UNKNOWN, &hello[..], HELLO),
    ];
    for (counter, (kind, receiver, contents, [start, end])) in (0..).zip(datagrams) {
        let datagram = sealer.seal(kind, receiver, contents).unwrap();
        assert!(hex(&datagram).starts_with(start) && hex(&datagram).ends_with(end), "{kind:?}: {}", hex(&datagram));
        assert!(kind == Kind::Hello || hex(&datagram) == start);
        let header = Header::decode(&datagram).unwrap();
        assert_eq!((header.kind, header.sender, header.counter), (kind, BOOT, counter));
        let contained = [BOOT, RECEIVER].map(|receiver| opener.open(&header, &datagram, receiver));
        let to_anybody = (kind != Kind::Data).then(|| contents.to_vec());
        assert_eq!(contained, [to_anybody, Some(contents.to_vec())], "{kind:?}");
    }
}

#[test]
fn version_1_is_called_another_version_however_short_it_is() {
    for length in [34, 57, 58, 1_232] {
        assert_eq!(Header::decode(&vec![1; length]), Err(HeaderError::OtherVersion), "{length}");
    }
    for (length, byte) in [(0, 1), (1, 1), (33, 1), (57, 2), (1_233, 2)] {
        assert_eq!(Header::decode(&vec![byte; length]), Err(HeaderError::Length), "{length}");
    }
}
