//! Peers that lie, repeat themselves, or say nothing: bounded work, and no comparison is prevented for good.

use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::summary::Root;
use crate::summary::compare::{Ask, Prefix};
use crate::summary::{Fingerprint, MerkleTree, Width};

fn forged(byte: u8) -> Root {
    Root::from_bytes([byte; 32])
}

fn frames(node: &mut SharedSpaces) -> Vec<Vec<u8>> {
    let sent = core::iter::from_fn(|| node.poll_output());
    sent.filter_map(|output| if let SpacesOutput::Send { frame, .. } = output { Some(frame) } else { None }).collect()
}

fn question() -> Vec<u8> {
    frame::encode(1, &Body::Ask(Ask::new([Prefix::ALL], Width::Full)))
}

#[test]
fn however_many_digests_come_one_comparison_begins_in_each_pause() {
    let config = SharedSpacesConfig::default().with(|config| config.answer_timeout = Duration::ZERO);
    let mut at_bob = node(&alice(), 10, config);
    let mut asked = 0;
    for millisecond in 0..10_000 {
        // Never the same one.
        let digest = forged(u8::try_from(millisecond % 251).unwrap());
        at_bob.handle_digest(&alice(), digest, START + Duration::from_millis(millisecond));
        asked += frames(&mut at_bob).len();
    }
    assert_eq!(asked, 10);
}

#[test]
fn a_digest_that_stays_as_it_is_begins_comparisons_less_and_less_often() {
    let config = SharedSpacesConfig::default().with(|config| {
        config.answer_timeout = Duration::ZERO;
        config.longest_pause = Duration::from_secs(8);
    });
    let mut at_bob = node(&alice(), 10, config);
    let began = |at_bob: &mut SharedSpaces, digest, seconds: core::ops::Range<u64>| -> Vec<u64> {
        let begins = |second: &u64| {
            at_bob.handle_digest(&alice(), forged(digest), START + Duration::from_secs(*second));
            !frames(at_bob).is_empty()
        };
        seconds.filter(begins).collect()
    };
    assert_eq!(began(&mut at_bob, 7, 0..34), [0, 1, 3, 7, 15, 23, 31]);
    assert_eq!(began(&mut at_bob, 8, 34..38), [34, 35, 37], "another one is followed at once");
    at_bob.announce(3, state(9));
    assert_eq!(began(&mut at_bob, 8, 38..42), [38, 39, 41], "and so is a change of this node");
    let wrong = config.with(|config| config.longest_pause = Duration::from_millis(999));
    assert_eq!(SharedSpaces::new(wrong, 1).unwrap_err().field, "pause");
}

#[test]
fn a_peer_that_does_not_answer_is_asked_again_after_the_time_out_alone() {
    let mut at_bob = node(&alice(), 10, SharedSpacesConfig::default());
    let asked = |at_bob: &mut SharedSpaces, second| {
        at_bob.handle_digest(&alice(), forged(7), START + Duration::from_secs(second));
        frames(at_bob).len()
    };
    assert_eq!([0, 1, 4, 5, 9, 10].map(|second| asked(&mut at_bob, second)), [1, 0, 0, 1, 0, 1]);
}

#[test]
fn questions_above_the_limit_are_not_answered_before_the_next_second() {
    let config = SharedSpacesConfig::default().with(|config| config.answers_per_second = 3.try_into().unwrap());
    let mut at_bob = node(&alice(), 10, config);
    let mut answers = |second| {
        (0..100).for_each(|_| at_bob.handle_frame(&alice(), &question(), START + Duration::from_secs(second)));
        frames(&mut at_bob).len()
    };
    assert_eq!([answers(0), answers(0), answers(1)], [3, 0, 3]);
    assert_eq!(at_bob.refused_frames(), 294);
}

#[test]
fn no_frame_is_longer_than_allowed_and_longer_ones_are_refused() {
    let config = SharedSpacesConfig::default().with(|config| config.max_frame_bytes = 256);
    let (mut at_alice, mut at_bob) = (node(&bob(), 300, config), node(&alice(), 300, config));
    (0..300).for_each(|space| at_alice.announce(space, state(2)));
    let digest = at_alice.digest(&bob()).unwrap();
    at_bob.handle_digest(&alice(), digest, START);
    let mut exchanged = 0;
    while let Some(output) = at_bob.poll_output() {
        let SpacesOutput::Send { frame, .. } = output else { continue };
        at_alice.handle_frame(&bob(), &frame, START + Duration::from_secs(exchanged));
        for answer in frames(&mut at_alice) {
            assert!(answer.len().max(frame.len()) <= 256);
            at_bob.handle_frame(&alice(), &answer, START);
            exchanged += 1;
        }
    }
    assert_eq!(exchanged, 32, "all round trips");
    let mut long = question();
    long.resize(257, 0);
    at_bob.handle_frame(&alice(), &long, START);
    assert_eq!(at_bob.refused_frames(), 1);
    assert!(SharedSpaces::new(config.with(|config| config.max_frame_bytes -= 1), 1).is_err());
}

