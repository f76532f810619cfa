use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::hex::{self, NoDigit};
use crate::key_file::warn_if_loose;

/// The secret key that the nodes of a cluster share: 32 random bytes. Every datagram is encrypted with keys derived
/// from it.
///
/// Make one with `openssl rand -hex 32`. [`Debug`] does not show it.
///
/// ```
/// use anti_entropy_net::swim::ClusterKey;
///
/// let key = ClusterKey::from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
/// assert_eq!(format!("{key:?}"), "ClusterKey(..)");
/// # Ok::<(), anti_entropy_net::swim::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; Self::BYTES]);

impl ClusterKey {
    /// The length of a key.
    pub const BYTES: usize = 32;

    /// The key of these bytes.
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The key that is written as 64 hexadecimal digits. White space around them is ignored.
    ///
    /// # Errors
    /// [`KeyError::Length`] and [`KeyError::Digit`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * Self::BYTES {
            return Err(KeyError::Length { digits: digits.len() });
        }
        hex::read(digits.iter().copied()).map(Self).map_err(|NoDigit { at }| KeyError::Digit { at })
    }

    /// The key in a file, in the form that [`from_hex`](Self::from_hex) reads.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        warn_if_loose(path);
        let text = fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        Self::from_hex(&text)
    }

    pub(super) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

impl<'de> Deserialize<'de> for ClusterKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_hex(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a text or a file gives no cluster key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text does not have 64 characters.
    #[error(
        "a cluster key of {digits} characters was refused: it has 64 hexadecimal digits; nothing was opened; make one \
         with `openssl rand -hex 32`, and give the same to every node"
    )]
    Length {
        /// How many bytes it has.
        digits: usize,
    },
    /// A character is no hexadecimal digit.
    #[error(
        "the cluster key was refused: its character {at}, counted from 0, is no hexadecimal digit; nothing was opened; \
         copy the key again"
    )]
    Digit {
        /// Its place, counted from 0.
        at: usize,
    },
    /// The file cannot be read.
    #[error(
        "the cluster key cannot be read from {}: {source}; nothing was opened; correct the path, or let this user \
         read the file", path.display()
    )]
    File {
        /// The path that was asked for.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn hexadecimal_digits_and_files_of_them_are_keys() {
        let mut bytes = [0xAB; 32];
        bytes[31] = 0x0F;
        let text = format!("{}0F\n", "aB".repeat(31));
        assert_eq!(ClusterKey::from_hex(&text).unwrap(), ClusterKey::new(bytes));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        assert_eq!(ClusterKey::from_file(file.path()).unwrap(), ClusterKey::new(bytes));
        assert_eq!(serde_json::from_value::<ClusterKey>(text.into()).unwrap(), ClusterKey::new(bytes));
    }

    #[test]
    fn errors_say_what_is_wrong_and_not_what_the_key_is() {
        assert!(matches!(ClusterKey::from_hex("abc"), Err(KeyError::Length { digits: 3 })));
        let refused = ClusterKey::from_hex(&format!("{}x{}", "7".repeat(40), "7".repeat(23))).unwrap_err();
        assert!(matches!(refused, KeyError::Digit { at: 40 }) && !refused.to_string().contains("77"), "{refused}");
        assert!(matches!(ClusterKey::from_file("/nowhere/at/all"), Err(KeyError::File { .. })));
        assert!(ClusterKey::from_hex(&"é".repeat(32)).is_err(), "64 bytes of other characters");
    }
}
