//! Rule 3: joining the versions that two replicas hold at one key, and the clocks that they have.

use alloc::vec::Vec;

use super::version::Sibling;
use crate::KeyRange;
use crate::clock::{Context, Dot, VectorClock};

/// Joins the versions that two replicas hold at a key, given what each has seen there: keeps what both hold, and what
/// one holds and the other has never seen. What the other has seen and does not hold, it has replaced or deleted.
///
/// Commutative, associative and idempotent together with the pointwise maximum of the clocks (Almeida, Shoker,
/// Baquero, "Delta State Replicated Data Types", 2018). O(m + n) for sorted siblings, and returns them sorted. `clash` is
/// told of dots that both hold with different content.
pub(crate) fn join<V>(
    mine: Vec<Sibling<V>>,
    mine_covers: impl Fn(Dot) -> bool,
    theirs: Vec<Sibling<V>>,
    theirs_covers: impl Fn(Dot) -> bool,
    mut clash: impl FnMut(Dot),
) -> Vec<Sibling<V>> {
    let mut joined = Vec::with_capacity(mine.len().max(theirs.len()));
    let mut theirs = theirs.into_iter().peekable();
    plant!(join(theirs.by_ref()));
    for sibling in mine {
        while let Some(other) = theirs.next_if(|other| other.dot() < sibling.dot()) {
            joined.extend((!mine_covers(other.dot())).then_some(other));
        }
        match theirs.next_if(|other| other.dot() == sibling.dot()) {
            Some(other) => joined.push(greater_content(sibling, other, &mut clash)),
            None if theirs_covers(sibling.dot()) => {}
            None => joined.push(sibling),
        }
    }
    joined.extend(theirs.filter(|other| !mine_covers(other.dot())));
    joined
}

/// Joins a sender's clocks into the context, each inside the range that it holds for and nowhere else.
pub(crate) fn join_clocks<'a>(context: &mut Context, clocks: impl Iterator<Item = (KeyRange, &'a VectorClock)>) {
    plant!(let clocks = join_clocks(context, clocks));
    context.join_ranges(clocks);
}

/// Rule 9: one dot with two contents is damage or a dot used twice; both sides keep the same one, and say so.
fn greater_content<V>(mine: Sibling<V>, theirs: Sibling<V>, clash: &mut impl FnMut(Dot)) -> Sibling<V> {
    if mine.content == theirs.content {
        return mine;
    }
    clash(mine.dot());
    if mine.content > theirs.content { mine } else { theirs }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::{ReplicaId, Timestamp};
    use crate::replica::{Keyed, Replicated};

    /// What a replica has seen at one key: the clock, and the versions alive.
    type State = (VectorClock, BTreeMap<Dot, u8>);

    fn join_states(a: &State, b: &State) -> State {
        let siblings = |state: &State| state.1.iter().map(|(dot, value)| sibling(*dot, *value)).collect();
        let joined = join(siblings(a), |dot| a.0.covers(dot), siblings(b), |dot| b.0.covers(dot), |_| {});
        assert!(joined.windows(2).all(|pair| pair[0].dot() < pair[1].dot()), "canonical order");
        let mut clock = a.0.clone();
        clock.join(&b.0);
        (clock, joined.iter().map(|sibling| (sibling.dot(), sibling.version.value.value)).collect())
    }

    fn sibling(dot: Dot, value: u8) -> Sibling<Keyed<u8, u8>> {
        let value = Keyed::new(0, value);
        let encoded = value.encode();
        Sibling::of(dot, Timestamp { wall_ms: 0, logical: 0 }, value, encoded)
    }

    /// Any set of seen dots per writer, some of them alive: more than a run can reach, and the laws hold for all.
    fn states() -> impl Strategy<Value = State> {
        let writer = (0u64..5, proptest::collection::btree_map(1u64..5, 0u8..3, 0..3));
        proptest::collection::vec(writer, 3).prop_map(|writers| {
            let mut state = State::default();
            for (index, (counter, alive)) in writers.into_iter().enumerate() {
                let replica = ReplicaId::from_u128(index as u128 + 1);
                if counter > 0 {
                    state.0.observe(Dot { replica, counter });
                }
                let held = alive.into_iter().filter(|(dot, _)| *dot <= counter);
                state.1.extend(held.map(|(counter, value)| (Dot { replica, counter }, value)));
            }
            state
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn joining_is_commutative_associative_and_idempotent(a in states(), b in states(), c in states()) {
            prop_assert_eq!(join_states(&a, &b), join_states(&b, &a));
            prop_assert_eq!(join_states(&join_states(&a, &b), &b), join_states(&a, &b));
            prop_assert_eq!(join_states(&a, &a), a.clone());
            prop_assert_eq!(join_states(&join_states(&a, &b), &c), join_states(&a, &join_states(&b, &c)));
        }
    }
}
