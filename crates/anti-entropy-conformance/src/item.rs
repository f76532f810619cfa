//! The laws of [`Replicated`] and [`Digest`](anti_entropy::Digest).

/// The laws by name, to compare with [`Violation::law`].
pub mod law;
mod mutations;
mod nesting;

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use self::mutations::each_mutation;
pub use self::nesting::check_nesting;
use super::Violation;
use anti_entropy::Replicated;
use anti_entropy::clock::Timestamp;
use anti_entropy::value::{ContentHash, DecodeError, Encoded};
use anti_entropy::value::{serde_decode, serde_encode};

/// How often each value is decoded: an order that is random differs in one of them.
const REPETITIONS: usize = 8;
/// The encodings of so many samples are damaged, and each sample is compared with so many others.
const CLOSELY: usize = 64;

/// Checks the laws of [`Replicated`] and [`Digest`](anti_entropy::Digest) on these samples, and on what their
/// encodings turn into when they are damaged.
///
/// Good samples are few and different: empty and long ones, extreme numbers, several values of one key that differ in one
/// field each, text shifted from one field to the next. The laws, by the names in [`law`]:
///
/// A type that contains itself goes through [`check_nesting`] too.
///
/// - [`law::SAMPLES`]: there is a sample.
/// - [`law::NO_PANIC`]: nothing panics, whatever `decode` gets. (Without the feature `std` a panic is not caught.)
/// - [`law::KEY_ENCODING`]: keys come back from their postcard encoding, and are equal exactly if it is.
/// - [`law::ROUND_TRIP`]: `decode` takes back what `encode` made. It refuses it too if it insists on a canonical form
///   and there is none, as for an unordered map.
/// - [`law::CANONICAL`]: encoding a value again, its clone, or what was decoded from it gives the same bytes.
/// - [`law::KEY_STABLE`]: clones and decoded values have the key.
/// - [`law::KEY_GIVEN`]: decoded under another key, a value is refused or has that key.
/// - [`law::ONE_FORM`]: what `decode` makes of damaged bytes, if anything, encodes to these bytes again.
/// - [`law::DIGEST_REPEATS`]: under one key, values with equal encodings have equal digests.
/// - [`law::DIGEST_TELLS`]: values with different encodings have different digests. An item that leaves something out
///   of its digest on purpose goes through [`check_items_by`].
///
/// ```
/// use anti_entropy_conformance::check_items;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Note {
///     id: u32,
///     text: String,
/// }
/// anti_entropy::replicated!(Note, key: u32 = |note| note.id);
///
/// let note = |id, text: &str| Note { id, text: text.to_string() };
/// check_items(&[note(1, ""), note(1, "milk"), note(u32::MAX, "milk")])?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_items<V: Replicated>(samples: &[V]) -> Result<(), Violation> {
    check_items_by(samples, |a, b| a.encode() == b.encode())
}

/// Checks the same laws for items that leave something out of their digest: `same` says whether two values are the same
/// to replicas. Under one key, digests must be equal exactly if it says so, and values of different keys must differ in
/// their digest if it says that they differ.
///
/// ```
/// use anti_entropy_conformance::check_items_by;
/// use anti_entropy::value::{DecodeError, Encoded};
/// use anti_entropy::{Digest, Replicated};
/// use anti_entropy::value::{serde_decode, serde_encode};
/// # use digest::Update;
///
/// /// How often a page was read differs between replicas, and does not count.
/// #[derive(Clone)]
/// struct Page { name: String, text: String, reads: u32 }
/// impl Digest for Page {
///     fn digest<H: Update>(&self, hash: &mut H) { hash.update(self.text.as_bytes()) }
/// }
/// impl Replicated for Page {
///     type Key = String;
///     fn key(&self) -> String { self.name.clone() }
///     fn encode(&self) -> Encoded { Encoded::from_body(serde_encode(&(&self.text, self.reads))) }
///     fn decode(key: &String, encoded: &Encoded) -> Result<Self, DecodeError> {
///         serde_decode(encoded).map(|(text, reads)| Self { name: key.clone(), text, reads })
///     }
/// }
/// let page = |text: &str, reads| Page { name: "start".to_string(), text: text.to_string(), reads };
/// check_items_by(&[page("hello", 0), page("hello", 7), page("hi", 7)], |a, b| a.text == b.text)?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_items_by<V: Replicated>(samples: &[V], same: impl Fn(&V, &V) -> bool) -> Result<(), Violation> {
    if samples.is_empty() {
        return Err(Violation::new(law::SAMPLES, "there is no sample"));
    }
    let samples: Vec<Sample<'_, V>> = samples.iter().map(Sample::new).collect::<Result<_, _>>()?;
    check_keys(&samples)?;
    for sample in &samples {
        check_copies(sample)?;
    }
    for (at, sample) in samples.iter().enumerate() {
        for other in samples.iter().cycle().skip(at + 1).take(CLOSELY.min(samples.len() - 1)) {
            check_pair(sample, other, &same)?;
        }
    }
    for sample in samples.iter().step_by(samples.len().div_ceil(CLOSELY)) {
        each_mutation(&sample.encoded, &mut |damaged| check_bytes(sample, damaged, &same))?;
    }
    Ok(())
}

struct Sample<'a, V: Replicated> {
    value: &'a V,
    key: V::Key,
    encoded: Encoded,
    digest: ContentHash,
}

