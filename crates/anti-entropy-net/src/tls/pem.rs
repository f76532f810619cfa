use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};

use crate::key_file::check_mode;

/// The beginning of a block of PEM, which no sensible path contains.
const BEGIN: &str = "-----BEGIN ";

/// The longest file that is read: enough for a thousand certificates, and a bound if the path is that of a device.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Certificates or a key in PEM: the path of a file, or the text itself.
///
/// In a configuration file it is a string: if that contains `-----BEGIN ` it is the text, otherwise a path. [`Debug`]
/// does not show the text, since it may be a key.
///
/// ```
/// use anti_entropy_net::Pem;
///
/// assert_eq!(Pem::from("certificates/node-1.pem"), Pem::File("certificates/node-1.pem".into()));
/// assert!(matches!(Pem::from("-----BEGIN CERTIFICATE-----\n..."), Pem::Text(_)));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Pem {
    /// The path of a file of at most 4 MiB, which is read again when certificates are reloaded.
    File(PathBuf),
    /// The text.
    Text(String),
}

impl Pem {
    pub(crate) fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        self.read_and(|_, _| {})
    }

    /// Reads a private key, and warns if others may read it too.
    pub(crate) fn read_key(&self) -> io::Result<Cow<'_, [u8]>> {
        self.read_and(check_mode)
    }

    fn read_and(&self, look: impl FnOnce(&Path, &fs::File)) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Text(text) => Ok(text.as_bytes().into()),
            Self::File(path) => {
                let mut content = Vec::new();
                let file = fs::File::open(path)?;
                look(path, &file);
                io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE_BYTES + 1), &mut content)?;
                if content.len() as u64 > MAX_FILE_BYTES {
                    return Err(io::Error::other("it is longer than 4 MiB"));
                }
                Ok(content.into())
            }
        }
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        if text.contains(BEGIN) { Self::Text(text) } else { Self::File(text.into()) }
    }
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.into())
    }
}

/// Characters of a path that are not UTF-8 are lost.
impl From<Pem> for String {
    fn from(pem: Pem) -> Self {
        match pem {
            Pem::File(path) => path.to_string_lossy().into_owned(),
            Pem::Text(text) => text,
        }
    }
}

/// The path, or `the text given`.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Text(_) => f.write_str("the text given"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_and_survives_being_written() {
        let key = Pem::from("-----BEGIN PRIVATE KEY-----\nsecret");
        assert_eq!((format!("{key:?}"), key.to_string()), ("Pem(the text given)".into(), "the text given".into()));
        for pem in [key, Pem::from("a/b.pem")] {
            let written = serde_json::to_string(&pem).unwrap();
            assert_eq!(serde_json::from_str::<Pem>(&written).unwrap(), pem);
        }
    }

    #[test]
    fn an_endless_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long.pem");
        fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(Pem::File(path.clone()).read().is_err());
        fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES).unwrap();
        assert!(Pem::File(path).read().is_ok());
    }
}
