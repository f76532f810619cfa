//! Arbitrary items and versions, for property tests in either framework.

use super::{Keyed, Version};

#[cfg(any(test, feature = "proptest"))]
mod for_proptest {
    use core::fmt::Debug;

    use proptest::arbitrary::{Arbitrary, any, any_with};
    use proptest::strategy::{BoxedStrategy, Strategy};

    use super::{Keyed, Version};
    use crate::clock::{Dot, Timestamp};

    impl<K, V> Arbitrary for Keyed<K, V>
    where
        K: Arbitrary + Debug + 'static,
        V: Arbitrary + Debug + 'static,
        K::Strategy: 'static,
        V::Strategy: 'static,
    {
        type Parameters = (K::Parameters, V::Parameters);
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((keys, values): Self::Parameters) -> Self::Strategy {
            (any_with::<K>(keys), any_with::<V>(values)).prop_map(|(key, value)| Self { key, value }).boxed()
        }
    }

    impl<V> Arbitrary for Version<V>
    where
        V: Arbitrary + Debug + 'static,
        V::Strategy: 'static,
    {
        type Parameters = V::Parameters;
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with(values: Self::Parameters) -> Self::Strategy {
            let version = |(dot, timestamp, value)| Self { dot, timestamp, value };
            (any::<Dot>(), any::<Timestamp>(), any_with::<V>(values)).prop_map(version).boxed()
        }
    }
}

#[cfg(feature = "quickcheck")]
mod for_quickcheck {
    use alloc::boxed::Box;

    use quickcheck::{Arbitrary, Gen};

    use super::{Keyed, Version};

    impl<K: Arbitrary, V: Arbitrary> Arbitrary for Keyed<K, V> {
        fn arbitrary(g: &mut Gen) -> Self {
            Self { key: K::arbitrary(g), value: V::arbitrary(g) }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let smaller = (self.key.clone(), self.value.clone()).shrink();
            Box::new(smaller.map(|(key, value)| Self { key, value }))
        }
    }

    impl<V: Arbitrary> Arbitrary for Version<V> {
        fn arbitrary(g: &mut Gen) -> Self {
            Self { dot: Arbitrary::arbitrary(g), timestamp: Arbitrary::arbitrary(g), value: V::arbitrary(g) }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let smaller = (self.dot, self.timestamp, self.value.clone()).shrink();
            Box::new(smaller.map(|(dot, timestamp, value)| Self { dot, timestamp, value }))
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::proptest;

    use super::super::Replicated;
    use super::*;

    proptest! {
        #[test]
        fn a_version_has_a_dot_that_can_be_minted(version: Version<Keyed<u8, String>>) {
            assert!(version.dot.counter > 0);
            assert_eq!(version.value.key(), version.value.key);
        }
    }
}
