//! Sequences of a message, kept as they are encoded.
//!
//! Two bytes can be an element of fifty: questions and answers of a peer would take many times their bytes if their elements
//! were kept as such. So they are read one by one when they are needed.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sequence of elements, one encoding behind the other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Packed<T> {
    bytes: Vec<u8>,
    len: usize,
    element: PhantomData<T>,
}

impl<T> Packed<T> {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), len: 0, element: PhantomData }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl<T: Serialize> Packed<T> {
    /// Adds an element, unless it has no encoding.
    fn try_push(&mut self, element: &T) -> postcard::Result<()> {
        self.bytes = postcard::to_extend(element, core::mem::take(&mut self.bytes))?;
        self.len += 1;
        Ok(())
    }

    pub(super) fn push(&mut self, element: &T) {
        self.try_push(element).expect("numbers and byte strings encode to memory without fail");
    }
}

impl<T: DeserializeOwned> Packed<T> {
    /// Reads the elements one by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let mut bytes = self.bytes.as_slice();
        (0..self.len).map_while(move |_| {
            let (element, rest) = postcard::take_from_bytes(bytes).ok()?;
            bytes = rest;
            Some(element)
        })
    }
}

impl<T: Serialize> FromIterator<T> for Packed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut packed = Self::new();
        elements.into_iter().for_each(|element| packed.push(&element));
        packed
    }
}

impl<T: DeserializeOwned + fmt::Debug> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: DeserializeOwned + Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.len))?;
        for element in self.iter() {
            sequence.serialize_element(&element)?;
        }
        sequence.end()
    }
}

impl<'de, T: Deserialize<'de> + Serialize> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Serialize> Visitor<'de> for Gather<T> {
            type Value = Packed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Packed<T>, A::Error> {
                let mut packed = Packed::new();
                while let Some(element) = sequence.next_element()? {
                    packed.try_push(&element).map_err(A::Error::custom)?;
                }
                Ok(packed)
            }
        }

        deserializer.deserialize_seq(Gather(PhantomData))
    }
}
