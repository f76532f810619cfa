//! The item kit: the items of this crate pass, and items broken on purpose fail in the law that they break.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anti_entropy::value::{DecodeError, Encoded, Part};
use anti_entropy::value::{serde_decode, serde_encode};
use anti_entropy::{Digest, Keyed, Replicated};
use anti_entropy_conformance::item::law;
use anti_entropy_conformance::{check_items, check_items_by};
use digest::Update;
use serde::{Deserialize, Serialize};

#[test]
fn keyed_maps_conform() {
    let texts = ["", "a", "ab", "a somewhat longer text, which is no longer than texts are"];
    let entries = texts.iter().flat_map(|key| texts.map(|value| Keyed::new((*key).to_string(), value.to_string())));
    check_items(&entries.collect::<Vec<_>>()).unwrap();
    let numbers: Vec<_> = [i64::MIN, -1, 0, 1, i64::MAX].map(|number| Keyed::new((3u8, 'x'), Some(number))).into();
    check_items(&numbers).unwrap();
    let nested = |count: u32| (0..count).map(|number| (number, vec![number; 3])).collect::<BTreeMap<_, _>>();
    check_items(&[0, 1, 200].map(|count| Keyed::new(count, nested(count)))).unwrap();
}

#[test]
fn sets_conform() {
    check_items(&[0u64, 1, 127, 128, u64::MAX].map(|number| Keyed::new(number, ()))).unwrap();
    check_items(&["a", "b"].map(|text| Keyed::new(text.to_string(), BTreeSet::from([1u8, 2])))).unwrap();
}

#[test]
fn a_set_cannot_be_checked_without_samples() {
    assert_eq!(check_items::<Keyed<u8, ()>>(&[]).unwrap_err().law, law::SAMPLES);
}

/// A text with an attachment in a part of its own, and what may be wrong with it.
#[derive(Clone, Debug)]
struct Mail<const FAULT: u8> {
    id: u8,
    subject: String,
    attachment: Vec<u8>,
    /// Not encoded.
    made_here: bool,
}

const SOUND: u8 = 0;
const DIGEST_WITHOUT_SUBJECT: u8 = 1;
const DIGEST_WITHOUT_PARTS: u8 = 2;
const DIGEST_WITHOUT_LENGTHS: u8 = 3;
const DIGEST_OF_WHAT_IS_NOT_ENCODED: u8 = 4;
const TRAILING_BYTES_ACCEPTED: u8 = 5;
const SURPLUS_PARTS_ACCEPTED: u8 = 6;
const PANICS_WHEN_CUT_OFF: u8 = 7;
const KEY_FORGOTTEN: u8 = 8;
const KEY_FROM_BODY: u8 = 9;
const SUBJECT_TRIMMED: u8 = 10;
const OWN_ENCODING_REFUSED: u8 = 11;
const ENCODES_THE_ADDRESS: u8 = 12;

impl<const FAULT: u8> Digest for Mail<FAULT> {
    fn digest<H: Update>(&self, hash: &mut H) {
        if FAULT == DIGEST_OF_WHAT_IS_NOT_ENCODED {
            hash.update(&[u8::from(self.made_here)]);
        }
        if FAULT != DIGEST_WITHOUT_LENGTHS {
            hash.update(&(self.subject.len() as u64).to_be_bytes());
        }
        if FAULT != DIGEST_WITHOUT_SUBJECT {
            hash.update(self.subject.as_bytes());
        }
        if FAULT != DIGEST_WITHOUT_PARTS {
            hash.update(&self.attachment);
        }
    }
}

impl<const FAULT: u8> Replicated for Mail<FAULT> {
    type Key = u8;

    fn key(&self) -> u8 {
        self.id
    }

    fn encode(&self) -> Encoded {
        let mut body = serde_encode(&self.subject);
        if FAULT == KEY_FROM_BODY {
            body.push(self.id);
        }
        if FAULT == ENCODES_THE_ADDRESS {
            body.extend((self.subject.as_ptr() as usize).to_be_bytes());
        }
        Encoded { body, parts: vec![Part::from(self.attachment.clone())] }
    }

    fn decode(key: &u8, encoded: &Encoded) -> Result<Self, DecodeError> {
        let (part, more) = encoded.parts.split_first().ok_or(DecodeError::new("it lacks its attachment"))?;
        if !more.is_empty() && FAULT != SURPLUS_PARTS_ACCEPTED {
            return Err(DecodeError::new("it has parts left over"));
        }
        let mut body = encoded.body.clone();
        let mut id = *key;
        match FAULT {
            TRAILING_BYTES_ACCEPTED => {
                let length = body.first().map_or(0, |length| 1 + usize::from(*length));
                body.truncate(length);
            }
            PANICS_WHEN_CUT_OFF => {
                let length = usize::from(body[0]);
                assert!(length < body.len(), "on purpose");
            }
            KEY_FORGOTTEN => id = 0,
            KEY_FROM_BODY => id = body.pop().ok_or(DecodeError::new("it lacks its key"))?,
            OWN_ENCODING_REFUSED if body.len() > 5 => return Err(DecodeError::new("on purpose")),
            ENCODES_THE_ADDRESS => body.truncate(body.len().saturating_sub(size_of::<usize>())),
            _ => {}
        }
        let subject: String = serde_decode(&Encoded::from_body(body))?;
        let subject = if FAULT == SUBJECT_TRIMMED { subject.trim().to_string() } else { subject };
        Ok(Self { id, subject, attachment: part.as_bytes().to_vec(), made_here: false })
    }
}

