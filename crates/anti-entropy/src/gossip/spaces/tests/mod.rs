mod golden;
mod hostile;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;

pub(super) const START: Duration = Duration::from_secs(1_000);

pub(super) fn state(byte: u8) -> StateDigest {
    StateDigest::from_bytes([byte; 32])
}

pub(super) fn alice() -> PeerId {
    PeerId::from("alice")
}

pub(super) fn bob() -> PeerId {
    PeerId::from("bob")
}

/// A node that shares so many spaces with a peer, all in the same state.
pub(super) fn node(peer: &PeerId, spaces: u64, config: SharedSpacesConfig) -> SharedSpaces {
    let mut node = SharedSpaces::new(config, 7).unwrap();
    for space in 0..spaces {
        node.share(space, [peer.clone()]);
        node.announce(space, state(1));
    }
    node
}

pub(super) fn pair(spaces: u64) -> (SharedSpaces, SharedSpaces) {
    let config = SharedSpacesConfig::default();
    (node(&bob(), spaces, config), node(&alice(), spaces, config))
}

/// What a node is told, and what it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) news: Vec<(u64, StateDigest)>,
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

/// Alice pings Bob, and the frames that follow go to and fro.
pub(super) fn ping(at_alice: &mut SharedSpaces, at_bob: &mut SharedSpaces, now: Duration) -> Heard {
    let digest = at_alice.digest(&bob()).unwrap();
    at_bob.handle_digest(&alice(), digest, now);
    let mut heard = Heard::default();
    while let Some(output) = at_bob.poll_output() {
        match output {
            SpacesOutput::Announced { space, state, .. } => heard.news.push((space, state)),
            SpacesOutput::Send { frame, .. } => {
                let mut count = |frame: &[u8]| {
                    heard.frames += 1;
                    heard.bytes += frame.len();
                };
                count(&frame);
                at_alice.handle_frame(&bob(), &frame, now);
                while let Some(SpacesOutput::Send { frame, .. }) = at_alice.poll_output() {
                    count(&frame);
                    at_bob.handle_frame(&alice(), &frame, now);
                }
            }
        }
    }
    heard
}

fn differing(heard: &Heard) -> BTreeSet<u64> {
    heard.news.iter().filter(|(_, held)| *held != state(1)).map(|(space, _)| *space).collect()
}

#[test]
fn both_nodes_have_one_digest_whatever_the_order_of_changes() {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut at_alice, mut at_bob) = (pair(0).0, pair(0).1);
    for round in 0..200 {
        let mut changes: Vec<(u64, u8)> =
            (0..10).map(|space| (space + random.u64(0..30) * 10, random.u8(..4))).collect();
        for (at, peer) in [(&mut at_alice, bob()), (&mut at_bob, alice())] {
            random.shuffle(&mut changes);
            for (space, change) in &changes {
                match change {
                    0 => at.remove(*space),
                    1 => at.share(*space, []),
                    2 => at.share(*space, [peer.clone(), PeerId::from("carol")]),
                    _ => at.announce(*space, state(round)),
                }
            }
        }
        assert_eq!(at_alice.digest(&bob()), at_bob.digest(&alice()), "{round}");
    }
}

#[test]
fn only_what_is_shared_with_a_peer_is_in_its_digest() {
    let (mut at_alice, mut at_bob) = pair(10);
    at_alice.share(99, [PeerId::from("carol")]);
    at_alice.announce(99, state(9));
    assert_eq!(at_alice.digest(&bob()), at_bob.digest(&alice()));
    assert_ne!(at_alice.digest(&PeerId::from("carol")), at_alice.digest(&bob()));
    assert_eq!(at_alice.digest(&PeerId::from("dave")), None);
    at_alice.remove(99);
    assert_eq!(at_alice.digest(&PeerId::from("carol")), None, "nothing is shared any more");
}

