//! Engines of two releases: what the older one cannot read is left out, and keeps nobody busy.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Now, Seed};
use crate::gossip::*;
use crate::replica::{Keyed, LastWriterWins, MemoryStore, Notice, Replica, Replicated, Resolver};
use crate::{KeyHash, PeerId};

#[derive(Clone, Debug, Serialize, Deserialize)]
enum OldValue {
    Text(u8),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum NewValue {
    Text(u8),
    Number(u64),
}

type Old = Keyed<u32, OldValue>;
type New = Keyed<u32, NewValue>;

fn engine<V: Replicated>(seed: u8, config: &GossipConfig, peer: &str) -> Engine<V>
where
    LastWriterWins: Resolver<V>,
{
    let replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).unwrap();
    let mut engine = Engine::new(replica, config.clone(), seed.into(), now()).unwrap();
    engine.add_peer(PeerId::from(peer), None);
    engine
}

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

/// An engine of either release.
trait Side {
    fn step(&mut self, frames: Vec<Vec<u8>>, now: Now) -> (Vec<Vec<u8>>, Duration);
}

/// An engine, its peer, and the events that it had by name.
struct Node<V: Replicated> {
    engine: Engine<V>,
    peer: PeerId,
    events: Vec<Event<V::Key>>,
}

impl<V: Replicated> Side for Node<V> {
    fn step(&mut self, frames: Vec<Vec<u8>>, now: Now) -> (Vec<Vec<u8>>, Duration) {
        for frame in frames {
            self.engine.handle_frame(&self.peer, &frame, now);
        }
        self.engine.handle_timeout(now);
        let mut sent = Vec::new();
        loop {
            match self.engine.poll_output(now) {
                EngineOutput::Send { frame, .. } => sent.push(frame),
                EngineOutput::Event(event) => self.events.push(event),
                EngineOutput::Wait(until) => return (sent, until),
            }
        }
    }
}

/// Runs two engines for a span of time over a link that takes a millisecond.
fn run(mut sides: [&mut dyn Side; 2], now: &mut Now, span: Duration) {
    let end = now.elapsed + span;
    let mut flying: BTreeMap<(Duration, usize), Vec<Vec<u8>>> = BTreeMap::new();
    loop {
        let mut next = end;
        for (index, side) in sides.iter_mut().enumerate() {
            let due: Vec<_> = flying.keys().filter(|(at, to)| *to == index && *at <= now.elapsed).copied().collect();
            let frames = due.into_iter().flat_map(|key| flying.remove(&key).unwrap()).collect();
            let (sent, until) = side.step(frames, *now);
            if !sent.is_empty() {
                flying.entry((now.elapsed + Duration::from_millis(1), 1 - index)).or_default().extend(sent);
            }
            next = next.min(until);
        }
        next = flying.keys().map(|(at, _)| *at).fold(next, Duration::min).max(now.elapsed);
        if next >= end {
            *now = now.after(end.saturating_sub(now.elapsed));
            return;
        }
        *now = now.after(next.saturating_sub(now.elapsed).max(Duration::from_micros(1)));
    }
}

fn named(node: &Node<Old>, is: impl Fn(&Event<u32>) -> bool) -> usize {
    node.events.iter().filter(|event| is(event)).count()
}

#[test]
fn an_old_release_has_all_but_one_value_and_is_quiet_then() {
    let config = GossipConfig::lan();
    let mut clock = now();
    let new = engine::<New>(1, &config, "old");
    let old = engine::<Old>(2, &config, "new");
    let mut new = Node { engine: new, peer: "old".into(), events: Vec::new() };
    let mut old = Node { engine: old, peer: "new".into(), events: Vec::new() };
    for key in 0..1001 {
        let value = if key == 700 { NewValue::Number(7) } else { NewValue::Text(1) };
        new.engine.write(Keyed::new(key, value), clock).unwrap();
    }
    run([&mut new, &mut old], &mut clock, Duration::from_secs(60));
    let status = old.engine.status(clock);
    assert_eq!((status.entries, status.holes, new.engine.status(clock).holes), (1000, 1, 0));
    let hash = KeyHash::of(&700u32);
    let notice = Event::Notice(Notice::Unreadable { hash, key: Some(700) });
    assert_eq!(named(&old, |event| *event == notice), 1, "it is reported once");
    let keys = 1.try_into().unwrap();
    assert!(named(&old, |event| *event == Event::ConvergedExcept { peer: "new".into(), keys }) > 0);
    assert_eq!(named(&old, |event| matches!(event, Event::Converged { .. })), 0, "it is not equal");
    assert_eq!(status.engine.converged, 0);
    assert!(status.engine.converged_except > 0);
    assert!(!old.engine.is_converged_with(&"new".into(), Duration::ZERO));

    // From then on the traffic is that of two engines that are equal: one frame each way in each round.
    let before = (old.engine.stats(), new.engine.stats());
    run([&mut new, &mut old], &mut clock, Duration::from_secs(600));
    let after = (old.engine.stats(), new.engine.stats());
    let rounds = after.0.rounds + after.1.rounds - before.0.rounds - before.1.rounds;
    let frames = after.0.frames_sent + after.1.frames_sent - before.0.frames_sent - before.1.frames_sent;
    assert!(rounds > 10 && frames <= 2 * rounds, "{frames} frames in {rounds} rounds");
    assert_eq!(after.1.value_bytes_sent, before.1.value_bytes_sent);
    assert_eq!(old.engine.announcement(), new.engine.announcement(), "announcements start no sessions either");

    // Further writes arrive at once, and at the key too once they can be read.
    new.engine.write(Keyed::new(2000, NewValue::Text(2)), clock).unwrap();
    run([&mut new, &mut old], &mut clock, Duration::from_secs(60));
    assert_eq!(old.engine.status(clock).entries, 1001);
    new.engine.write(Keyed::new(700, NewValue::Text(2)), clock).unwrap();
    run([&mut new, &mut old], &mut clock, Duration::from_secs(60));
    assert_eq!((old.engine.status(clock).entries, old.engine.status(clock).holes), (1002, 0));
    assert_eq!(old.engine.replica_mut().root(), new.engine.replica_mut().root());
    assert_eq!(named(&old, |event| *event == Event::Notice(Notice::HoleFilled { hash })), 1);
    assert!(named(&old, |event| matches!(event, Event::Converged { .. })) > 0);
}
