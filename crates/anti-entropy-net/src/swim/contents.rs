//! The encrypted part of a datagram, except for foca's messages. The module `swim` defines the bytes.

use anti_entropy::engine::StateDigest;

use super::announce::{ANNOUNCEMENT_BYTES, Announcement};
use super::header::{HEADER_BYTES, HELLO_BYTES, TAG_BYTES};
use super::identity::Identity;
use super::reader::Reader;
use crate::cluster_name::ClusterName;

/// The contents of a reply and of a confirm: this node's identity, and which datagram it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    /// What has been heard of the receiver.
    pub(super) heard: Heard,
    /// The counter of the datagram that is answered.
    pub(super) answers: u64,
    pub(super) identity: Identity,
    /// The highest generation that this node knows of another process with the receiver's name; 0 if there is none.
    pub(super) known_generation: u32,
    pub(super) announcements: Vec<Announcement>,
}

impl Introduction {
    pub(super) fn encode(&self, contents: &mut Vec<u8>) {
        self.heard.encode(contents);
        contents.extend_from_slice(&self.answers.to_be_bytes());
        self.identity.encode(contents);
        contents.extend_from_slice(&self.known_generation.to_be_bytes());
        encode_announcements(&self.announcements, contents);
    }

    pub(super) fn decode(contents: &[u8]) -> Option<Self> {
        let mut reader = Reader(contents);
        let heard = Heard::decode(&mut reader)?;
        let answers = reader.u64()?;
        let identity = Identity::decode(&mut reader)?;
        let known_generation = reader.u32()?;
        let announcements = decode_announcements(&mut reader)?;
        reader.0.is_empty().then_some(Self { heard, answers, identity, known_generation, announcements })
    }
}

/// One more than the greatest counter that the sender has accepted of the receiver's boot id; 0 if there is none. A
/// receiver that has not sent that many has been put back to an earlier state, or runs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard(pub(super) u64);

impl Heard {
    pub(super) fn encode(self, contents: &mut Vec<u8>) {
        contents.extend_from_slice(&self.0.to_be_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.u64().map(Self)
    }
}

/// The contents of a hello: the cluster's name, this node's identity, and zeros.
pub(super) fn encode_hello(cluster: &ClusterName, identity: &Identity) -> Vec<u8> {
    let mut contents = Vec::with_capacity(HELLO_BYTES);
    contents.push(u8::try_from(cluster.as_str().len()).expect("names of clusters are at most 64 bytes"));
    contents.extend_from_slice(cluster.as_str().as_bytes());
    identity.encode(&mut contents);
    contents.resize(HELLO_BYTES - HEADER_BYTES - TAG_BYTES, 0);
    contents
}

pub(super) fn decode_hello(contents: &[u8]) -> Option<(ClusterName, Identity)> {
    let mut reader = Reader(contents);
    let length = usize::from(reader.u8()?);
    let cluster = ClusterName::new(std::str::from_utf8(reader.take(length)?).ok()?).ok()?;
    let identity = Identity::decode(&mut reader)?;
    let padded = contents.len() == HELLO_BYTES - HEADER_BYTES - TAG_BYTES && reader.0.iter().all(|&byte| byte == 0);
    padded.then_some((cluster, identity))
}

/// Announcements: their number in one byte; then for each, the space in 8 bytes and the state in 32.
pub(super) fn encode_announcements(announcements: &[Announcement], contents: &mut Vec<u8>) {
    let count = u8::try_from(announcements.len()).expect("a datagram holds fewer than 256");
    contents.push(count);
    for announcement in announcements {
        contents.extend_from_slice(&announcement.space.to_be_bytes());
        contents.extend_from_slice(&announcement.state.to_bytes());
    }
}

pub(super) fn decode_announcements(reader: &mut Reader<'_>) -> Option<Vec<Announcement>> {
    let count = usize::from(reader.u8()?);
    // Checked first, so that no more memory is taken than bytes have arrived.
    if reader.0.len() < count * ANNOUNCEMENT_BYTES {
        return None;
    }
    (0..count)
        .map(|_| Some(Announcement { space: reader.u64()?, state: StateDigest::from_bytes(reader.array()?) }))
        .collect()
}
