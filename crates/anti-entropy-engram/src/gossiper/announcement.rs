//! Root announcements: 49 bytes that travel with a failure detector's ping (docs/protocol.md, "Root announcements").

use anti_entropy::summary::Root;
use sha2::{Digest, Sha256};

use crate::MemorySpace;

/// A node's root in 49 bytes, few enough to travel with a ping. A node that receives one learns whether the two have
/// anything to compare.
///
/// ```
/// use anti_entropy::summary::Root;
/// use anti_entropy_engram::{MemorySpace, gossiper::RootAnnouncement};
///
/// let announcement = RootAnnouncement::new(&MemorySpace::new("default"), Root::from_bytes([1; 32]), 7);
/// let bytes = announcement.to_bytes();
/// assert!(bytes.len() <= 64);
/// assert_eq!(RootAnnouncement::from_bytes(&bytes), Ok(announcement));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootAnnouncement {
    /// The space's [channel](MemorySpace::channel), which stands for its id.
    pub channel: u64,
    /// The [schema id](MemorySpace::schema_id) of the space's settings.
    pub schema_id: u64,
    /// The first bytes of the Merkle root.
    pub root_prefix: [u8; RootAnnouncement::ROOT_LEN],
    /// How many rebuilds have changed something since the announcing node started. It helps an operator to find a node that
    /// lags; the receiver does not use it.
    pub generation: u64,
}

/// Why bytes are not an announcement. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedAnnouncement {
    /// The number of bytes is wrong.
    #[error(
        "the announcement has {found} bytes instead of {}; nothing was done; hand in what the ping carried as it came",
        RootAnnouncement::LEN
    )]
    Length {
        /// How many bytes there are.
        found: usize,
    },
    /// The announcement has another version.
    #[error(
        "the announcement is of version {found}, and this release knows version {}; nothing was done, and the rounds go on; upgrade the older node",
        RootAnnouncement::VERSION
    )]
    OtherVersion {
        /// The version.
        found: u8,
    },
    /// The checksum is wrong.
    #[error("the announcement was damaged on the way; nothing was done; the next one will do")]
    Checksum,
}

impl RootAnnouncement {
    /// The length of an encoded announcement in bytes.
    pub const LEN: usize = 49;
    /// The version of the encoding.
    pub const VERSION: u8 = 1;
    /// How many bytes of the root an announcement has.
    pub const ROOT_LEN: usize = 16;

    /// The announcement of a node in this space that has this root.
    pub fn new(space: &MemorySpace, root: Root, generation: u64) -> Self {
        Self { channel: space.channel(), schema_id: space.schema_id(), root_prefix: first(root.as_bytes()), generation }
    }

    /// Encodes the announcement.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = Self::VERSION;
        bytes[1..9].copy_from_slice(&self.channel.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.schema_id.to_be_bytes());
        bytes[17..33].copy_from_slice(&self.root_prefix);
        bytes[33..41].copy_from_slice(&self.generation.to_be_bytes());
        let checksum = checksum(&bytes[..41]);
        bytes[41..].copy_from_slice(&checksum);
        bytes
    }

    /// Decodes an announcement, which may come from any peer.
    ///
    /// # Errors
    /// Why the bytes are not an announcement.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedAnnouncement> {
        let length = MalformedAnnouncement::Length { found: bytes.len() };
        let version = *bytes.first().ok_or(length)?;
        if version != Self::VERSION {
            return Err(MalformedAnnouncement::OtherVersion { found: version });
        }
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| length)?;
        if checksum(&bytes[..41]) != bytes[41..] {
            return Err(MalformedAnnouncement::Checksum);
        }
        Ok(Self {
            channel: u64::from_be_bytes(first(&bytes[1..])),
            schema_id: u64::from_be_bytes(first(&bytes[9..])),
            root_prefix: first(&bytes[17..]),
            generation: u64::from_be_bytes(first(&bytes[33..])),
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    first(&Sha256::digest(bytes))
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("a hash, or the rest of bytes of a known length, is long enough")
}
