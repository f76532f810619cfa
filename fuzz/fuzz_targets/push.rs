//! Pushed writes and deletes: lost, repeated and reordered they cost nothing; forged, they leave the store sound.
#![no_main]

mod common;

use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::session::Outcome;
use anti_entropy::{GossipConfig, PeerId, ReplicaConfig, SessionConfig};
use common::{History, Item, clean_session, item, now, replica, sound};
use libfuzzer_sys::fuzz_target;

const VERSION: u8 = 1;
const PUSH: u8 = 2;
/// Version, kind, session, and the three numbers 0, 0, 1.
const HEADER_BYTES: usize = 13;

// Whether frames are forged, and what happens.
fuzz_target!(|input: (bool, Vec<(u8, u8, u8)>, Vec<u8>)| {
    let (forge, steps, forged) = input;
    let mut engines = [engine(1), engine(2)];
    let mut history = History::default();
    let mut flying: Vec<(usize, Vec<u8>)> = Vec::new();
    for (what, a, b) in steps {
        let side = usize::from(a & 1);
        let key = a >> 1 & 7;
        match what % 8 {
            0..=2 => {
                let written = engines[side].write(item(key, b, b >> 5), now()).expect("memory does not fail");
                history.note(key, &written);
            }
            3 => {
                if let Some(written) = engines[side].delete(&key, now()).expect("memory does not fail") {
                    history.note(key, &written);
                }
            }
            _ if flying.is_empty() => {}
            4 | 5 => {
                let (to, frame) = flying.remove(usize::from(a) % flying.len());
                engines[to].handle_frame(&peer(), &frame, now());
            }
            6 => {
                let (to, frame) = &flying[usize::from(a) % flying.len()];
                engines[*to].handle_frame(&peer(), frame, now());
            }
            _ if forge => {
                let at = usize::from(a) % flying.len();
                let length = flying[at].1.len();
                flying[at].1[usize::from(b) % length] ^= 1 << (what >> 5);
            }
            _ => drop(flying.remove(usize::from(a) % flying.len())),
        }
        // Otherwise what is written next shares the frame.
        if what & 8 == 0 {
            collect(&mut engines, &mut flying);
        }
    }
    if forge {
        let mut frame = vec![VERSION, PUSH, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(frame.len(), HEADER_BYTES);
        frame.extend(forged);
        engines[0].handle_frame(&peer(), &frame, now());
        engines.iter_mut().for_each(|engine| sound(engine.replica_mut()));
        return;
    }
    let [a, b] = &mut engines;
    let (a, b) = (a.replica_mut(), b.replica_mut());
    let config = SessionConfig::default().with(|config| config.checksum = false);
    assert_eq!(clean_session(a, b, config, 5).outcome, Outcome::Converged);
    assert_eq!((a.root(), a.context_hash()), (b.root(), b.context_hash()));
    history.check(a);
    history.check(b);
});

fn peer() -> PeerId {
    PeerId::from("peer")
}

fn engine(seed: u8) -> Engine<Item> {
    let session = SessionConfig::default().with(|config| config.checksum = false);
    let config = GossipConfig::default().with(|config| config.session = session);
    let mut engine = Engine::new(replica(seed, ReplicaConfig::default()), config, u64::from(seed), now()).unwrap();
    engine.add_peer(peer(), None);
    engine
}

/// Pushes fly; nothing else is asked for, since no time passes.
fn collect(engines: &mut [Engine<Item>; 2], flying: &mut Vec<(usize, Vec<u8>)>) {
    for (from, engine) in engines.iter_mut().enumerate() {
        loop {
            match engine.poll_output(now()) {
                EngineOutput::Send { frame, .. } if frame[1] == PUSH => flying.push((1 - from, frame)),
                EngineOutput::Send { .. } | EngineOutput::Event(_) => {}
                EngineOutput::Wait(_) => break,
            }
        }
    }
}
