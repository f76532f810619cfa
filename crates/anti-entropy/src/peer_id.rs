use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The name of a peer, as the transport and the operator know it: a host name, a node name, or a fingerprint.
///
/// A peer id says where to send frames. A [`ReplicaId`](crate::clock::ReplicaId) names the history of one store: a node
/// that has lost its store comes back as the same peer, and as another replica.
///
/// ```
/// use anti_entropy::PeerId;
///
/// let peer = PeerId::from("node-1");
/// assert_eq!(peer.as_str(), "node-1");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({:?})", &self.0)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PeerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = alloc::string::String::deserialize(deserializer)?;
        Ok(Self(name.into()))
    }
}
