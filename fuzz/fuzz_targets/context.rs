//! The decoders of clocks: what they accept is canonical, and everything that can be done with it works.
#![no_main]

use anti_entropy::clock::{Context, Dot, RangeClocks, ReplicaId, VectorClock};
use anti_entropy::{KeyHash, KeyRange};
use libfuzzer_sys::fuzz_target;

// A context and a peer's clocks: as bytes, and built, so that much is joined however little is decoded.
type Built = Vec<(u8, u8, Vec<(u8, u8)>)>;

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Built)| {
    let (context, clocks, built) = input;
    let context = postcard::from_bytes::<Context>(&context);
    if let Ok(context) = &context {
        assert_eq!(postcard::from_bytes::<Context>(&postcard::to_allocvec(context).unwrap()).as_ref(), Ok(context));
    }
    let mut context = context.unwrap_or_else(|_| Context::new(ReplicaId::from_u128(1)));
    for (lo, hi, clock) in built {
        let [lo, hi] = [lo, hi].map(|byte| KeyHash::from_bytes([byte; 16]));
        let clock: VectorClock =
            clock.iter().map(|(id, n)| (ReplicaId::from_u128((*id).into()), (*n).into())).collect();
        if let Some(range) = KeyRange::new(lo, (hi != KeyHash::MAX).then_some(hi)) {
            join(&mut context, &RangeClocks::new(range, vec![(lo, clock)]).expect("one piece"));
        }
    }
    if let Ok(clocks) = postcard::from_bytes::<RangeClocks>(&clocks) {
        let encoded = postcard::to_allocvec(&clocks).expect("clocks encode");
        assert_eq!(postcard::from_bytes::<RangeClocks>(&encoded).as_ref(), Ok(&clocks));
        join(&mut context, &clocks);
    }
});

fn join(context: &mut Context, clocks: &RangeClocks) {
    let before = context.clone();
    let (most, replicas) = (context.pieces_len() + context.would_cut_by(clocks), context.replicas_with(clocks));
    context.join(clocks);
    assert!(context.pieces_len() <= most && context.replicas_len() == replicas);
    assert!(context.includes(&before), "what is seen only grows");
    for (range, clock) in clocks.iter() {
        for (id, counter) in clock.iter().filter(|(id, _)| *id != context.own_id()) {
            assert!(context.covers(range.lo(), Dot { replica: id, counter }));
        }
    }
    // Outside of the range nothing is raised.
    let range = clocks.range();
    let below = range.lo().to_u128().checked_sub(1).map(KeyHash::from_u128);
    for outside in [below, range.hi()].into_iter().flatten() {
        assert_eq!(context.clock_at(outside), before.clock_at(outside));
    }
    let again = context.clone();
    context.join(clocks);
    assert!(*context == again, "joining twice changes nothing");
    let whole = context.pieces(&KeyRange::ALL);
    let mut other = Context::new(ReplicaId::from_u128(u128::MAX));
    other.join(&whole);
    if !whole.replicas().any(|id| id == other.own_id()) {
        assert_eq!(other.hash(), context.hash());
    }
    assert_eq!(postcard::from_bytes(&postcard::to_allocvec(context).unwrap()).as_ref(), Ok(&*context));
}