fn mails<const FAULT: u8>() -> Vec<Mail<FAULT>> {
    let mail = |id, subject: &str, attachment: &str| Mail {
        id,
        subject: subject.to_string(),
        attachment: attachment.as_bytes().to_vec(),
        made_here: true,
    };
    vec![mail(1, "ab", "c"), mail(1, "a", "bc"), mail(1, "", ""), mail(2, "another subject", "c"), mail(3, "x", "")]
}

fn broken_law<const FAULT: u8>() -> Option<&'static str> {
    check_items(&mails::<FAULT>()).err().map(|violation| violation.law)
}

#[test]
fn a_broken_item_fails_in_the_law_it_breaks() {
    assert_eq!(broken_law::<SOUND>(), None);
    assert_eq!(broken_law::<DIGEST_WITHOUT_SUBJECT>(), Some(law::DIGEST_TELLS));
    assert_eq!(broken_law::<DIGEST_WITHOUT_PARTS>(), Some(law::DIGEST_TELLS));
    assert_eq!(broken_law::<DIGEST_WITHOUT_LENGTHS>(), Some(law::DIGEST_TELLS));
    assert_eq!(broken_law::<DIGEST_OF_WHAT_IS_NOT_ENCODED>(), Some(law::DIGEST_REPEATS));
    assert_eq!(broken_law::<TRAILING_BYTES_ACCEPTED>(), Some(law::ONE_FORM));
    assert_eq!(broken_law::<SURPLUS_PARTS_ACCEPTED>(), Some(law::ONE_FORM));
    assert_eq!(broken_law::<PANICS_WHEN_CUT_OFF>(), Some(law::NO_PANIC));
    assert_eq!(broken_law::<KEY_FORGOTTEN>(), Some(law::KEY_STABLE));
    assert_eq!(broken_law::<KEY_FROM_BODY>(), Some(law::KEY_GIVEN));
    assert_eq!(broken_law::<SUBJECT_TRIMMED>(), Some(law::ONE_FORM));
    assert_eq!(broken_law::<OWN_ENCODING_REFUSED>(), Some(law::ROUND_TRIP));
    assert_eq!(broken_law::<ENCODES_THE_ADDRESS>(), Some(law::CANONICAL));
}

#[test]
fn what_a_digest_leaves_out_on_purpose_is_said() {
    let without_subject = |a: &Mail<DIGEST_WITHOUT_SUBJECT>, b: &Mail<DIGEST_WITHOUT_SUBJECT>| {
        a.subject.len() == b.subject.len() && a.attachment == b.attachment
    };
    check_items_by(&mails(), without_subject).unwrap();
    let all_same = |_: &Mail<SOUND>, _: &Mail<SOUND>| true;
    assert_eq!(check_items_by(&mails(), all_same).unwrap_err().law, law::DIGEST_REPEATS);
}

/// An unordered map, by way of a decoder that insists on nothing.
#[derive(Clone)]
struct Unordered(HashMap<u8, u8>);

impl Digest for Unordered {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(&serde_encode(&self.0));
    }
}

impl Replicated for Unordered {
    type Key = ();

    fn key(&self) {}

    fn encode(&self) -> Encoded {
        Encoded::from_body(self.0.iter().flat_map(|(key, value)| [*key, *value]).collect())
    }

    fn decode((): &(), encoded: &Encoded) -> Result<Self, DecodeError> {
        Ok(Self(encoded.body.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct UnorderedSerde(HashMap<u8, u8>);
anti_entropy::replicated!(UnorderedSerde, key: () = |_| ());

#[test]
fn an_unordered_map_is_found() {
    let map: HashMap<u8, u8> = (0..20).map(|number| (number, number)).collect();
    assert_eq!(check_items(&[Unordered(map.clone())]).unwrap_err().law, law::CANONICAL);
    // The macro's decoder insists on the canonical form, and there is none.
    assert_eq!(check_items(&[UnorderedSerde(map)]).unwrap_err().law, law::ROUND_TRIP);
}

/// A key that is compared without regard to case, and encoded with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Caseless(String);

impl PartialEq for Caseless {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Caseless {}

impl PartialOrd for Caseless {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Caseless {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_lowercase().cmp(&other.0.to_lowercase())
    }
}

#[test]
fn equal_keys_have_equal_encodings() {
    let entries = ["Key", "key"].map(|key| Keyed::new(Caseless(key.to_string()), 1u8));
    assert_eq!(check_items(&entries).unwrap_err().law, law::KEY_ENCODING);
}
