//! An item for tests of parts.

use crate::replica::{DecodeError, Digest, Encoded, Part, Replicated};

/// An item with a large part beside a small body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) id: u32,
    pub(crate) confidence: u8,
    pub(crate) embedding: Part,
}

impl Digest for Pattern {
    fn digest<H: digest::Update>(&self, hash: &mut H) {
        hash.update(&[self.confidence]);
        hash.update(self.embedding.hash().as_bytes());
    }
}

impl Replicated for Pattern {
    type Key = u32;

    fn key(&self) -> u32 {
        self.id
    }

    fn encode(&self) -> Encoded {
        Encoded { body: alloc::vec![self.confidence], parts: alloc::vec![self.embedding.clone()] }
    }

    fn decode(key: &u32, encoded: &Encoded) -> Result<Self, DecodeError> {
        match (encoded.body.as_slice(), encoded.parts.as_slice()) {
            ([confidence], [embedding]) => Ok(Self { id: *key, confidence: *confidence, embedding: embedding.clone() }),
            _ => Err(DecodeError::new("not a pattern")),
        }
    }
}
