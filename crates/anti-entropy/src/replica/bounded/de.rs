//! The way in: a deserializer around postcard's, and around that of each part of a value.

use core::any::type_name;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Excess, Level};

/// Decodes as `inner` does, within bounds. Written for postcard's, which calls a visitor only by the methods that
/// [`Inside`] has.
pub(super) struct Bounded<'a, D> {
    inner: D,
    level: Level<'a>,
}

impl<'a, D> Bounded<'a, D> {
    pub(super) fn new(inner: D, level: Level<'a>) -> Self {
        Self { inner, level }
    }
}

macro_rules! forward {
    ($($method:ident)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier deserialize_ignored_any
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Inside { visitor, level: self.level, lengths: Lengths::OfType })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let inside = Inside { visitor, level: self.level, lengths: Lengths::OfType };
        self.inner.deserialize_newtype_struct(name, inside)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let level = self.level.enter().map_err(D::Error::custom)?;
        refuse_unordered::<V::Value>(level).map_err(D::Error::custom)?;
        self.inner.deserialize_seq(Inside { visitor, level, lengths: Lengths::Claimed })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        let inside = Inside { visitor, level: self.level, lengths: Lengths::OfType };
        self.inner.deserialize_tuple(length, inside)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let inside = Inside { visitor, level: self.level, lengths: Lengths::OfType };
        self.inner.deserialize_tuple_struct(name, length, inside)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let level = self.level.enter().map_err(D::Error::custom)?;
        refuse_unordered::<V::Value>(level).map_err(D::Error::custom)?;
        if !type_name::<V::Value>().starts_with("alloc::collections::btree::map::BTreeMap<") {
            level.tally.maps.set(true);
        }
        self.inner.deserialize_map(Inside { visitor, level, lengths: Lengths::Claimed })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let inside = Inside { visitor, level: self.level, lengths: Lengths::OfType };
        self.inner.deserialize_struct(name, fields, inside)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let inside = Inside { visitor, level: self.level, lengths: Lengths::OfType };
        self.inner.deserialize_enum(name, variants, inside)
    }
}

/// Refuses the collections that have no order. Deserialisation shows their type, which serialisation does not.
///
/// The compiler does not promise what it names a type. Should these names change, such values are still found out with
/// the probability that docs/design states, as those of other types without order are.
fn refuse_unordered<T>(level: Level<'_>) -> Result<(), &'static str> {
    const UNORDERED: [&str; 6] = [
        "std::collections::hash::map::HashMap<",
        "std::collections::hash::set::HashSet<",
        "hashbrown::map::HashMap<",
        "hashbrown::set::HashSet<",
        "dashmap::DashMap<",
        "dashmap::set::DashSet<",
    ];
    let name = type_name::<T>();
    if UNORDERED.iter().any(|unordered| name.starts_with(unordered)) {
        return Err(level.tally.exceed(Excess::Unordered));
    }
    Ok(())
}

/// Who says how many elements follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// The type does.
    OfType,
    /// The bytes do.
    Claimed,
}

/// A visitor, a seed or an access to the parts of a value: what it hands on is within bounds too.
struct Inside<'a, V> {
    visitor: V,
    level: Level<'a>,
    lengths: Lengths,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Inside<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let level = self.level.enter().map_err(D::Error::custom)?;
        self.visitor.visit_some(Bounded { inner, level })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Bounded { inner, level: self.level })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let claim = Claim::of(self.lengths, inner.size_hint(), self.level).map_err(A::Error::custom)?;
        self.visitor.visit_seq(Elements { inner, level: self.level, claim })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let claim = Claim::of(self.lengths, inner.size_hint(), self.level).map_err(A::Error::custom)?;
        self.visitor.visit_map(Elements { inner, level: self.level, claim })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Variant { inner, level: self.level })
    }
}

/// Whether the elements of a collection were charged before the first is decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Charged,
    /// The length is not known, or cannot be true: each element is charged when it is there, and no room is made.
    EachElement,
}

impl Claim {
    fn of(lengths: Lengths, claimed: Option<usize>, level: Level<'_>) -> Result<Self, &'static str> {
        match (lengths, claimed) {
            (Lengths::OfType, _) => Ok(Self::Charged),
            (Lengths::Claimed, Some(elements)) => level.tally.claim(elements).map(|()| Self::Charged),
            (Lengths::Claimed, None) => Ok(Self::EachElement),
        }
    }

    fn element(self, level: Level<'_>) -> Result<(), &'static str> {
        match self {
            Self::Charged => Ok(()),
            Self::EachElement => level.tally.claim(1),
        }
    }
}

struct Elements<'a, A> {
    inner: A,
    level: Level<'a>,
    claim: Claim,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let element = self.inner.next_element_seed(Seed { seed, level: self.level })?;
        if element.is_some() {
            self.claim.element(self.level).map_err(A::Error::custom)?;
        }
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().filter(|_| self.claim == Claim::Charged)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let key = self.inner.next_key_seed(Seed { seed, level: self.level })?;
        if key.is_some() {
            self.claim.element(self.level).map_err(A::Error::custom)?;
        }
        Ok(key)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(Seed { seed, level: self.level })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().filter(|_| self.claim == Claim::Charged)
    }
}

struct Seed<'a, T> {
    seed: T,
    level: Level<'a>,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.seed.deserialize(Bounded { inner, level: self.level })
    }
}

struct Variant<'a, A> {
    inner: A,
    level: Level<'a>,
}

impl<'de, 'a, A: EnumAccess<'de>> EnumAccess<'de> for Variant<'a, A> {
    type Error = A::Error;
    type Variant = Variant<'a, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let (name, inner) = self.inner.variant_seed(Seed { seed, level: self.level })?;
        Ok((name, Variant { inner, level: self.level }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let level = self.level.enter().map_err(A::Error::custom)?;
        self.inner.newtype_variant_seed(Seed { seed, level })
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        let level = self.level.enter().map_err(A::Error::custom)?;
        self.inner.tuple_variant(length, Inside { visitor, level, lengths: Lengths::OfType })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let level = self.level.enter().map_err(A::Error::custom)?;
        self.inner.struct_variant(fields, Inside { visitor, level, lengths: Lengths::OfType })
    }
}
