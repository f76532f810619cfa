//! The bytes on the wire, as the module `swim` defines them. They were computed by another implementation, too.

use anti_entropy::engine::StateDigest;
use foca::{Codec as _, Header as FocaHeader, Member, Message, State};

use crate::swim::announce::Announcement;
use crate::swim::boot_id::BootId;
use crate::swim::codec::Codec;
use crate::swim::contents::{Introduction, decode_announcements, decode_hello, encode_announcements, encode_hello};
use crate::swim::header::{HELLO_BYTES, Header, Kind};
use crate::swim::identity::Identity;
use crate::swim::key::ClusterKey;
use crate::swim::reader::Reader;
use crate::swim::seal::{BootKey, Sealer};

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

const LOST: &str = "0105010203040506070800000000000000007908b3a5e370a4b733cfa334abda28d2";
const DATA: &str = "0104010203040506070800000000000000012d2238f17e83a8c088cafe3817424e8bc0cca07337f28bfe8f6d6b2e880305a1\
    3f933b7b824dd3abd6e36425df213d15fb166dd841af8b62f5ce828762ba8fa166ec493b27547a";

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
    let introduction =
        Introduction { answers: 258, identity: identity(), known_generation: 2, announcements: vec![announcement()] };
    let mut bytes = Vec::new();
    introduction.encode(&mut bytes);
    assert_eq!(hex(&bytes), format!("0000000000000102{IDENTITY}00000002{}", announced()));
    assert_eq!(Introduction::decode(&bytes).as_ref(), Some(&introduction));
    for end in 0..bytes.len() {
        assert_eq!(Introduction::decode(&bytes[..end]), None, "{end}");
    }
    bytes.push(0);
    assert_eq!(Introduction::decode(&bytes), None, "something follows");
    let hello = encode_hello(&identity());
    assert_eq!(hex(&hello), format!("{IDENTITY:0<956}"));
    assert_eq!((hello.len() + 34, decode_hello(&hello)), (HELLO_BYTES, Some(identity())));
    assert_eq!(decode_hello(&hello[..477]), None);
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
    let mut contents = Vec::new();
    encode_announcements(&[announcement()], &mut contents);
    assert_eq!(hex(&contents), announced());
    assert_eq!(decode_announcements(&mut Reader(&contents)), Some(vec![announcement()]));
    assert_eq!(decode_announcements(&mut Reader(&contents[..40])), None);
    // A ping of generation 3, incarnation 4, to generation 9, number 7, without news.
    contents.extend_from_slice(&[0, 0, 0, 3, 0, 4, 0, 0, 0, 9, 1, 7, 0, 0]);
    let mut sealer = Sealer::new(&key(), BOOT);
    let datagrams = [(Kind::Lost, BootId::UNKNOWN, &[][..], LOST), (Kind::Data, RECEIVER, &contents[..], DATA)];
    for (counter, (kind, receiver, contents, expected)) in (0..).zip(datagrams) {
        let mut datagram = sealer.seal(kind, receiver, contents).unwrap();
        assert_eq!(hex(&datagram), expected, "{kind:?}");
        let header = Header { kind, sender: BOOT, counter };
        assert_eq!(Header::decode(&datagram), Ok(header));
        assert_eq!(
            BootKey::derive(&key(), BOOT).open(header, &mut datagram.clone(), BOOT).is_some(),
            kind == Kind::Lost
        );
        assert_eq!(BootKey::derive(&key(), BOOT).open(header, &mut datagram, RECEIVER), Some(contents));
    }
}
