//! Bytes of docs/protocol.md, "Spaces that two nodes share", worked out by another program from its text.

use super::*;

const KEY: &str = "23d59e630e0867e52052cb27b8e4428b";
const DIGEST: &str = "dfe70ae66ad3a5643c9ff89400e9ae1a6aa92405f07381692cc46cf2d601bd20";
const QUESTION: &str = "0200000000000000000701018001";
const ANSWER: &str = concat!(
    "0201000000000000000701003023d59e630e0867e52052",
    "cb27b8e4428b0101010101010101010101010101010101010101010101010101010101010101",
);

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn two_spaces_have_this_digest() {
    let mut at_alice = SharedSpaces::new(SharedSpacesConfig::default(), 7).unwrap();
    for space in [1, 2] {
        at_alice.share(space, [bob()]);
        at_alice.announce(space, state(u8::try_from(space).unwrap()));
    }
    assert_eq!(key_of(1).as_bytes()[..], bytes(KEY));
    assert_eq!(at_alice.digest(&bob()).unwrap().as_bytes()[..], bytes(DIGEST));
}

#[test]
fn a_question_and_its_answer_are_these_bytes() {
    let mut at_alice = SharedSpaces::new(SharedSpacesConfig::default(), 7).unwrap();
    at_alice.share(1, [bob()]);
    at_alice.announce(1, state(1));
    at_alice.handle_digest(&bob(), Root::from_bytes([0; 32]), START);
    let Some(SpacesOutput::Send { frame, .. }) = at_alice.poll_output() else { panic!("a question") };
    assert_eq!(frame, bytes(QUESTION));
    at_alice.handle_frame(&bob(), &frame, START);
    let Some(SpacesOutput::Send { frame, .. }) = at_alice.poll_output() else { panic!("an answer") };
    assert_eq!(frame, bytes(ANSWER));
}
