use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::ReplicaId;

/// The writers whose writes a replica accepts.
///
/// Every writer adds a counter to every clock for ever. So if peers are not trusted, list those that may write. A
/// replica that gets a new id, after a wipe or a restore, has to be listed again.
///
/// ```
/// use anti_entropy::clock::{ReplicaId, WriterPolicy};
///
/// let (known, stranger) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// assert!(WriterPolicy::default().allows(stranger));
///
/// let listed = WriterPolicy::AllowList([known].into());
/// assert!(listed.allows(known) && !listed.allows(stranger));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WriterPolicy {
    /// All writers. The default.
    #[default]
    AllowAll,
    /// Only these replicas.
    AllowList(BTreeSet<ReplicaId>),
}

impl WriterPolicy {
    /// Whether writes of `replica` are accepted. Logarithmic in the length of a list.
    pub fn allows(&self, replica: ReplicaId) -> bool {
        match self {
            Self::AllowAll => true,
            Self::AllowList(listed) => listed.contains(&replica),
        }
    }

    /// The list, if there is one.
    pub(crate) fn listed(&self) -> Option<impl Iterator<Item = ReplicaId> + '_> {
        match self {
            Self::AllowAll => None,
            Self::AllowList(listed) => Some(listed.iter().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_allows_nobody() {
        assert!(!WriterPolicy::AllowList(BTreeSet::new()).allows(ReplicaId::from_u128(1)));
    }

    #[test]
    fn it_survives_encoding() {
        for policy in [WriterPolicy::AllowAll, WriterPolicy::AllowList([ReplicaId::from_u128(5)].into())] {
            let encoded = postcard::to_allocvec(&policy).unwrap();
            assert_eq!(postcard::from_bytes::<WriterPolicy>(&encoded).unwrap(), policy);
        }
    }
}
