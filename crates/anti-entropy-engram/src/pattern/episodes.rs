//! The episodes from which a pattern was consolidated.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use anti_entropy::value::{DecodeError, Part};

use crate::PatternProblem;

/// A set of episode ids in ascending order. Cheap to clone: clones share it.
///
/// It is stored as it is sent, in postcard's encoding of a list of strings.
#[derive(Clone, PartialEq, Eq)]
pub struct Episodes(Part);

impl Episodes {
    /// The set of these ids.
    ///
    /// # Errors
    /// If the ids are not in ascending order, or one occurs twice.
    pub fn new(ids: &[String]) -> Result<Self, PatternProblem> {
        for pair in ids.windows(2) {
            match pair[0].cmp(&pair[1]) {
                Ordering::Less => {}
                Ordering::Equal => return Err(PatternProblem::Repeated { value: pair[1].clone() }),
                Ordering::Greater => return Err(PatternProblem::Unsorted { episode: pair[1].clone() }),
            }
        }
        Ok(Self::from_sorted(ids))
    }

    fn from_sorted(ids: &(impl serde::Serialize + ?Sized)) -> Self {
        Self(postcard::to_allocvec(ids).expect("strings serialise").into())
    }

    /// Decodes a set, which may come from a peer or a file.
    pub(crate) fn from_part(part: &Part) -> Result<Self, DecodeError> {
        let bytes = part.as_bytes();
        let ids: Vec<&str> = postcard::from_bytes(bytes).map_err(|_| DecodeError::new("the episodes do not parse"))?;
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::new("the episodes are not in ascending order, each once"));
        }
        if Self::from_sorted(&ids).0 == *part {
            Ok(Self(part.clone()))
        } else {
            Err(DecodeError::new("the episodes are not in canonical form"))
        }
    }

    pub(crate) fn part(&self) -> &Part {
        &self.0
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (count, mut rest) = read::<u64>(self.0.as_bytes());
        (0..count).map(move |_| {
            let (id, behind) = read(rest);
            rest = behind;
            id
        })
    }

    /// How many episodes there are. O(1)
    pub fn len(&self) -> usize {
        let (count, _) = read::<u64>(self.0.as_bytes());
        usize::try_from(count).expect("as many as were held in memory when they were encoded")
    }

    /// Whether there are no episodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The union of these sets. O(n log n), where n is the sum of their lengths
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sets: Vec<&Self> = sets.into_iter().collect();
        // Versions of a pattern mostly have the same episodes.
        sets.dedup();
        match sets.as_slice() {
            [only] => (*only).clone(),
            several => {
                let mut ids = BTreeSet::new();
                for set in several {
                    ids.extend(set.iter());
                }
                Self::from_sorted(&ids)
            }
        }
    }

    /// Whether it is the set of these ids. O(episodes)
    pub(crate) fn are(&self, ids: &[String]) -> bool {
        self.len() == ids.len() && self.iter().eq(ids.iter().map(String::as_str))
    }
}

/// Reads from bytes that were encoded or checked in this file.
fn read<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> (T, &'a [u8]) {
    postcard::take_from_bytes(bytes).expect("checked when the set was made")
}

impl fmt::Debug for Episodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_goes_in_comes_out() {
        for list in [&[][..], &["a"], &["", "a", "b", "é"]] {
            let episodes = Episodes::new(&ids(list)).unwrap();
            assert_eq!(episodes.iter().collect::<Vec<_>>(), list);
            assert_eq!((episodes.len(), episodes.is_empty()), (list.len(), list.is_empty()));
            assert_eq!(Episodes::from_part(episodes.part()), Ok(episodes.clone()));
            assert!(episodes.are(&ids(list)));
            assert!(!episodes.are(&ids(&["z"])));
        }
    }

    #[test]
    fn only_sorted_lists_are_sets() {
        assert_eq!(Episodes::new(&ids(&["b", "a"])), Err(PatternProblem::Unsorted { episode: "a".into() }));
        assert_eq!(Episodes::new(&ids(&["a", "a"])), Err(PatternProblem::Repeated { value: "a".into() }));
        for wrong in [&["b", "a"][..], &["a", "a"]] {
            assert!(Episodes::from_part(Episodes::from_sorted(&ids(wrong)).part()).is_err());
        }
        // The count 0 in two bytes, bytes left over, a length beyond the end, and a count that asks for all memory.
        for wrong in [&[0x80, 0][..], &[0, 0], &[1, 5], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[]] {
            assert!(Episodes::from_part(&wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_union_has_each_once() {
        let set = |list: &[&str]| Episodes::new(&ids(list)).unwrap();
        let [ac, bc, b] = [&["a", "c"][..], &["b", "c"], &["b"]].map(set);
        assert_eq!(Episodes::union([&ac, &bc, &b, &ac]), set(&["a", "b", "c"]));
        assert_eq!(Episodes::union([&b, &b]), b);
        assert_eq!(Episodes::union([&set(&[]), &b]), b);
        assert_eq!(Episodes::union([]), set(&[]));
    }
}
