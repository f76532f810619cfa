//! Sequences of a message, which are read element by element when they are needed.
//!
//! Two bytes can be an element of seventy: a message of 63 MiB would take gigabytes if it were read at once. So what
//! arrives is checked once, one element after the other, and kept as bytes.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sequence that was made here, or has arrived.
#[derive(Clone)]
pub(crate) enum Lazy<T> {
    Made(Vec<T>),
    /// So many elements, one behind the other.
    Arrived {
        bytes: Vec<u8>,
        len: usize,
    },
}

impl<T> Lazy<T> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Made(elements) => elements.len(),
            Self::Arrived { len, .. } => *len,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone + DeserializeOwned> Lazy<T> {
    /// Reads the elements one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cow<'_, T>> {
        let (made, bytes) = match self {
            Self::Made(elements) => (elements.as_slice(), &[][..]),
            Self::Arrived { bytes, .. } => (&[][..], bytes.as_slice()),
        };
        made.iter().map(Cow::Borrowed).chain(Read::new(bytes).map(Cow::Owned))
    }

    /// The elements, all of them at once.
    #[cfg(test)]
    pub(crate) fn make_mut(&mut self) -> &mut Vec<T> {
        if let Self::Arrived { .. } = self {
            *self = Self::Made(self.iter().map(Cow::into_owned).collect());
        }
        match self {
            Self::Made(elements) => elements,
            Self::Arrived { .. } => unreachable!("they were made just now"),
        }
    }
}

/// Reads elements off the front of bytes that were checked.
struct Read<'a, T>(&'a [u8], PhantomData<T>);

impl<'a, T> Read<'a, T> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes, PhantomData)
    }
}

impl<T: DeserializeOwned> Iterator for Read<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.0.is_empty() {
            return None;
        }
        let (element, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(element)
    }
}

impl<T: Clone + DeserializeOwned> IntoIterator for Lazy<T> {
    type Item = T;
    type IntoIter = LazyIter<T>;

    fn into_iter(self) -> LazyIter<T> {
        match self {
            Self::Made(elements) => LazyIter::Made(elements.into_iter()),
            Self::Arrived { bytes, .. } => LazyIter::Arrived { bytes, at: 0, element: PhantomData },
        }
    }
}

/// The elements of a sequence, by value.
pub(crate) enum LazyIter<T> {
    Made(alloc::vec::IntoIter<T>),
    Arrived { bytes: Vec<u8>, at: usize, element: PhantomData<T> },
}

impl<T: DeserializeOwned> Iterator for LazyIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let (bytes, at) = match self {
            Self::Made(elements) => return elements.next(),
            Self::Arrived { bytes, at, .. } => (bytes, at),
        };
        let mut read = Read::new(bytes.get(*at..)?);
        let element = read.next();
        *at = bytes.len() - read.0.len();
        element
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self::Made(Vec::new())
    }
}

impl<T> From<Vec<T>> for Lazy<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::Made(elements)
    }
}

impl<T: Clone + DeserializeOwned + PartialEq> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Clone + DeserializeOwned + Eq> Eq for Lazy<T> {}

impl<T> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} elements]", self.len())
    }
}

impl<T: Clone + DeserializeOwned + Serialize> Serialize for Lazy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Made(elements) => elements.serialize(serializer),
            Self::Arrived { len, .. } => {
                let mut sequence = serializer.serialize_seq(Some(*len))?;
                for element in self.iter() {
                    sequence.serialize_element(&element)?;
                }
                sequence.end()
            }
        }
    }
}

impl<'de, T: DeserializeOwned + Serialize> Deserialize<'de> for Lazy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned + Serialize> Visitor<'de> for Gather<T> {
            type Value = Lazy<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Lazy<T>, A::Error> {
                let (mut bytes, mut len) = (Vec::new(), 0);
                while let Some(element) = sequence.next_element::<T>()? {
                    bytes = postcard::to_extend(&element, bytes).map_err(A::Error::custom)?;
                    len += 1;
                }
                Ok(Lazy::Arrived { bytes, len })
            }
        }

        deserializer.deserialize_seq(Gather(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::cell::Cell;
    use std::thread_local;

    use super::*;

    thread_local! {
        static ALIVE: Cell<usize> = const { Cell::new(0) };
        static PEAK: Cell<usize> = const { Cell::new(0) };
    }

    /// An element that counts how many of them there are at a time.
    #[derive(Debug, PartialEq, Eq, Serialize)]
    struct Counted(u8);

    impl Counted {
        fn new(value: u8) -> Self {
            ALIVE.set(ALIVE.get() + 1);
            PEAK.set(PEAK.get().max(ALIVE.get()));
            Self(value)
        }
    }

    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u8::deserialize(deserializer).map(Self::new)
        }
    }

    impl Clone for Counted {
        fn clone(&self) -> Self {
            Self::new(self.0)
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.set(ALIVE.get() - 1);
        }
    }

    #[test]
    fn sequences_within_sequences_are_read_element_by_element_too() {
        let elements = |_| -> Lazy<Counted> { (0..100).map(Counted::new).collect::<Vec<_>>().into() };
        let encoded = postcard::to_allocvec(&(0..3).map(elements).collect::<Vec<_>>()).unwrap();
        assert_eq!(ALIVE.get(), 0);
        PEAK.set(0);
        let arrived: Lazy<Lazy<Counted>> = postcard::from_bytes(&encoded).unwrap();
        assert_eq!(arrived.iter().map(|inner| inner.iter().count()).sum::<usize>(), 300);
        assert_eq!(postcard::to_allocvec(&arrived).unwrap(), encoded);
        assert_eq!((ALIVE.get(), PEAK.get()), (0, 1));
    }

    #[test]
    fn what_arrived_takes_no_more_than_its_bytes_and_reads_as_it_was() {
        let made: Lazy<(u8, Vec<u64>)> = vec![(1, vec![]), (2, vec![300; 3]), (3, vec![])].into();
        let encoded = postcard::to_allocvec(&made).unwrap();
        let mut arrived: Lazy<(u8, Vec<u64>)> = postcard::from_bytes(&encoded).unwrap();
        let Lazy::Arrived { bytes, len: 3 } = &arrived else { panic!("{arrived:?}") };
        assert_eq!(bytes.len() + 1, encoded.len());
        assert_eq!((arrived.len(), arrived == made), (3, true));
        assert_eq!(postcard::to_allocvec(&arrived).unwrap(), encoded);
        assert_eq!(arrived.clone().into_iter().map(|element| element.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(made.clone().into_iter().count(), 3);
        arrived.make_mut().pop();
        assert!(arrived != made && arrived.iter().eq(made.iter().take(2)));
        for end in 0..encoded.len() {
            assert!(postcard::from_bytes::<Lazy<(u8, Vec<u64>)>>(&encoded[..end]).is_err(), "cut to {end}");
        }
    }
}
