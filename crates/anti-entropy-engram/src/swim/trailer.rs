//! The bytes of a trailer (docs/protocol.md, "Trailers").

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anti_entropy::PeerId;
use anti_entropy::summary::Root;
use sha2::{Digest, Sha256};

use crate::gossiper::RootAnnouncement;

/// What a node says behind a message of a failure detector: who it is, where it listens, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The node that sent the datagram. (The message before the trailer may name another one: a relay forwards answers.)
    pub node: PeerId,
    /// Where it listens for comparisons. An unspecified address, such as `0.0.0.0`, stands for the one that the datagram
    /// came from.
    pub listens_at: SocketAddr,
    /// What it holds, of some of its spaces.
    pub announcements: Vec<RootAnnouncement>,
    /// One digest over all spaces that it shares with the receiver, from [`SharedSpaces`](anti_entropy::engine::SharedSpaces),
    /// in place of announcements. A receiver that it was not made for finds that it differs, and no space that does.
    pub shared: Option<Root>,
}

/// Why the end of a datagram is not a trailer, though it says so. Nothing was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedTrailer {
    /// The length is not that of the datagram or of the items.
    #[error("the trailer's lengths contradict each other; it was ignored; the next one will do")]
    Length,
    /// The checksum is wrong.
    #[error("the trailer was damaged on the way; it was ignored; the next one will do")]
    Checksum,
    /// The trailer has another version.
    #[error(
        "the trailer is of version {found}, and this release knows version {}; it was ignored; upgrade the older node",
        Trailer::VERSION
    )]
    OtherVersion {
        /// The version.
        found: u8,
    },
    /// The name is empty or not UTF-8.
    #[error("the trailer names no node; it was ignored; give the sender a name")]
    Name,
    /// An announcement or a digest is malformed.
    #[error("an announcement or a digest in the trailer is malformed; the trailer was ignored; the next one will do")]
    Announcement,
}

/// The kind of an item that is a root announcement.
const ROOT: u8 = 1;

/// The kind of an item that is the digest over all spaces that two nodes share.
const SHARED: u8 = 2;

/// The address and the port.
const ADDRESS_LEN: usize = 18;

/// The length, the checksum and the magic number.
const FOOTER_LEN: usize = 14;

const MAGIC: [u8; 4] = *b"aeSW";

impl Trailer {
    /// The version of the encoding.
    pub const VERSION: u8 = 1;
    /// The longest name of a node, in bytes.
    pub const MAX_NAME_BYTES: usize = 255;
    /// How many bytes each announcement takes.
    pub const ANNOUNCEMENT_BYTES: usize = 2 + RootAnnouncement::LEN;
    /// How many bytes the digest over all shared spaces takes.
    pub const SHARED_BYTES: usize = 2 + Root::LEN;

    /// How many bytes a trailer of this node takes without announcements and digest.
    pub fn base_bytes(node: &PeerId) -> usize {
        2 + node.as_str().len() + ADDRESS_LEN + FOOTER_LEN
    }

    /// Appends the trailer to a message. Gives back whether it did: not if the name is empty or longer than
    /// [`MAX_NAME_BYTES`](Self::MAX_NAME_BYTES), or the announcements have more than 64 KiB.
    pub fn append_to(&self, datagram: &mut Vec<u8>) -> bool {
        let name = self.node.as_str().as_bytes();
        let start = datagram.len();
        let items = self.announcements.len() * Self::ANNOUNCEMENT_BYTES
            + usize::from(self.shared.is_some()) * Self::SHARED_BYTES;
        let length = Self::base_bytes(&self.node) - FOOTER_LEN + items;
        let (Ok(name_length), Ok(length), false) = (u8::try_from(name.len()), u16::try_from(length), name.is_empty())
        else {
            return false;
        };
        datagram.extend([Self::VERSION, name_length]);
        datagram.extend(name);
        datagram.extend(as_v6(self.listens_at.ip()).octets());
        datagram.extend(self.listens_at.port().to_be_bytes());
        for announcement in &self.announcements {
            let bytes = announcement.to_bytes();
            datagram.extend([ROOT, u8::try_from(bytes.len()).expect("49 fits")]);
            datagram.extend(bytes);
        }
        if let Some(digest) = self.shared {
            datagram.extend([SHARED, u8::try_from(Root::LEN).expect("32 fits")]);
            datagram.extend(digest.to_bytes());
        }
        datagram.extend(length.to_be_bytes());
        let checksum = checksum(&datagram[start..]);
        datagram.extend(checksum);
        datagram.extend(MAGIC);
        true
    }

