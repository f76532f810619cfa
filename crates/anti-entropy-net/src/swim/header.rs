//! The part of a datagram that is not encrypted, and the lengths of datagrams. The module `swim` defines the bytes.

use super::boot_id::BootId;
use super::reader::Reader;

/// The longest datagram: the smallest packet that every IPv6 link carries, less the headers of IPv6 and UDP. Every node
/// accepts that much, so it is not a setting.
pub(super) const MAX_DATAGRAM_BYTES: usize = 1_280 - 40 - 8;
/// The length of a hello. It is padded, so that a reply of the same length is long enough.
pub(super) const HELLO_BYTES: usize = 512;
/// The length of the number that a datagram's key is derived from: of 192 bits, any number can be drawn at random.
pub(super) const NONCE_BYTES: usize = 24;
pub(super) const HEADER_BYTES: usize = 18 + NONCE_BYTES;
pub(super) const TAG_BYTES: usize = 16;
/// The length of what was heard of the receiver, the first in most contents.
pub(super) const HEARD_BYTES: usize = 8;
/// The longest contents.
pub(super) const MAX_CONTENTS_BYTES: usize = MAX_DATAGRAM_BYTES - HEADER_BYTES - TAG_BYTES;
const VERSION: u8 = 2;
/// The shortest datagram of any version.
const SHORTEST_BYTES: usize = 34;

/// The kinds of datagrams.
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
    /// Whether the receiver's boot id is authenticated, so that no other process can decrypt the datagram.
    pub(super) const fn is_bound(self) -> bool {
        matches!(self, Self::Reply | Self::Confirm | Self::Data)
    }
}

/// The part of a datagram that is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) sender: BootId,
    pub(super) counter: u64,
    pub(super) nonce: [u8; NONCE_BYTES],
}

/// Why a header could not be decoded.
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
        bytes[10..18].copy_from_slice(&self.counter.to_be_bytes());
        bytes[18..].copy_from_slice(&self.nonce);
        bytes
    }

    pub(super) fn decode(datagram: &[u8]) -> Result<Self, HeaderError> {
        // First, so that a datagram of version 1, which may be shorter, is called what it is.
        if datagram.len() >= SHORTEST_BYTES && datagram[0] != VERSION {
            return Err(HeaderError::OtherVersion);
        }
        if datagram.len() < HEADER_BYTES + TAG_BYTES || datagram.len() > MAX_DATAGRAM_BYTES {
            return Err(HeaderError::Length);
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
        let counter = reader.u64().ok_or(HeaderError::Length)?;
        let nonce = reader.array().ok_or(HeaderError::Length)?;
        Ok(Self { kind, sender, counter, nonce })
    }
}
