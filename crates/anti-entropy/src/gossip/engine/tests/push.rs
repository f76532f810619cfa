//! Pushes that share frames, and those that wait for others to do so.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Cluster, Item, frames, name};
use crate::KeyHash;
use crate::gossip::*;
use crate::refusal::Refusal;
use crate::replica::{Keyed, LastWriterWins, Transaction};
use crate::sync::session::encode_push_frame;
use crate::sync::wire::Push;
use crate::sync::{Frame, FrameKind, SessionConfig};

const DELAY: Duration = Duration::from_millis(20);

/// Nothing but pushes.
fn config() -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    GossipConfig { interval: never, min_interval: never, ..GossipConfig::default() }
}

fn item(key: u32) -> Item {
    Keyed::new(key, "value".to_string())
}

#[test]
fn pushes_to_one_peer_wait_for_each_other_and_leave_in_one_frame() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push_delay: DELAY, ..config() }, 1);
    let start = cluster.now;
    for key in 0..10 {
        let now = start.after(Duration::from_millis(key.into()));
        cluster.engine(0).write(item(key), now).unwrap();
        let (sent, until) = frames(cluster.engine(0), now);
        assert!(sent.is_empty() && !cluster.engine(0).is_idle());
        assert_eq!(until, start.elapsed + DELAY, "as the first of them is due");
    }
    let due = start.after(DELAY);
    let (sent, until) = frames(cluster.engine(0), due);
    assert_eq!((sent.len(), cluster.engine(0).stats().pushes_sent), (1, 10));
    assert!(cluster.engine(0).is_idle() && until > due.elapsed + DELAY);
    cluster.engine(1).handle_frame(&name(0), &sent[0], due);
    assert_eq!(cluster.engine(1).stats().pushes_taken, 10);
    assert!(cluster.equal());
}

#[test]
fn a_delay_saves_most_frames_and_their_headers() {
    let counted = |push_delay| {
        let mut cluster = Cluster::new(4, &LastWriterWins, &GossipConfig { push_delay, ..config() }, 1);
        for key in 0..100 {
            cluster.write(0, key, "value");
            // Longer than a frame flies, so that none overtakes another.
            cluster.run(Duration::from_millis(6), |_| false);
        }
        assert!(cluster.run(push_delay + DELAY, Cluster::equal));
        let stats = cluster.engine(0).stats();
        assert_eq!(stats.pushes_sent, 300);
        (stats.frames_sent, stats.bytes_sent)
    };
    let (at_once, delayed) = (counted(Duration::ZERO), counted(5 * DELAY));
    assert_eq!(at_once.0, 300);
    assert!(delayed.0 <= 30, "{delayed:?}");
    // A header and a checksum are 21 bytes of some 80.
    assert!(delayed.1 * 5 < at_once.1 * 4, "{at_once:?} {delayed:?}");
}

#[test]
fn a_transaction_goes_to_a_peer_in_one_frame_though_nothing_is_delayed() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &config(), 1);
    let now = cluster.now;
    let transaction = (0..20).fold(Transaction::new(), |all, key| all.write(item(key)));
    cluster.engine(0).commit(transaction, now).unwrap();
    let stats = |cluster: &mut Cluster<Item>| cluster.engine(0).stats();
    assert!(cluster.run(Duration::from_millis(10), Cluster::equal));
    assert_eq!((stats(&mut cluster).frames_sent, stats(&mut cluster).pushes_sent), (2, 40));
}

#[test]
fn what_does_not_fit_into_one_frame_goes_in_several_in_order() {
    let session = SessionConfig { max_frame_bytes: 600, ..SessionConfig::default() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { session, ..config() }, 1);
    let now = cluster.now;
    let sized = |key, bytes| Keyed::new(key, "x".repeat(bytes));
    let transaction = (0..30).fold(Transaction::new(), |all, key| all.write(sized(key, 50)));
    cluster.engine(0).commit(transaction.write(sized(30, 600)).write(sized(31, 50)), now).unwrap();
    let (sent, _) = frames(cluster.engine(0), now);
    assert!(sent.len() > 5 && sent.iter().all(|frame| frame.len() <= 600), "{} frames", sent.len());
    assert_eq!(cluster.engine(0).stats().pushes_sent, 31, "the longest fits into no frame");
    for frame in &sent {
        cluster.engine(1).handle_frame(&name(0), frame, now);
    }
    assert_eq!(cluster.engine(1).stats().pushes_taken, 30, "the last one has a gap before it");
}

