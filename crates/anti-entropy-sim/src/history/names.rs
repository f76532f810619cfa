//! Names of writes and hashes of values in a history.

use core::fmt;
use core::str::FromStr;

use anti_entropy::Replicated;
use anti_entropy::clock::Timestamp;
use anti_entropy::value::ContentHash;
use serde::{Deserialize, Serialize};

/// The name of a write or delete: the core's [dot](anti_entropy::clock::Dot) as plain data. As text it is `replica:counter`
/// with the replica id in hexadecimal.
///
/// ```
/// use anti_entropy_sim::history::WriteName;
///
/// let dot: WriteName = "0000000000000000000000000000002a:7".parse()?;
/// assert_eq!(dot, WriteName { replica: 42, counter: 7 });
/// # Ok::<(), anti_entropy_sim::history::InvalidName>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WriteName {
    /// The id of the replica that made it.
    pub replica: u128,
    /// The number of this write or delete among all of that replica, from 1.
    pub counter: u64,
}

/// A hash of 64 bits: of a value, the first eight bytes of its content hash without a timestamp; of a Merkle root or a state,
/// the first eight bytes of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueHash(u64);

impl ValueHash {
    /// The hash with this value.
    pub const fn from_u64(hash: u64) -> Self {
        Self(hash)
    }

    /// The first eight bytes of a longer hash.
    pub fn first_of(hash: &[u8]) -> Self {
        Self(hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The hash of a value, whenever it was written.
    pub fn of_value<V: Replicated>(value: &V) -> Self {
        Self::first_of(ContentHash::of(Timestamp::MIN, value).as_bytes())
    }

    /// The hash as a number.
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

/// A text that is not the name of a write, or not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither the name of a write (replica:counter, the replica in hexadecimal) nor a hash (16 hexadecimal digits)"
)]
pub struct InvalidName(String);

impl From<anti_entropy::clock::Dot> for WriteName {
    fn from(dot: anti_entropy::clock::Dot) -> Self {
        Self { replica: dot.replica.to_u128(), counter: dot.counter }
    }
}

impl FromStr for WriteName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parse = || {
            let (replica, counter) = text.split_once(':')?;
            Some(Self { replica: u128::from_str_radix(replica, 16).ok()?, counter: counter.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidName(text.to_owned()))
    }
}

impl TryFrom<String> for WriteName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<WriteName> for String {
    fn from(dot: WriteName) -> Self {
        format!("{:032x}:{}", dot.replica, dot.counter)
    }
}

impl fmt::Display for WriteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}:{}", self.replica >> 96, self.counter)
    }
}

impl fmt::Debug for WriteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ValueHash {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| InvalidName(text))
    }
}

impl From<ValueHash> for String {
    fn from(hash: ValueHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for ValueHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ValueHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