#[test]
fn strangers_and_frames_that_do_not_parse_are_refused() {
    let mut at_bob = node(&alice(), 10, SharedSpacesConfig::default());
    at_bob.handle_frame(&PeerId::from("mallory"), &question(), START);
    let mut refused = 1;
    let whole = question();
    for length in 0..whole.len() {
        at_bob.handle_frame(&alice(), &whole[..length], START);
        refused += 1;
    }
    for (at, byte) in [(0, 1), (0, 3), (1, 2)] {
        let mut frame = whole.clone();
        frame[at] = byte;
        at_bob.handle_frame(&alice(), &frame, START);
        refused += 1;
    }
    // An answer that was not asked for.
    let unasked = node(&alice(), 3, SharedSpacesConfig::default())
        .pairs
        .get_mut(&alice())
        .unwrap()
        .answer(&Ask::new([Prefix::ALL], Width::Full), 1_000);
    at_bob.handle_frame(&alice(), &frame::encode(7, &Body::Answer(unasked)), START);
    assert_eq!((at_bob.refused_frames(), frames(&mut at_bob).len()), (refused + 1, 0));
    at_bob.handle_digest(&PeerId::from("mallory"), forged(1), START);
    assert_eq!(frames(&mut at_bob).len(), 0);
}

#[test]
fn damaged_frames_cost_no_more_than_good_ones() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut at_alice, mut at_bob) =
        (node(&bob(), 200, SharedSpacesConfig::default()), node(&alice(), 200, SharedSpacesConfig::default()));
    (0..50).for_each(|space| at_alice.announce(space, state(2)));
    let mut now = START;
    let (mut asked, mut taken) = (0, 0);
    for _ in 0..300 {
        now += SharedSpacesConfig::default().longest_pause;
        at_bob.handle_digest(&alice(), at_alice.digest(&bob()).unwrap(), now);
        while let [question] = &frames(&mut at_bob)[..] {
            asked += 1;
            at_alice.handle_frame(&bob(), question, now);
            for mut answer in frames(&mut at_alice) {
                for _ in 0..random.usize(..3) {
                    let at = random.usize(..answer.len());
                    answer[at] = random.u8(..);
                }
                let refused = at_bob.refused_frames();
                at_bob.handle_frame(&alice(), &answer, now);
                taken += u64::from(at_bob.refused_frames() == refused);
            }
        }
    }
    // Whatever was in them, each ended its comparison or led to one more question.
    assert!(asked <= taken + 300, "{asked} {taken}");
    assert!(at_bob.refused_frames() > 0 && taken > 300, "{} {taken}", at_bob.refused_frames());
}

/// Answers from ever other states of spaces that nobody has, without end.
#[test]
fn a_peer_that_invents_differences_is_left_after_the_last_round_trip() {
    let mut at_bob = node(&alice(), 1000, SharedSpacesConfig::default());
    at_bob.handle_digest(&alice(), forged(1), START);
    let mut random = fastrand::Rng::with_seed(1);
    let mut asked = 0;
    while let [question] = &frames(&mut at_bob)[..] {
        asked += 1;
        let Some((number, Body::Ask(ask))) = frame::decode(question) else { panic!("a question") };
        let keys = (0..20_000).map(|_| KeyHash::from_u128(random.u128(..)));
        let mut invented: MerkleTree = keys.map(|key| (key, Fingerprint::from_bytes([9; 32]))).collect();
        let answer = crate::summary::compare::answer(&invented.snapshot(), &ask, 16_000);
        at_bob.handle_frame(&alice(), &frame::encode(number, &Body::Answer(answer)), START);
    }
    assert_eq!(asked, SharedSpacesConfig::default().max_round_trips.get());
}

#[test]
fn a_question_has_no_more_prefixes_than_allowed() {
    let most = |max_prefixes: usize| {
        let config =
            SharedSpacesConfig::default().with(|config| config.max_prefixes = max_prefixes.try_into().unwrap());
        let (mut at_alice, mut at_bob) = (node(&bob(), 300, config), node(&alice(), 300, config));
        (0..300).for_each(|space| at_alice.announce(space, state(2)));
        at_bob.handle_digest(&alice(), at_alice.digest(&bob()).unwrap(), START);
        let mut most = 0;
        while let [question] = &frames(&mut at_bob)[..] {
            let Some((_, Body::Ask(ask))) = frame::decode(question) else { panic!("a question") };
            most = most.max(ask.len());
            at_alice.handle_frame(&bob(), question, START);
            for answer in frames(&mut at_alice) {
                at_bob.handle_frame(&alice(), &answer, START);
            }
        }
        most
    };
    assert_eq!([most(1), most(7), most(64)], [1, 7, 64]);
}

#[test]
fn a_comparison_reports_no_more_differences_than_allowed_and_nothing_as_equal_then() {
    let config = SharedSpacesConfig::default().with(|config| config.max_differences = 5.try_into().unwrap());
    let (mut at_alice, mut at_bob) = (node(&bob(), 100, config), node(&alice(), 100, config));
    (0..50).for_each(|space| at_alice.announce(space, state(2)));
    let heard = ping(&mut at_alice, &mut at_bob, START);
    assert_eq!((heard.news.len(), differing(&heard).len()), (5, 5));
}

/// What a liar hides, it hides no longer than it goes on lying: the next true digest finds it.
#[test]
fn a_digest_that_was_equal_by_a_lie_is_compared_when_it_is_true() {
    let (mut at_alice, mut at_bob) = pair(100);
    at_alice.announce(7, state(2));
    let lie = at_bob.digest(&alice()).unwrap();
    at_bob.handle_digest(&alice(), lie, START);
    assert_eq!(core::iter::from_fn(|| at_bob.poll_output()).count(), 100);
    assert_eq!(differing(&ping(&mut at_alice, &mut at_bob, START)), [7].into());
}
