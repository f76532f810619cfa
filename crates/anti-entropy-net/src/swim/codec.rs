//! The encoding of foca's messages inside of a datagram. The module `swim` defines the bytes.
//!
//! Foca would put the identities of both sides into every message. Here both sides know them from the session that the
//! datagram belongs to. Only the generations may have changed since, so only they are sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::PeerId;
use bytes::{Buf, BufMut};
use foca::{Header, Member, Message, State};

use super::identity::Identity;
use super::reader::Reader;

/// What decoding a message needs besides its bytes, and what it yields besides the message.
#[derive(Debug)]
pub(super) struct Context {
    /// This node.
    pub(super) own: Identity,
    /// The sender of the datagram that is being decoded.
    pub(super) sender: Identity,
    /// The names of the members, if there may be no further ones.
    pub(super) only: Option<BTreeSet<PeerId>>,
    /// The highest generation of another process with this node's name that any message has mentioned.
    pub(super) rival_generation: u32,
    /// How many members were left out because there may be no further ones.
    pub(super) left_out: u64,
}

/// Encodes and decodes foca's messages.
#[derive(Clone, Debug)]
pub(super) struct Codec(Arc<Mutex<Context>>);

/// Why a message could not be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    #[error("there is no room for it")]
    NoRoom,
    #[error("it is malformed")]
    Malformed,
}

impl Codec {
    pub(super) fn new(own: Identity) -> Self {
        let sender = own.clone();
        Self(Arc::new(Mutex::new(Context { own, sender, only: None, rival_generation: 0, left_out: 0 })))
    }

    pub(super) fn context(&self) -> MutexGuard<'_, Context> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<Identity>, mut buf: impl BufMut) -> Result<(), CodecError> {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend_from_slice(&header.src.generation.to_be_bytes());
        bytes.extend_from_slice(&header.src_incarnation.to_be_bytes());
        bytes.extend_from_slice(&header.dst.generation.to_be_bytes());
        encode_message(&header.message, &mut bytes);
        put(&bytes, &mut buf)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        let mut context = self.context();
        decode(&mut buf, |reader| {
            let generation = reader.u32()?;
            let src_incarnation = reader.u16()?;
            let dst = Identity { generation: reader.u32()?, ..context.own.clone() };
            let message = decode_message(reader)?;
            context.sender.generation = generation;
            Some(Header { src: context.sender.clone(), src_incarnation, dst, message })
        })
    }

    fn encode_member(&mut self, member: &Member<Identity>, mut buf: impl BufMut) -> Result<(), CodecError> {
        let mut bytes = Vec::with_capacity(64);
        member.id().encode(&mut bytes);
        bytes.extend_from_slice(&member.incarnation().to_be_bytes());
        bytes.push(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put(&bytes, &mut buf)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        let member = decode(&mut buf, |reader| {
            let id = Identity::decode(reader)?;
            let incarnation = reader.u16()?;
            let state = match reader.u8()? {
                0 => State::Alive,
                1 => State::Suspect,
                2 => State::Down,
                _ => return None,
            };
            Some(Member::new(id, incarnation, state))
        })?;
        let mut context = self.context();
        let id = member.id();
        if id.name == context.own.name && id.boot != context.own.boot {
            context.rival_generation = context.rival_generation.max(id.generation);
        }
        if context.only.as_ref().is_some_and(|known| !known.contains(&id.name)) {
            context.left_out += 1;
            // A decoder cannot skip a member. So return one that says nothing new: that the sender is alive.
            return Ok(Member::alive(context.sender.clone()));
        }
        Ok(member)
    }
}

fn encode_message(message: &Message<Identity>, bytes: &mut Vec<u8>) {
    let (kind, number, about) = match message {
        Message::Ping(number) => (1, Some(number), None),
        Message::Ack(number) => (2, Some(number), None),
        Message::PingReq { target, probe_number } => (3, Some(probe_number), Some(target)),
        Message::IndirectPing { origin, probe_number } => (4, Some(probe_number), Some(origin)),
        Message::IndirectAck { target, probe_number } => (5, Some(probe_number), Some(target)),
        Message::ForwardedAck { origin, probe_number } => (6, Some(probe_number), Some(origin)),
        Message::Announce => (7, None, None),
        Message::Feed => (8, None, None),
        Message::Gossip => (9, None, None),
        Message::Broadcast => (10, None, None),
        Message::TurnUndead => (11, None, None),
    };
    bytes.push(kind);
    bytes.extend(number);
    if let Some(identity) = about {
        identity.encode(bytes);
    }
}

fn decode_message(reader: &mut Reader<'_>) -> Option<Message<Identity>> {
    Some(match reader.u8()? {
        1 => Message::Ping(reader.u8()?),
        2 => Message::Ack(reader.u8()?),
        3 => Message::PingReq { probe_number: reader.u8()?, target: Identity::decode(reader)? },
        4 => Message::IndirectPing { probe_number: reader.u8()?, origin: Identity::decode(reader)? },
        5 => Message::IndirectAck { probe_number: reader.u8()?, target: Identity::decode(reader)? },
        6 => Message::ForwardedAck { probe_number: reader.u8()?, origin: Identity::decode(reader)? },
        7 => Message::Announce,
        8 => Message::Feed,
        9 => Message::Gossip,
        // 10 would be foca's broadcasts, which this crate does not use.
        11 => Message::TurnUndead,
        _ => return None,
    })
}

fn put(bytes: &[u8], buf: &mut impl BufMut) -> Result<(), CodecError> {
    if buf.remaining_mut() < bytes.len() {
        return Err(CodecError::NoRoom);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// Runs a decoder over a buffer, which is always in one piece.
fn decode<T>(buf: &mut impl Buf, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Result<T, CodecError> {
    let mut reader = Reader(buf.chunk());
    let before = reader.0.len();
    let decoded = read(&mut reader).ok_or(CodecError::Malformed)?;
    let taken = before - reader.0.len();
    buf.advance(taken);
    Ok(decoded)
}
