//! Arbitrary clocks, for property tests in either framework.
//!
//! Most ids and counters are small: clocks that share no replica are always concurrent, and test little.

use super::{Dot, ReplicaId, Timestamp, VectorClock};

/// How many ids are drawn from most of the time.
const FEW_IDS: u128 = 6;
/// How high counters go most of the time.
const LOW_COUNTER: u64 = 8;

#[cfg(any(test, feature = "proptest"))]
mod for_proptest {
    use alloc::vec::Vec;

    use proptest::arbitrary::{Arbitrary, any};
    use proptest::collection::vec;
    use proptest::prop_oneof;
    use proptest::strategy::{BoxedStrategy, Strategy};

    use super::{Dot, FEW_IDS, LOW_COUNTER, ReplicaId, Timestamp, VectorClock};

    impl Arbitrary for ReplicaId {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            prop_oneof![9 => 0..FEW_IDS, 1 => any::<u128>()].prop_map(Self::from_u128).boxed()
        }
    }

    impl Arbitrary for Dot {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            let counter = prop_oneof![9 => 1..=LOW_COUNTER, 1 => 1..=u64::MAX];
            (any::<ReplicaId>(), counter).prop_map(|(replica, counter)| Self { replica, counter }).boxed()
        }
    }

    impl Arbitrary for VectorClock {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            let entries = |dots: Vec<Dot>| dots.into_iter().map(|dot| (dot.replica, dot.counter)).collect();
            vec(any::<Dot>(), 0..8).prop_map(entries).boxed()
        }
    }

    impl Arbitrary for Timestamp {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            let wall_ms = prop_oneof![9 => 0..LOW_COUNTER, 1 => any::<u64>(), 1 => u64::MAX - 1..=u64::MAX];
            let logical = prop_oneof![9 => 0..4u32, 1 => any::<u32>(), 1 => u32::MAX - 1..=u32::MAX];
            (wall_ms, logical).prop_map(|(wall_ms, logical)| Self { wall_ms, logical }).boxed()
        }
    }
}

#[cfg(feature = "quickcheck")]
mod for_quickcheck {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use quickcheck::{Arbitrary, Gen};

    use super::{Dot, FEW_IDS, LOW_COUNTER, ReplicaId, Timestamp, VectorClock};

    /// True nine times in ten.
    fn mostly(g: &mut Gen) -> bool {
        u8::arbitrary(g) % 10 != 0
    }

    impl Arbitrary for ReplicaId {
        fn arbitrary(g: &mut Gen) -> Self {
            let bits = u128::arbitrary(g);
            Self::from_u128(if mostly(g) { bits % FEW_IDS } else { bits })
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            Box::new(self.to_u128().shrink().map(Self::from_u128))
        }
    }

    impl Arbitrary for Dot {
        fn arbitrary(g: &mut Gen) -> Self {
            let counter = u64::arbitrary(g);
            let counter = if mostly(g) { counter % LOW_COUNTER + 1 } else { counter.max(1) };
            Self { replica: ReplicaId::arbitrary(g), counter }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let smaller = (self.replica, self.counter).shrink().filter(|(_, counter)| *counter > 0);
            Box::new(smaller.map(|(replica, counter)| Self { replica, counter }))
        }
    }

    impl Arbitrary for VectorClock {
        fn arbitrary(g: &mut Gen) -> Self {
            Vec::<Dot>::arbitrary(g).into_iter().map(|dot| (dot.replica, dot.counter)).collect()
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let entries: Vec<_> = self.iter().collect();
            Box::new(entries.shrink().map(|smaller| smaller.into_iter().collect()))
        }
    }

    impl Arbitrary for Timestamp {
        fn arbitrary(g: &mut Gen) -> Self {
            let (wall_ms, logical) = <(u64, u32)>::arbitrary(g);
            if mostly(g) {
                Self { wall_ms: wall_ms % LOW_COUNTER, logical: logical % 4 }
            } else {
                Self { wall_ms, logical }
            }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let smaller = (self.wall_ms, self.logical).shrink();
            Box::new(smaller.map(|(wall_ms, logical)| Self { wall_ms, logical }))
        }
    }
}
