//! Root announcements: a few bytes beside a failure detector's ping (docs/protocol.md, "Root announcements").

use anti_entropy::summary::Root;
use sha2::{Digest, Sha256};

use crate::Space;

/// What a node holds, in so few bytes that they go along with a ping: enough to see whether there is anything to compare.
///
/// ```
/// use anti_entropy::summary::Root;
/// use anti_entropy_engram::{Space, gossiper::Announcement};
///
/// let announcement = Announcement::new(&Space::new("default"), Root::from_bytes([1; 32]), 7);
/// let bytes = announcement.to_bytes();
/// assert!(bytes.len() <= 64);
/// assert_eq!(Announcement::from_bytes(&bytes), Ok(announcement));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What stands for the space's id: its [channel](Space::channel).
    pub space: u64,
    /// [`Space::agreement`].
    pub agreement: u64,
    /// The first bytes of the Merkle root.
    pub root: [u8; Announcement::ROOT_LEN],
    /// How many rebuilds have changed something since the announcing node was started: for people who look for the node that
    /// lags. Nothing is decided by it.
    pub generation: u64,
}

/// Bytes that are no announcement. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedAnnouncement {
    /// There are not as many bytes as an announcement has.
    #[error(
        "the announcement has {found} bytes instead of {}; nothing was done; hand in what the ping carried as it came",
        Announcement::LEN
    )]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The announcement is of another version.
    #[error(
        "the announcement is of version {found}, and this release knows version {}; nothing was done, and the rounds go on; upgrade the older node",
        Announcement::VERSION
    )]
    OtherVersion {
        /// The version.
        found: u8,
    },
    /// The checksum does not fit.
    #[error("the announcement was damaged on the way; nothing was done; the next one will do")]
    Checksum,
}

impl Announcement {
    /// Length in bytes.
    pub const LEN: usize = 49;
    /// The version that is spoken.
    pub const VERSION: u8 = 1;
    /// How many bytes of a root are announced.
    pub const ROOT_LEN: usize = 16;

    /// What a node announces that holds what the root says.
    pub fn new(space: &Space, root: Root, generation: u64) -> Self {
        Self { space: space.channel(), agreement: space.agreement(), root: first(root.as_bytes()), generation }
    }

    /// The announcement as bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = Self::VERSION;
        bytes[1..9].copy_from_slice(&self.space.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.agreement.to_be_bytes());
        bytes[17..33].copy_from_slice(&self.root);
        bytes[33..41].copy_from_slice(&self.generation.to_be_bytes());
        let checksum = checksum(&bytes[..41]);
        bytes[41..].copy_from_slice(&checksum);
        bytes
    }

    /// The announcement that these bytes are, which come from a peer.
    ///
    /// # Errors
    /// [`MalformedAnnouncement`] says why they are none.
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
            space: u64::from_be_bytes(first(&bytes[1..])),
            agreement: u64::from_be_bytes(first(&bytes[9..])),
            root: first(&bytes[17..]),
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