#[test]
fn pushes_that_wait_leave_at_once_when_the_engine_is_drained() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push_delay: DELAY, ..config() }, 1);
    let now = cluster.now;
    cluster.write(0, 1, "value");
    assert!(frames(cluster.engine(0), now).0.is_empty());
    cluster.engine(0).begin_shutdown();
    assert_eq!(frames(cluster.engine(0), now).0.len(), 1);
    assert!(cluster.engine(0).is_idle());
}

#[test]
fn what_waits_for_a_peer_that_is_removed_is_not_sent() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push_delay: DELAY, ..config() }, 1);
    cluster.write(0, 1, "value");
    cluster.engine(0).remove_peer(&name(1));
    assert!(cluster.engine(0).is_idle());
}

/// The payload of the pushes of some writes.
fn payload(cluster: &mut Cluster<Item>, writes: u32) -> Vec<u8> {
    let now = cluster.now;
    (0..writes).for_each(|key| drop(cluster.engine(0).write(item(key), now).unwrap()));
    let (sent, _) = frames(cluster.engine(0), now);
    let frame = Frame::decode(&sent[0], &SessionConfig::default()).unwrap();
    assert_eq!((sent.len(), frame.kind, frame.fragments), (1, FrameKind::Push, 1));
    frame.payload.to_vec()
}

#[test]
fn what_does_not_parse_is_reported_and_what_stands_before_it_counts() {
    for rest in [&b"\xff"[..], &[0; 20]] {
        let mut cluster = Cluster::new(2, &LastWriterWins, &config(), 1);
        let now = cluster.now;
        let mut payload = payload(&mut cluster, 3);
        payload.extend_from_slice(rest);
        let frame = encode_push_frame(&payload, &SessionConfig::default());
        cluster.engine(1).handle_frame(&name(0), &frame, now);
        let stats = cluster.engine(1).stats();
        assert_eq!((stats.pushes_taken, stats.pushes_rejected), (3, 1));
        let rejection = Refusal::Malformed("a push does not parse");
        let event = Event::PushRejected { peer: name(0), rejection };
        let events = core::iter::from_fn(|| match cluster.engine(1).poll_output(now) {
            EngineOutput::Event(event) => Some(event),
            _ => None,
        });
        assert_eq!(events.filter(|reported| *reported == event).count(), 1);
    }
}

#[test]
fn one_that_is_refused_does_not_stop_those_behind_it() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &config(), 1);
    let now = cluster.now;
    let good = payload(&mut cluster, 1);
    let (mut push, _) = postcard::take_from_bytes::<Push>(&good).unwrap();
    push.key = KeyHash::MIN;
    let payload = [postcard::to_allocvec(&push).unwrap(), good].concat();
    let frame = encode_push_frame(&payload, &SessionConfig::default());
    cluster.engine(1).handle_frame(&name(0), &frame, now);
    assert_eq!((cluster.engine(1).stats().pushes_rejected, cluster.engine(1).stats().pushes_taken), (1, 1));
}

#[test]
fn pushes_of_a_peer_with_another_agreement_are_not_taken() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &config(), 1);
    let now = cluster.now;
    let payload = payload(&mut cluster, 1);
    let other = SessionConfig { schema_id: 1, ..SessionConfig::default() };
    let (theirs, ours) = (encode_push_frame(&payload, &other), encode_push_frame(&payload, &SessionConfig::default()));
    cluster.engine(1).handle_frame(&name(0), &theirs, now);
    assert_eq!((cluster.engine(1).stats().pushes_rejected, cluster.engine(1).stats().pushes_taken), (1, 0));
    let refused = Event::Refused { peer: name(0), reason: Refusal::SchemaId };
    assert_eq!(cluster.engine(1).poll_output(now), EngineOutput::Event(refused));
    cluster.engine(1).handle_frame(&name(0), &ours, now);
    assert_eq!(cluster.engine(1).stats().pushes_taken, 1);
}
