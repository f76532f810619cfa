//! `engram_core::types`: how a space is named.

use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not 3 to 64 of a-z, 0-9, '-' and '_'")]
pub struct MemorySpaceIdError(String);

#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct MemorySpaceId(Arc<str>);

impl MemorySpaceId {
    pub fn new<S: AsRef<str>>(value: S) -> Result<Self, MemorySpaceIdError> {
        let name = value.as_ref().trim();
        let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if (3..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
            Ok(Self(name.into()))
        } else {
            Err(MemorySpaceIdError(name.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MemorySpaceId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl TryFrom<&str> for MemorySpaceId {
    type Error = MemorySpaceIdError;

    fn try_from(value: &str) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl fmt::Display for MemorySpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
