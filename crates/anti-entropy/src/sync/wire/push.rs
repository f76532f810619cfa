//! The encoding of a pushed write or delete (docs/protocol.md, "Pushes").

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::batch::WireValue;
use crate::KeyHash;
use crate::clock::{Dot, Timestamp};
use crate::replica::{ValueBytes, bytes};

/// A local write or delete, for peers that have everything before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Push {
    pub(crate) key: KeyHash,
    pub(crate) dot: Dot,
    /// All writes that the writer had seen at the key, even those that were gone already.
    pub(crate) seen: Vec<Dot>,
    /// What was written; `None` for a delete.
    pub(crate) write: Option<PushedWrite>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushedWrite {
    #[serde(with = "bytes")]
    pub(crate) key: Vec<u8>,
    pub(crate) timestamp: Timestamp,
    pub(crate) value: WireValue,
}

impl Push {
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        self.write.as_ref().map_or_else(ValueBytes::default, |write| write.value.value_bytes())
    }
}
