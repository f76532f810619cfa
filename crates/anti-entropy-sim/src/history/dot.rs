//! Names of writes and hashes of values, as a history has them.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of one write or delete, in text `replica:counter` with the replica id in hexadecimal.
///
/// ```
/// use anti_entropy_sim::history::Dot;
///
/// let dot: Dot = "0000000000000000000000000000002a:7".parse()?;
/// assert_eq!(dot, Dot { replica: 42, counter: 7 });
/// # Ok::<(), anti_entropy_sim::history::NoDot>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dot {
    /// The replica id under which it was made.
    pub replica: u128,
    /// Counts the writes and deletes made under that id, from 1.
    pub counter: u64,
}

/// A hash of what counts of a value: the first eight bytes of its content hash without a timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueHash(pub u64);

/// A text that names no write, or is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a write (replica:counter, the replica in hexadecimal) or hash (16 hexadecimal digits)")]
pub struct NoDot(String);

impl From<anti_entropy::clock::Dot> for Dot {
    fn from(dot: anti_entropy::clock::Dot) -> Self {
        Self { replica: dot.replica.to_u128(), counter: dot.counter }
    }
}

impl FromStr for Dot {
    type Err = NoDot;

    fn from_str(text: &str) -> Result<Self, NoDot> {
        let parse = || {
            let (replica, counter) = text.split_once(':')?;
            Some(Self { replica: u128::from_str_radix(replica, 16).ok()?, counter: counter.parse().ok()? })
        };
        parse().ok_or_else(|| NoDot(text.to_owned()))
    }
}

impl TryFrom<String> for Dot {
    type Error = NoDot;

    fn try_from(text: String) -> Result<Self, NoDot> {
        text.parse()
    }
}

impl From<Dot> for String {
    fn from(dot: Dot) -> Self {
        format!("{:032x}:{}", dot.replica, dot.counter)
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}:{}", self.replica >> 96, self.counter)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ValueHash {
    type Error = NoDot;

    fn try_from(text: String) -> Result<Self, NoDot> {
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| NoDot(text))
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
