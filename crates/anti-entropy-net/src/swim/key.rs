use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anti_entropy::ConfigError;
use serde::{Deserialize, Deserializer};

use crate::hex::{self, NoDigit};
use crate::key_file::warn_if_loose;

/// How much of a file is read: enough for the keys there may be, and a bound if the path is that of a device.
const MAX_FILE_BYTES: u64 = 4 << 10;

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
        Self::from_hex(&read(path.as_ref())?)
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

/// The keys of a cluster: one that datagrams are sent with, and those that are accepted, among them the one that is sent
/// with. There is more than one while the key is being changed. docs/operations.md has the steps.
///
/// ```
/// use anti_entropy_net::swim::{ClusterKey, ClusterKeys};
///
/// let (old, new) = (ClusterKey::new([1; 32]), ClusterKey::new([2; 32]));
/// let first = ClusterKeys::new(old.clone(), [new.clone()]);
/// let second = ClusterKeys::new(new.clone(), [old]);
/// let third = ClusterKeys::from(new);
/// assert!([first, second, third].iter().all(|keys| keys.validate().is_ok()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ClusterKeys {
    sending: ClusterKey,
    /// Further ones that are accepted.
    accepted: Vec<ClusterKey>,
}

/// How keys are written: one, or a list of which the first is sent with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(ClusterKey),
    Several(Vec<ClusterKey>),
}

impl TryFrom<Written> for ClusterKeys {
    type Error = KeyError;

    fn try_from(written: Written) -> Result<Self, KeyError> {
        match written {
            Written::One(key) => Ok(key.into()),
            Written::Several(keys) => Self::of(keys),
        }
    }
}

impl From<ClusterKey> for ClusterKeys {
    fn from(key: ClusterKey) -> Self {
        Self::new(key, [])
    }
}

impl ClusterKeys {
    /// How many keys may be accepted: the old one and the new one, and one more for whoever begins a change before the
    /// last one has ended. Each is tried on what strangers send.
    pub const MAX: usize = 3;

    /// The key that is sent with, and further keys that are accepted.
    pub fn new(sending: ClusterKey, accepted: impl IntoIterator<Item = ClusterKey>) -> Self {
        Self { sending, accepted: accepted.into_iter().collect() }
    }

    /// The keys in a file: one a line, as [`ClusterKey::from_hex`] reads it. The first is sent with, and all are
    /// accepted. Empty lines are ignored.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let text = read(path.as_ref())?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Self::of(lines.map(ClusterKey::from_hex).collect::<Result<_, _>>()?)
    }

    /// Checks that there are no more than [`MAX`](Self::MAX), each once.
    ///
    /// # Errors
    /// [`ConfigError`] names the field `keys`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let keys: Vec<_> = self.all().collect();
        let twice = (1..keys.len()).any(|at| keys[..at].contains(&keys[at]));
        if keys.len() <= Self::MAX && !twice {
            return Ok(());
        }
        let bound = "1 to 3 different keys, of which the first is sent with";
        Err(ConfigError::new("keys", format_args!("{} keys", keys.len()), bound))
    }

    fn of(keys: Vec<ClusterKey>) -> Result<Self, KeyError> {
        let mut keys = keys.into_iter();
        let sending = keys.next().ok_or(KeyError::Length { digits: 0 })?;
        Ok(Self::new(sending, keys))
    }

    /// The key that is sent with.
    pub(super) fn sending(&self) -> &ClusterKey {
        &self.sending
    }

    /// Those that are accepted.
    pub(super) fn all(&self) -> impl Iterator<Item = &ClusterKey> {
        std::iter::once(&self.sending).chain(&self.accepted)
    }
}

fn read(path: &Path) -> Result<String, KeyError> {
    let read = || {
        let file = File::open(path)?;
        warn_if_loose(path);
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| KeyError::File { path: path.to_owned(), source })
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

    use tempfile::NamedTempFile;

    use super::*;

    fn file_of(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn hexadecimal_digits_and_files_of_them_are_keys() -> Result<(), Box<dyn std::error::Error>> {
        let mut bytes = [0xAB; 32];
        bytes[31] = 0x0F;
        let text = format!("{}0F\n", "aB".repeat(31));
        assert_eq!(ClusterKey::from_hex(&text)?, ClusterKey::new(bytes));
        assert_eq!(ClusterKey::from_file(file_of(&text).path())?, ClusterKey::new(bytes));
        assert_eq!(serde_json::from_value::<ClusterKey>(text.into())?, ClusterKey::new(bytes));
        Ok(())
    }

    #[test]
    fn a_file_has_a_key_a_line_and_the_first_is_sent_with() -> Result<(), Box<dyn std::error::Error>> {
        let [old, new] = [1, 2].map(|byte| ClusterKey::new([byte; 32]));
        let text = format!("{}\n\n{}\n", "02".repeat(32), "01".repeat(32));
        let keys = ClusterKeys::from_file(file_of(&text).path())?;
        assert_eq!(keys, ClusterKeys::new(new.clone(), [old.clone()]));
        assert_eq!((keys.sending(), keys.all().collect::<Vec<_>>()), (&new, vec![&new, &old]));
        let one = serde_json::json!("01".repeat(32));
        let several = serde_json::json!(["02".repeat(32), "01".repeat(32)]);
        assert_eq!(serde_json::from_value::<ClusterKeys>(one)?, old.into());
        assert_eq!(serde_json::from_value::<ClusterKeys>(several)?, keys);
        assert!(matches!(ClusterKeys::from_file(file_of("").path()), Err(KeyError::Length { digits: 0 })));
        assert!(serde_json::from_value::<ClusterKeys>(serde_json::json!([])).is_err());
        Ok(())
    }

    #[cfg(all(unix, feature = "tracing"))]
    #[test]
    fn a_file_that_others_may_use_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;

        let file = file_of(&"01".repeat(32));
        for (mode, warned) in [(0o600, 0), (0o400, 0), (0o640, 0), (0o604, 1), (0o660, 1), (0o602, 1)] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let warnings = crate::swim::tests::log::warnings(|| drop(ClusterKeys::from_file(file.path()).unwrap()));
            assert_eq!(warnings.len(), warned, "{mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|line| line.contains("chmod 600") && line.contains(&format!("{mode:o}"))));
        }
    }

    #[test]
    fn there_are_one_to_three_keys_each_once() {
        let validated = |bytes: &[u8]| {
            let keys = bytes.iter().map(|&byte| ClusterKey::new([byte; 32])).collect();
            ClusterKeys::of(keys).unwrap().validate()
        };
        for good in [&[1][..], &[1, 2], &[3, 1, 2]] {
            assert_eq!(validated(good), Ok(()), "{good:?}");
        }
        for bad in [&[1, 1][..], &[1, 2, 1], &[1, 2, 2], &[1, 2, 3, 4]] {
            let error = validated(bad).unwrap_err();
            assert!(error.field == "keys" && error.value == format!("{} keys", bad.len()), "{error}");
        }
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