impl<'a, V: Replicated> Sample<'a, V> {
    fn new(value: &'a V) -> Result<Self, Violation> {
        let key = caught(|| value.key(), "key")?;
        let encoded = caught(|| value.encode(), "encode")?;
        let digest = caught(|| digest(value), "digest")?;
        Ok(Self { value, key, encoded, digest })
    }
}

fn check_keys<V: Replicated>(samples: &[Sample<'_, V>]) -> Result<(), Violation> {
    let broken = |detail| Err(Violation::new(law::KEY_ENCODING, detail));
    let (mut by_key, mut by_bytes) = (BTreeMap::new(), BTreeMap::new());
    for key in samples.iter().map(|sample| &sample.key) {
        let bytes = caught(|| serde_encode(key), "encoding the key")?;
        match serde_decode::<V::Key>(&Encoded::from_body(bytes.clone())) {
            Ok(decoded) if decoded == *key => {}
            Ok(decoded) => return broken(format!("{key:?} comes back as {decoded:?}")),
            Err(error) => return broken(format!("the encoding of {key:?} is refused: {error}")),
        }
        if by_key.insert(key, bytes.clone()).is_some_and(|earlier| earlier != bytes) {
            return broken(format!("{key:?} has two encodings"));
        }
        if let Some(earlier) = by_bytes.insert(bytes, key).filter(|earlier| *earlier != key) {
            return broken(format!("{earlier:?} and {key:?} are different keys with one encoding"));
        }
    }
    Ok(())
}

/// Repeated encoding, clones and decoded copies.
fn check_copies<V: Replicated>(sample: &Sample<'_, V>) -> Result<(), Violation> {
    let key = &sample.key;
    check_copy(sample, sample.value, "the value itself, a second time,")?;
    check_copy(sample, &caught(|| sample.value.clone(), "clone")?, "a clone")?;
    for _ in 0..REPETITIONS {
        let copy = decode(key, &sample.encoded)?
            .map_err(|error| Violation::new(law::ROUND_TRIP, format!("under {key:?}, decode fails: {error}")))?;
        check_copy(sample, &copy, "the decoded value")?;
    }
    Ok(())
}

fn check_copy<V: Replicated>(sample: &Sample<'_, V>, copy: &V, what: &str) -> Result<(), Violation> {
    let (key, copy) = (&sample.key, Sample::new(copy)?);
    if copy.key != *key {
        return Err(Violation::new(law::KEY_STABLE, format!("{what} has the key {:?}, and had {key:?}", copy.key)));
    }
    if copy.encoded != sample.encoded {
        return Err(Violation::new(law::CANONICAL, format!("under {key:?}, {what} encodes to other bytes")));
    }
    if copy.digest != sample.digest {
        return Err(Violation::new(law::DIGEST_REPEATS, format!("under {key:?}, {what} has another digest")));
    }
    Ok(())
}

fn check_pair<V: Replicated>(
    sample: &Sample<'_, V>,
    other: &Sample<'_, V>,
    same: &impl Fn(&V, &V) -> bool,
) -> Result<(), Violation> {
    if sample.key != other.key {
        check_bytes(sample, &other.encoded, same)?;
    }
    check_digests(sample, other, same)
}

/// Hands bytes to `decode` under the sample's key. They may be refused; if not, the value must be in order.
fn check_bytes<V: Replicated>(
    sample: &Sample<'_, V>,
    bytes: &Encoded,
    same: &impl Fn(&V, &V) -> bool,
) -> Result<(), Violation> {
    let Ok(value) = decode(&sample.key, bytes)? else { return Ok(()) };
    let decoded = Sample::new(&value)?;
    if decoded.key != sample.key {
        let detail = format!("what was decoded under {:?} has the key {:?}", sample.key, decoded.key);
        return Err(Violation::new(law::KEY_GIVEN, detail));
    }
    if decoded.encoded != *bytes {
        let (key, body) = (&sample.key, &bytes.body[..bytes.body.len().min(64)]);
        let detail = format!("under {key:?}, it accepts and encodes differently: {body:02x?}");
        return Err(Violation::new(law::ONE_FORM, detail));
    }
    check_digests(sample, &decoded, same)
}

fn check_digests<V: Replicated>(
    one: &Sample<'_, V>,
    other: &Sample<'_, V>,
    same: &impl Fn(&V, &V) -> bool,
) -> Result<(), Violation> {
    let are_same = same(one.value, other.value);
    let (a, b) = (&one.key, &other.key);
    if one.digest == other.digest && !are_same {
        return Err(Violation::new(
            law::DIGEST_TELLS,
            format!("two values that differ, at {a:?} and {b:?}, have one digest"),
        ));
    }
    if one.digest != other.digest && are_same && a == b {
        return Err(Violation::new(law::DIGEST_REPEATS, format!("values at {a:?} are the same and have two digests")));
    }
    Ok(())
}

fn digest<V: Replicated>(value: &V) -> ContentHash {
    ContentHash::of(Timestamp::MIN, value)
}

fn decode<V: Replicated>(key: &V::Key, encoded: &Encoded) -> Result<Result<V, DecodeError>, Violation> {
    caught(|| V::decode(key, encoded), "decode")
}

fn caught<T>(call: impl FnOnce() -> T, what: &str) -> Result<T, Violation> {
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    called.map_err(|_| Violation::new(law::NO_PANIC, format!("{what} panicked")))
}
