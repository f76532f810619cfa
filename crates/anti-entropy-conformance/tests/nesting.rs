//! The check of types that nest: serde's pass, and those that are broken on purpose fail.

use std::process::Command;

use anti_entropy::value::{DecodeError, EncodeError, Encoded, MAX_NESTING};
use anti_entropy::{Digest, Keyed, Replicated};
use anti_entropy_conformance::check_nesting;
use anti_entropy_conformance::item::law;
use digest::Update;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tree(Vec<Tree>);
anti_entropy::replicated!(Tree, key: u8 = |_| 1);

fn tree(levels: usize) -> Tree {
    (1..levels).fold(Tree(Vec::new()), |inner, _| Tree(vec![inner]))
}

#[test]
fn serde_types_conform() {
    check_nesting(tree).unwrap();
    check_nesting(|levels| Keyed::new("key".to_string(), tree(levels))).unwrap();
}

/// A chain of so many links. In its encoding each is a byte, with one behind all that follow it.
#[derive(Clone, Debug)]
struct Chain<const FAULT: u8>(usize);

const SOUND: u8 = 0;
const WRITES_WHAT_IT_DOES_NOT_READ: u8 = 1;
const FORGETS_A_LINK: u8 = 2;
const REFUSES_ALL: u8 = 3;
const REFUSES_SOME: u8 = 4;
const PANICS_AT_DEPTH: u8 = 5;
const OVERFLOWS: u8 = 6;

impl<const FAULT: u8> Digest for Chain<FAULT> {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(&self.0.to_be_bytes());
    }
}

impl<const FAULT: u8> Replicated for Chain<FAULT> {
    type Key = ();

    fn key(&self) {}

    fn encode(&self) -> Encoded {
        Encoded::from_body([vec![b'('; self.0], vec![b')'; self.0]].concat())
    }

    fn try_encode(&self) -> Result<Encoded, EncodeError> {
        let refused = match FAULT {
            WRITES_WHAT_IT_DOES_NOT_READ => false,
            REFUSES_ALL => true,
            REFUSES_SOME => self.0 == 3,
            _ => self.0 > MAX_NESTING,
        };
        if refused { Err(EncodeError::new("it nests too deep")) } else { Ok(self.encode()) }
    }

    fn decode((): &(), encoded: &Encoded) -> Result<Self, DecodeError> {
        if FAULT == OVERFLOWS {
            return Ok(Self(recurse(&encoded.body)));
        }
        let levels = encoded.body.len() / 2;
        assert!(FAULT != PANICS_AT_DEPTH || levels <= MAX_NESTING, "on purpose");
        match levels <= MAX_NESTING {
            true if FAULT == FORGETS_A_LINK => Ok(Self(levels.min(MAX_NESTING - 1))),
            true => Ok(Self(levels)),
            false => Err(DecodeError::new("it nests too deep")),
        }
    }
}

/// Needs some stack for each level, as a decoder by recursion does.
fn recurse(bytes: &[u8]) -> usize {
    let here = std::hint::black_box([0_u8; 256]);
    match bytes {
        [b'(', inner @ .., b')'] => 1 + recurse(inner) + usize::from(here[0]),
        _ => usize::from(here[0]),
    }
}

#[test]
fn a_broken_type_fails() {
    fn broken<const FAULT: u8>() -> Option<&'static str> {
        check_nesting(Chain::<FAULT>).err().map(|violation| violation.law)
    }
    assert_eq!(broken::<SOUND>(), None);
    assert_eq!(broken::<WRITES_WHAT_IT_DOES_NOT_READ>(), Some(law::NESTING));
    assert_eq!(broken::<FORGETS_A_LINK>(), Some(law::NESTING));
    assert_eq!(broken::<REFUSES_ALL>(), Some(law::NESTING));
    assert_eq!(broken::<REFUSES_SOME>(), Some(law::NESTING));
    assert_eq!(broken::<PANICS_AT_DEPTH>(), Some(law::NO_PANIC));
}

/// Run by the next test in a process of its own.
#[test]
#[ignore = "it overflows the stack on purpose"]
fn a_decoder_that_recurses() {
    check_nesting(Chain::<OVERFLOWS>).unwrap();
}

#[test]
fn an_overflow_ends_the_process_and_names_the_check() {
    let mut process = Command::new(std::env::current_exe().unwrap());
    let output = process.args(["--ignored", "--exact", "a_decoder_that_recurses"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the check does not go deep enough");
    assert!(message.contains("'nesting'") && message.contains("overflow"), "{message}");
}
