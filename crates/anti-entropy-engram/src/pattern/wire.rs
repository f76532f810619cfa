//! The bytes of a pattern that are hashed and sent (docs/protocol.md, "Patterns").

use anti_entropy::value::{DecodeError, Encoded};
use anti_entropy::{Digest, Replicated};
use chrono::DateTime;
use digest::Update;
use serde::{Deserialize, Serialize};

use super::{Embedding, Episodes, Pattern, check_confidence, check_strength, check_time};
use crate::Encoding;

/// The fields of a pattern without its id, which is the key, and without its two parts; in postcard's encoding.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    encoding: u8,
    origin: &'a str,
    strength: f32,
    confidence: f32,
    seconds: i64,
    nanoseconds: u32,
}

impl Pattern {
    fn body(&self) -> Vec<u8> {
        let body = Body {
            encoding: self.embedding.encoding().code(),
            origin: &self.origin,
            strength: self.strength,
            confidence: self.confidence,
            seconds: self.last_consolidated.timestamp(),
            nanoseconds: self.last_consolidated.timestamp_subsec_nanos(),
        };
        postcard::to_allocvec(&body).expect("a string and numbers serialise")
    }
}

/// Covers every field. Parts enter by their hashes, which have a fixed length; what has no fixed length is preceded by it.
impl Digest for Pattern {
    fn digest<H: Update>(&self, hash: &mut H) {
        for bytes in [self.id.as_bytes(), &self.body()] {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        hash.update(self.embedding.part().hash().as_bytes());
        hash.update(self.episodes.part().hash().as_bytes());
    }
}

impl Replicated for Pattern {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn encode(&self) -> Encoded {
        Encoded { body: self.body(), parts: vec![self.embedding.part().clone(), self.episodes.part().clone()] }
    }

    fn decode(key: &String, encoded: &Encoded) -> Result<Self, DecodeError> {
        let [embedding, episodes] = encoded.parts.as_slice() else {
            return Err(DecodeError::new("a pattern has two parts, embedding and episodes"));
        };
        if key.is_empty() {
            return Err(DecodeError::new("the pattern has no id"));
        }
        let body: Body<'_> = postcard::from_bytes(&encoded.body).map_err(|_| DecodeError::new("it does not parse"))?;
        let encoding = Encoding::from_code(body.encoding).ok_or(DecodeError::new("its encoding is unknown"))?;
        let last_consolidated = DateTime::from_timestamp(body.seconds, body.nanoseconds);
        let out_of_range = |_| DecodeError::new("a number of it is out of range");
        let pattern = Self {
            id: key.clone(),
            origin: body.origin.to_owned(),
            embedding: Embedding::from_part(embedding, encoding)?,
            episodes: Episodes::from_part(episodes)?,
            strength: check_strength(body.strength).map_err(out_of_range)?,
            confidence: check_confidence(body.confidence).map_err(out_of_range)?,
            last_consolidated: last_consolidated.ok_or(DecodeError::new("there is no such time"))?,
        };
        check_time(pattern.last_consolidated).map_err(out_of_range)?;
        // Replicas compare bytes, so two encodings of one value would be two values.
        let canonical = pattern.body() == encoded.body;
        if canonical { Ok(pattern) } else { Err(DecodeError::new("it is not in canonical form")) }
    }
}
