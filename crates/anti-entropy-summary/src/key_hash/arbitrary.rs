//! Arbitrary hashes and ranges, for property tests in either framework.
//!
//! Most hashes are drawn from a few near the ends of the space, so that ranges touch, overlap and include each other.

use super::{KeyHash, KeyRange};

/// How many hashes at either end are drawn from most of the time.
const FEW_HASHES: u128 = 16;

/// A low hash for a low number, a high one for a high number.
fn near_an_end(number: u128) -> KeyHash {
    KeyHash::from_u128(if number < FEW_HASHES { number } else { u128::MAX - (number - FEW_HASHES) })
}

/// The range between two hashes; the empty one between equal hashes is taken to reach the top.
fn between(one: KeyHash, other: Option<KeyHash>) -> KeyRange {
    let (lo, hi) = match other {
        Some(other) if other != one => (one.min(other), Some(one.max(other))),
        _ => (one, None),
    };
    KeyRange { lo, hi }
}

#[cfg(any(test, feature = "proptest"))]
mod for_proptest {
    use proptest::arbitrary::{Arbitrary, any};
    use proptest::prop_oneof;
    use proptest::strategy::{BoxedStrategy, Strategy};

    use super::{FEW_HASHES, KeyHash, KeyRange, between, near_an_end};

    impl Arbitrary for KeyHash {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            let few = (0..2 * FEW_HASHES).prop_map(near_an_end);
            prop_oneof![8 => few, 2 => any::<u128>().prop_map(Self::from_u128)].boxed()
        }
    }

    impl Arbitrary for KeyRange {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            (any::<KeyHash>(), any::<Option<KeyHash>>()).prop_map(|(one, other)| between(one, other)).boxed()
        }
    }
}

#[cfg(feature = "quickcheck")]
mod for_quickcheck {
    use alloc::boxed::Box;

    use quickcheck::{Arbitrary, Gen};

    use super::{FEW_HASHES, KeyHash, KeyRange, between, near_an_end};

    impl Arbitrary for KeyHash {
        fn arbitrary(g: &mut Gen) -> Self {
            let number = u128::arbitrary(g);
            if u8::arbitrary(g) % 5 == 0 { Self::from_u128(number) } else { near_an_end(number % (2 * FEW_HASHES)) }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            Box::new(self.to_u128().shrink().map(Self::from_u128))
        }
    }

    impl Arbitrary for KeyRange {
        fn arbitrary(g: &mut Gen) -> Self {
            between(KeyHash::arbitrary(g), Option::arbitrary(g))
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            Box::new((self.lo, self.hi).shrink().filter_map(|(lo, hi)| Self::new(lo, hi)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_never_empty(range: KeyRange) {
            assert!(range.contains(range.lo()));
            assert_eq!(KeyRange::new(range.lo(), range.hi()), Some(range));
        }
    }
}
