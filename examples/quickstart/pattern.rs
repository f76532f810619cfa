//! The replicated value, with its two traits written by hand. A serde type without large parts would need one line:
//! `anti_entropy::replicated!(Pattern, key: String = |pattern| pattern.id.clone());`

use anti_entropy::value::{DecodeError, Encoded, Part};
use anti_entropy::{Digest, Replicated};
use serde::{Deserialize, Serialize};

/// A semantic pattern: what several episodes have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) id: String,
    pub(crate) meta: Meta,
    /// Little-endian `f32`s. Large, and the same for as long as the episodes are.
    pub(crate) embedding: Part,
    /// The episodes, in postcard's encoding.
    pub(crate) episodes: Part,
}

/// What changes often, and is small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) strength: f64,
    pub(crate) confidence: f64,
    pub(crate) last_consolidated: String,
}

impl Pattern {
    /// A pattern, if it is one.
    pub(crate) fn new(id: String, meta: Meta, embedding: Vec<u8>, episodes: &[String]) -> Result<Self, &'static str> {
        let pattern = Self { id, meta, embedding: embedding.into(), episodes: encode(episodes).into() };
        pattern.check()?;
        Ok(pattern)
    }

    fn check(&self) -> Result<(), &'static str> {
        let Self { id, meta, embedding, .. } = self;
        let (numbers, rest) = embedding.as_bytes().as_chunks::<4>();
        match () {
            () if id.is_empty() => Err("the id is empty"),
            () if !(0.0..=1.0).contains(&meta.strength) => Err("strength is not in 0 to 1"),
            () if !(0.0..=1.0).contains(&meta.confidence) => Err("schema_confidence is not in 0 to 1"),
            () if !is_timestamp(&meta.last_consolidated) => Err("last_consolidated is no RFC 3339 time"),
            () if embedding.as_bytes().is_empty() => Err("embedding is empty"),
            () if !rest.is_empty() => Err("embedding is no whole number of 32-bit floats"),
            () if !numbers.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()) => {
                Err("embedding has a number that is not finite")
            }
            () => Ok(()),
        }
    }
}

/// What counts of a pattern: all of it. The key is hashed beside it, so the id need not be here.
impl Digest for Pattern {
    fn digest<H: digest::Update>(&self, hash: &mut H) {
        let Encoded { body, parts } = self.encode();
        // Lengths first: two patterns that differ then feed different bytes.
        for bytes in [&body[..]].into_iter().chain(parts.iter().map(Part::as_bytes)) {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
    }
}

/// How a pattern is named, kept and sent. A change of its confidence moves the body, some forty bytes; embedding and
/// episodes are parts, which are sent only to replicas that do not hold them.
impl Replicated for Pattern {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn encode(&self) -> Encoded {
        Encoded { body: encode(&self.meta), parts: vec![self.embedding.clone(), self.episodes.clone()] }
    }

    /// Takes back what `encode` made and nothing else, since the bytes come from peers.
    fn decode(key: &String, encoded: &Encoded) -> Result<Self, DecodeError> {
        let [embedding, episodes] = encoded.parts.as_slice() else {
            return Err(DecodeError::new("a pattern has two parts"));
        };
        let does_not_parse = |_| DecodeError::new("it does not parse");
        let meta: Meta = postcard::from_bytes(&encoded.body).map_err(does_not_parse)?;
        let list: Vec<String> = postcard::from_bytes(episodes.as_bytes()).map_err(does_not_parse)?;
        let pattern = Self::new(key.clone(), meta, embedding.as_bytes().to_vec(), &list).map_err(DecodeError::new)?;
        if pattern.encode() == *encoded { Ok(pattern) } else { Err(DecodeError::new("it is not in canonical form")) }
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("strings, numbers and lists of known length serialise")
}

/// Whether a text has the form `2025-11-01T00:45:38Z`, with or without a fraction and with any offset.
fn is_timestamp(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    bytes.len() > FORM.len()
        && bytes.iter().zip(FORM).all(fits)
        && bytes[FORM.len()..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b':' | b'Z'))
}