#[test]
fn equal_nodes_exchange_no_frame_and_each_space_is_reported_once_in_a_while() {
    let (mut at_alice, mut at_bob) = pair(1000);
    let heard = ping(&mut at_alice, &mut at_bob, START);
    assert_eq!((heard.news.len(), heard.frames), (1000, 0));
    assert_eq!(ping(&mut at_alice, &mut at_bob, START), Heard::default());
    // A space that has changed on both sides is reported at once, and the others are not.
    at_alice.announce(7, state(2));
    at_bob.announce(7, state(2));
    assert_eq!(ping(&mut at_alice, &mut at_bob, START).news, [(7, state(2))]);
    let again = START + SharedSpacesConfig::default().equal_again;
    assert_eq!(ping(&mut at_alice, &mut at_bob, again).news.len(), 1000);
}

#[test]
fn spaces_that_differ_are_found_in_a_few_frames_and_the_others_are_reported_equal() {
    let (mut at_alice, mut at_bob) = pair(1000);
    for space in [3, 500, 999] {
        at_alice.announce(space, state(2));
    }
    let heard = ping(&mut at_alice, &mut at_bob, START);
    assert_eq!(differing(&heard), [3, 500, 999].into());
    assert_eq!(heard.news.len(), 1000);
    // Two round trips: the digests of 64 parts, then the spaces of three of them.
    assert_eq!(heard.frames, 4, "{}", heard.bytes);
    assert!(heard.bytes < 5_000, "{}", heard.bytes);
    // While the engines are at it, only what differs is reported.
    let next = START + SharedSpacesConfig::default().pause;
    assert_eq!(ping(&mut at_alice, &mut at_bob, next).news.len(), 3);
}

/// As with a space that has stopped on one node, or whose settings differ.
#[test]
fn spaces_that_go_on_differing_cost_few_frames_and_the_others_are_reported_all_the_same() {
    let (mut at_alice, mut at_bob) = pair(1000);
    at_alice.announce(7, state(2));
    let (mut frames, mut differing_told, mut equal_told) = (0, 0, Vec::new());
    for second in 0..600 {
        let heard = ping(&mut at_alice, &mut at_bob, START + Duration::from_secs(second));
        frames += heard.frames;
        differing_told += differing(&heard).len();
        equal_told.extend(heard.news.iter().any(|news| *news == (8, state(1))).then_some(second));
    }
    // Comparisons of four frames, at 0, 1, 3, 7, and so on to 255 seconds, and then every five minutes.
    assert_eq!((frames, differing_told), (10 * 4, 10));
    let longest = equal_told.windows(2).map(|told| told[1] - told[0]).max();
    assert_eq!((equal_told.len(), longest), (30, Some(20)), "{equal_told:?}");
    // What is new is found at once.
    let now = START + Duration::from_secs(600);
    at_alice.announce(9, state(2));
    assert_eq!(differing(&ping(&mut at_alice, &mut at_bob, now)), [7, 9].into());
    at_alice.announce(7, state(1));
    at_alice.announce(9, state(1));
    assert_eq!(ping(&mut at_alice, &mut at_bob, now).frames, 0);
}

#[test]
fn a_space_that_the_peer_does_not_hold_yet_is_not_reported() {
    let (mut at_alice, mut at_bob) = pair(100);
    at_alice.remove(7);
    at_alice.share(200, [bob()]);
    at_alice.announce(200, state(3));
    let heard = ping(&mut at_alice, &mut at_bob, START);
    let spaces: BTreeSet<u64> = heard.news.iter().map(|(space, _)| *space).collect();
    assert_eq!(spaces, (0..100).filter(|space| *space != 7).collect());
}

#[test]
fn all_spaces_that_differ_are_found() {
    let (mut at_alice, mut at_bob) = pair(900);
    (0..900).for_each(|space| at_alice.announce(space, state(2)));
    assert_eq!(differing(&ping(&mut at_alice, &mut at_bob, START)).len(), 900);
}

#[test]
fn a_state_that_changes_during_a_comparison_is_not_reported_as_equal() {
    let (mut at_alice, mut at_bob) = pair(1000);
    at_alice.announce(1, state(2));
    let digest = at_alice.digest(&bob()).unwrap();
    at_bob.handle_digest(&alice(), digest, START);
    at_bob.announce(500, state(5));
    let news = ping(&mut at_alice, &mut at_bob, START).news;
    assert_eq!(news.len(), 999);
    assert!(news.iter().all(|(space, _)| *space != 500));
}
