//! The bytes around and inside of the seal. The module `swim` defines them.

use super::announce::{ANNOUNCEMENT_BYTES, Announcement};
use super::identity::Identity;
use super::seal::BootId;

/// The longest datagram: what the smallest IPv6 link carries in one packet, less the headers of IPv6 and UDP. Every node
/// takes that much, so it is no setting.
pub(super) const MAX_DATAGRAM_BYTES: usize = 1_280 - 40 - 8;
/// How long a hello is: its padding lets the reply be as long, and not longer.
pub(super) const HELLO_BYTES: usize = 512;
pub(super) const HEADER_BYTES: usize = 18;
pub(super) const TAG_BYTES: usize = 16;
/// The longest contents.
pub(super) const MAX_CONTENTS_BYTES: usize = MAX_DATAGRAM_BYTES - HEADER_BYTES - TAG_BYTES;
const VERSION: u8 = 1;

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Reply = 2,
    Confirm = 3,
    Data = 4,
    Lost = 5,
}

impl Kind {
    /// Whether it is sealed for one life of the receiver.
    pub(super) const fn is_bound(self) -> bool {
        matches!(self, Self::Reply | Self::Confirm | Self::Data)
    }
}

/// What is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) sender: BootId,
    pub(super) counter: u64,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Length,
    OtherVersion,
    Kind,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..10].copy_from_slice(&self.sender.0);
        bytes[10..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    pub(super) fn decode(datagram: &[u8]) -> Result<Self, HeaderError> {
        if datagram.len() < HEADER_BYTES + TAG_BYTES || datagram.len() > MAX_DATAGRAM_BYTES {
            return Err(HeaderError::Length);
        }
        if datagram[0] != VERSION {
            return Err(HeaderError::OtherVersion);
        }
        let kind = match datagram[1] {
            1 => Kind::Hello,
            2 => Kind::Reply,
            3 => Kind::Confirm,
            4 => Kind::Data,
            5 => Kind::Lost,
            _ => return Err(HeaderError::Kind),
        };
        let mut reader = Reader(&datagram[2..]);
        let sender = BootId(reader.array().ok_or(HeaderError::Length)?);
        Ok(Self { kind, sender, counter: reader.u64().ok_or(HeaderError::Length)? })
    }
}

/// The contents of a reply and of a confirm: who we are, bound to what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    /// The counter of the datagram that is answered.
    pub(super) answers: u64,
    pub(super) identity: Identity,
    /// The highest generation known of the receiver's name in another life; 0 if there is none.
    pub(super) known_generation: u32,
    pub(super) announcements: Vec<Announcement>,
}

impl Introduction {
    pub(super) fn encode(&self, contents: &mut Vec<u8>) {
        contents.extend_from_slice(&self.answers.to_be_bytes());
        self.identity.encode(contents);
        contents.extend_from_slice(&self.known_generation.to_be_bytes());
        encode_announcements(&self.announcements, contents);
    }

    pub(super) fn decode(contents: &[u8]) -> Option<Self> {
        let mut reader = Reader(contents);
        let answers = reader.u64()?;
        let identity = Identity::decode(&mut reader)?;
        let known_generation = reader.u32()?;
        let announcements = decode_announcements(&mut reader)?;
        reader.0.is_empty().then_some(Self { answers, identity, known_generation, announcements })
    }
}

/// The contents of a hello: who asks, and zeros.
pub(super) fn encode_hello(identity: &Identity) -> Vec<u8> {
    let mut contents = Vec::with_capacity(HELLO_BYTES);
    identity.encode(&mut contents);
    contents.resize(HELLO_BYTES - HEADER_BYTES - TAG_BYTES, 0);
    contents
}

pub(super) fn decode_hello(contents: &[u8]) -> Option<Identity> {
    let mut reader = Reader(contents);
    let identity = Identity::decode(&mut reader)?;
    let padded = contents.len() == HELLO_BYTES - HEADER_BYTES - TAG_BYTES && reader.0.iter().all(|&byte| byte == 0);
    padded.then_some(identity)
}

/// The number of announcements in one byte, then each: the space in 8 bytes, the state in 32.
pub(super) fn encode_announcements(announcements: &[Announcement], contents: &mut Vec<u8>) {
    let count = u8::try_from(announcements.len()).expect("a datagram holds fewer than 256");
    contents.push(count);
    for announcement in announcements {
        contents.extend_from_slice(&announcement.space.to_be_bytes());
        contents.extend_from_slice(&announcement.state);
    }
}

pub(super) fn decode_announcements(reader: &mut Reader<'_>) -> Option<Vec<Announcement>> {
    let count = usize::from(reader.u8()?);
    // No more memory than bytes have arrived.
    if reader.0.len() < count * ANNOUNCEMENT_BYTES {
        return None;
    }
    (0..count).map(|_| Some(Announcement { space: reader.u64()?, state: reader.array()? })).collect()
}

/// Takes bytes from the front.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