    /// Reads the trailer at the end of a datagram, which may come from anybody. `None` if there is none. Items of a kind that
    /// this release does not know are passed over.
    ///
    /// # Errors
    /// Why the end of the datagram is not a trailer, though the magic number is there.
    pub fn read(datagram: &[u8]) -> Result<Option<Self>, MalformedTrailer> {
        let Some((rest, magic)) = datagram.split_last_chunk() else { return Ok(None) };
        if *magic != MAGIC {
            return Ok(None);
        }
        let (rest, sum) = rest.split_last_chunk::<8>().ok_or(MalformedTrailer::Length)?;
        let (before, length) = rest.split_last_chunk().ok_or(MalformedTrailer::Length)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let start = before.len().checked_sub(length).ok_or(MalformedTrailer::Length)?;
        if checksum(&rest[start..]) != *sum {
            return Err(MalformedTrailer::Checksum);
        }
        Self::read_body(&before[start..]).map(Some)
    }

    fn read_body(body: &[u8]) -> Result<Self, MalformedTrailer> {
        let ([version], body) = take(body)?;
        if version != Self::VERSION {
            return Err(MalformedTrailer::OtherVersion { found: version });
        }
        let ([name_length], body) = take(body)?;
        let (name, body) = body.split_at_checked(name_length.into()).ok_or(MalformedTrailer::Length)?;
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).ok_or(MalformedTrailer::Name)?;
        let (address, body) = take::<16>(body)?;
        let (port, mut items) = take::<2>(body)?;
        let ip = IpAddr::V6(Ipv6Addr::from(address)).to_canonical();
        let (mut announcements, mut shared) = (Vec::new(), None);
        while !items.is_empty() {
            let ([kind, length], rest) = take(items)?;
            let (item, rest) = rest.split_at_checked(length.into()).ok_or(MalformedTrailer::Length)?;
            match kind {
                ROOT => {
                    announcements.push(RootAnnouncement::from_bytes(item).map_err(|_| MalformedTrailer::Announcement)?);
                }
                SHARED => {
                    let digest = item.try_into().map_err(|_| MalformedTrailer::Announcement)?;
                    shared = Some(Root::from_bytes(digest));
                }
                _ => {}
            }
            items = rest;
        }
        let listens_at = SocketAddr::new(ip, u16::from_be_bytes(port));
        Ok(Self { node: name.into(), listens_at, announcements, shared })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), MalformedTrailer> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(MalformedTrailer::Length)?;
    Ok((*taken, rest))
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    *Sha256::digest(bytes).first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySpace;

    fn root() -> Root {
        Root::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }

    fn trailer(announcements: usize) -> Trailer {
        let announcement =
            |number: usize| RootAnnouncement::new(&MemorySpace::new(format!("space {number}")), root(), number as u64);
        let announcements = (0..announcements).map(announcement).collect();
        Trailer { node: "alice".into(), listens_at: "10.0.0.1:7947".parse().unwrap(), announcements, shared: None }
    }

    fn with_digest() -> Trailer {
        Trailer { shared: Some(root()), ..trailer(0) }
    }

    fn encoded(trailer: &Trailer) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(trailer.append_to(&mut bytes));
        bytes
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }

    /// Worked out by a script in Python from docs/protocol.md.
    #[test]
    fn golden_vectors() {
        assert_eq!(hex(&encoded(&trailer(0))), GOLDEN_EMPTY);
        assert_eq!(hex(&encoded(&trailer(1))), GOLDEN_ONE);
        let v6 = Trailer { node: "é".into(), listens_at: "[fd00::1]:65535".parse().unwrap(), ..trailer(0) };
        assert_eq!(hex(&encoded(&v6)), GOLDEN_V6);
        assert_eq!(hex(&encoded(&with_digest())), GOLDEN_SHARED);
    }

    const GOLDEN_EMPTY: &str = "0105616c69636500000000000000000000ffff0a0000011f0b001960cc703cf3d5f28961655357";
    const GOLDEN_ONE: &str = concat!(
        "0105616c69636500000000000000000000ffff0a0000011f0b013101f3058e85a88aae9652883bc986b8667600",
        "0102030405060708090a0b0c0d0e0f00000000000000004512d92cfcef1140004c790710557ce2ca0d61655357"
    );
    const GOLDEN_SHARED: &str = concat!(
        "0105616c69636500000000000000000000ffff0a0000011f0b0220000102030405060708090a0b0c0d0e0f1011",
        "12131415161718191a1b1c1d1e1f003b0176b7fafa9ff6cb61655357"
    );
    const GOLDEN_V6: &str = "0102c3a9fd000000000000000000000000000001ffff00166f09a3a5075ba65661655357";

    #[test]
    fn what_is_appended_is_read_behind_any_message() {
        for (message, announcements) in [(0, 0), (1, 1), (1_000, 7)] {
            let trailer = trailer(announcements);
            let mut datagram = vec![7; message];
            assert!(trailer.append_to(&mut datagram));
            let length = Trailer::base_bytes(&trailer.node) + announcements * Trailer::ANNOUNCEMENT_BYTES;
            assert_eq!(datagram.len(), message + length);
            assert_eq!(Trailer::read(&datagram), Ok(Some(trailer)));
        }
    }

    #[test]
    fn the_digest_over_all_shared_spaces_is_read_again() {
        let bytes = encoded(&with_digest());
        assert_eq!(bytes.len(), Trailer::base_bytes(&"alice".into()) + Trailer::SHARED_BYTES);
        assert_eq!(Trailer::read(&bytes), Ok(Some(with_digest())));
        let body = &bytes[..bytes.len() - FOOTER_LEN];
        let short = [&body[..body.len() - 33], &[31], &body[body.len() - 31..]].concat();
        assert_eq!(Trailer::read(&sealed(&short)), Err(MalformedTrailer::Announcement));
    }

    #[test]
    fn a_datagram_without_a_trailer_has_none() {
        for length in [0, 1, 3, 4, 100] {
            assert_eq!(Trailer::read(&vec![b'a'; length]), Ok(None));
        }
        let whole = encoded(&trailer(2));
        for length in 0..whole.len() {
            assert_eq!(Trailer::read(&whole[..length]), Ok(None), "cut to {length} of {}", whole.len());
        }
    }

    #[test]
    fn each_damaged_bit_is_noticed() {
        let whole = [&[9; 40], &*encoded(&trailer(1))].concat();
        for bit in 8 * 40..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(Trailer::read(&damaged), Ok(Some(_))), "bit {bit}");
        }
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut bytes = [body, &u16::try_from(body.len()).unwrap().to_be_bytes()].concat();
        bytes.extend(checksum(&bytes.clone()));
        bytes.extend(MAGIC);
        bytes
    }

    #[test]
    fn whole_but_senseless_trailers_are_told_by_their_reason() {
        let whole = encoded(&trailer(1));
        let body = &whole[..whole.len() - FOOTER_LEN];
        assert_eq!(sealed(body), whole);
        for length in 0..body.len() {
            let cut = Trailer::read(&sealed(&body[..length]));
            // Without its one announcement it is whole again.
            let items = body.len() - Trailer::ANNOUNCEMENT_BYTES;
            assert_eq!(cut.is_err(), length != items, "cut to {length}: {cut:?}");
        }
        let with = |index: usize, value: u8| {
            let mut body = body.to_vec();
            body[index] = value;
            Trailer::read(&sealed(&body))
        };
        assert_eq!(with(0, 2), Err(MalformedTrailer::OtherVersion { found: 2 }));
        assert_eq!(with(1, 255), Err(MalformedTrailer::Length));
        assert_eq!(with(2, 0xff), Err(MalformedTrailer::Name));
        assert_eq!(with(body.len() - 1, !body[body.len() - 1]), Err(MalformedTrailer::Announcement));
        assert_eq!(Trailer::read(&sealed(&[1, 0, 0])), Err(MalformedTrailer::Name));
        // Nothing before the footer, or a length that goes beyond the datagram.
        assert_eq!(Trailer::read(&MAGIC), Err(MalformedTrailer::Length));
        assert_eq!(Trailer::read(&sealed(body)[1..]), Err(MalformedTrailer::Length));
    }

    #[test]
    fn an_item_of_another_kind_is_passed_over() {
        let whole = encoded(&trailer(1));
        let body = &whole[..whole.len() - FOOTER_LEN];
        let longer = [body, &[200, 3, 1, 2, 3]].concat();
        assert_eq!(Trailer::read(&sealed(&longer)), Ok(Some(trailer(1))));
    }

    #[test]
    fn what_does_not_fit_is_not_appended() {
        let name = |length: usize| Trailer { node: "n".repeat(length).as_str().into(), ..trailer(0) };
        for (trailer, fits) in [
            (name(0), false),
            (name(Trailer::MAX_NAME_BYTES), true),
            (name(Trailer::MAX_NAME_BYTES + 1), false),
            (trailer(1_300), false),
        ] {
            let mut datagram = vec![1, 2, 3];
            assert_eq!(trailer.append_to(&mut datagram), fits);
            assert_eq!(datagram.len() > 3, fits);
        }
    }
}
