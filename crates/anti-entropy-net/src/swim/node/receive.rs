//! Receiving a datagram.

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use crate::swim::announce::Announcement;
use crate::swim::boot_id::BootId;
use crate::swim::contents::{Introduction, decode_announcements, decode_hello};
use crate::swim::header::{HEADER_BYTES, HELLO_BYTES, Header, HeaderError, Kind, MAX_CONTENTS_BYTES, TAG_BYTES};
use crate::swim::identity::Identity;
use crate::swim::reader::Reader;
use crate::swim::refusal::{DatagramRefusal, DatagramRefusalReason};
use crate::swim::replay_window::Used;
use crate::swim::seal::BootKey;

/// Whether a datagram was accepted.
type Handled = Result<(), DatagramRefusalReason>;

impl From<HeaderError> for DatagramRefusalReason {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Length => Self::Length,
            HeaderError::OtherVersion => Self::OtherVersion,
            HeaderError::Kind => Self::UnknownKind,
        }
    }
}

impl From<Used> for DatagramRefusalReason {
    fn from(used: Used) -> Self {
        match used {
            Used::Already => Self::Replayed,
            Used::Forgotten => Self::TooOld,
        }
    }
}

impl Node {
    /// Receives a datagram, which is decrypted in place.
    pub(in crate::swim) fn handle_datagram(&mut self, now: Duration, from: SocketAddr, datagram: &mut [u8]) {
        if let Err(reason) = self.take_datagram(now, from, datagram) {
            self.refuse(now, DatagramRefusal { from, reason });
        }
        self.settle(now);
    }

    fn take_datagram(&mut self, now: Duration, from: SocketAddr, datagram: &mut [u8]) -> Handled {
        let header = Header::decode(datagram)?;
        let own = self.sealer.boot();
        let contents = match self.sessions.get_mut(header.sender) {
            Some(session) => session.key.open(header, datagram, own),
            None => BootKey::derive(&self.config.key, header.sender).open(header, datagram, own),
        };
        let Some(contents) = contents else {
            if header.kind.is_bound() {
                self.notify_lost(now, from, header.sender);
            }
            return Err(DatagramRefusalReason::NotOpened);
        };
        if header.sender == own {
            return self.take_echo(header);
        }
        match header.kind {
            Kind::Hello => self.take_hello(now, from, header, contents),
            Kind::Reply => self.take_reply(now, header, contents),
            Kind::Confirm => self.take_confirm(now, header, contents),
            Kind::Data => self.take_data(now, from, header, contents),
            Kind::Lost => self.take_lost(now, from, header),
        }
    }

    /// A hello of this node itself means that a seed is this node, or that somebody has sent the hello back. It has no
    /// consequences: a hello to itself costs little, and a reply of another node to the same hello is still accepted.
    fn take_echo(&self, header: Header) -> Handled {
        let is_expected = header.kind == Kind::Hello && self.hellos.answered(header.counter).is_some();
        if is_expected { Ok(()) } else { Err(DatagramRefusalReason::OwnEcho) }
    }

    /// Replies to a hello. Nothing in it is believed, since it may be a recording.
    fn take_hello(&mut self, now: Duration, from: SocketAddr, header: Header, contents: &[u8]) -> Handled {
        let asker = decode_hello(contents).filter(|asker| asker.boot == header.sender);
        let asker = asker.ok_or(DatagramRefusalReason::Malformed)?;
        if let Some(session) = self.sessions.get_mut(header.sender) {
            session.take(now, header.counter)?;
        } else if !self.hellos.is_unanswered(header.sender, header.counter) {
            return Err(DatagramRefusalReason::Replayed);
        }
        if !self.replies.allow(now) {
            return Err(DatagramRefusalReason::TooMany);
        }
        self.hellos.note_answered(header.sender, header.counter);
        self.hellos.turn(now, self.sealer.next());
        let reply = self.introduce(header.counter, &asker, HELLO_BYTES - HEADER_BYTES - TAG_BYTES);
        self.send(Kind::Reply, header.sender, from, &reply);
        Ok(())
    }

    /// Accepts a reply to a hello of this node. It is fresh, since it contains the counter of the hello.
    fn take_reply(&mut self, now: Duration, header: Header, contents: &[u8]) -> Handled {
        let reply = introduction(header, contents)?;
        let address = self.hellos.answered(reply.answers).ok_or(DatagramRefusalReason::Unasked)?;
        self.begin_session(now, header, &reply)?;
        let waiting = self.hellos.end(address, header.sender);
        self.supersede_earlier(now, reply.known_generation);
        let confirm = self.introduce(header.counter, &reply.identity, MAX_CONTENTS_BYTES);
        self.send(Kind::Confirm, header.sender, reply.identity.address, &confirm);
        for (to, message) in waiting {
            self.send_message(now, &to, message);
        }
        self.learn_announced(now, header, &reply.announcements);
        let is_member = self.known.get(&reply.identity.name).is_some_and(|known| known.identity == reply.identity);
        if !is_member {
            self.meet(reply.identity);
        }
        Ok(())
    }

    /// Accepts a confirmation of a recent reply of this node. It is fresh, since it contains the counter of the reply.
    fn take_confirm(&mut self, now: Duration, header: Header, contents: &[u8]) -> Handled {
        let confirm = introduction(header, contents)?;
        if !self.hellos.is_fresh(now, confirm.answers, self.sealer.next()) {
            return Err(DatagramRefusalReason::Unasked);
        }
        self.begin_session(now, header, &confirm)?;
        // Both sides may have sent hellos at the same time.
        for (to, message) in self.hellos.end(confirm.identity.address, header.sender) {
            self.send_message(now, &to, message);
        }
        self.learn_announced(now, header, &confirm.announcements);
        if self.supersede_earlier(now, confirm.known_generation) {
            self.meet(confirm.identity);
        }
        Ok(())
    }

    fn take_data(&mut self, now: Duration, from: SocketAddr, header: Header, contents: &[u8]) -> Handled {
        let Some(session) = self.sessions.get_mut(header.sender) else {
            self.notify_lost(now, from, header.sender);
            return Err(DatagramRefusalReason::NoSession);
        };
        session.take(now, header.counter)?;
        let sender = session.identity.clone();
        let mut reader = Reader(contents);
        let announcements = decode_announcements(&mut reader).ok_or(DatagramRefusalReason::Malformed)?;
        self.learn_announced(now, header, &announcements);
        self.limit_members(sender);
        let handled = self.foca.handle_data(reader.0, &mut self.requests);
        let mut context = self.codec.context();
        let sender = context.sender.clone();
        let left_out = std::mem::take(&mut context.left_out);
        drop(context);
        if let Some(session) = self.sessions.get_mut(header.sender) {
            session.identity = sender;
        }
        match handled {
            Err(_) => Err(DatagramRefusalReason::Malformed),
            Ok(()) if left_out > 0 => Err(DatagramRefusalReason::NoRoom),
            Ok(()) => Ok(()),
        }
    }

    /// A peer that has restarted says that it could not decrypt a datagram for its previous process. With a recording
    /// of that, a stranger can make this node send a hello, but only once, and only to the address of a member or a
    /// seed.
    fn take_lost(&mut self, now: Duration, from: SocketAddr, header: Header) -> Handled {
        if let Some(session) = self.sessions.get_mut(header.sender) {
            session.take(now, header.counter)?;
        }
        if !self.is_peers(from) {
            return Err(DatagramRefusalReason::Unasked);
        }
        if !self.hellos.is_unanswered(header.sender, header.counter) {
            return Err(DatagramRefusalReason::Replayed);
        }
        self.hellos.note_answered(header.sender, header.counter);
        self.say_hello(now, from);
        Ok(())
    }

    /// Tells a sender without a session that its datagram was lost, in fewer bytes than it sent. The limits for the
    /// addresses of members and seeds and for other addresses are separate, so that garbage from other addresses does
    /// not use up the former. Garbage with a forged address does.
    fn notify_lost(&mut self, now: Duration, to: SocketAddr, sender: BootId) {
        let notices = if self.is_peers(to) { &mut self.notices_to_peers } else { &mut self.notices };
        if !self.sessions.contains(sender) && notices.allow(now) {
            self.send(Kind::Lost, BootId::UNKNOWN, to, &[]);
        }
    }

    /// The introduction of this node for a peer, with as many announcements as there is room for.
    fn introduce(&self, answers: u64, to: &Identity, room_bytes: usize) -> Vec<u8> {
        let earlier = self.foca.iter_membership_state().map(foca::Member::id);
        let earlier = earlier.filter(|known| known.name == to.name && known.boot != to.boot);
        let mut introduction = Introduction {
            answers,
            identity: self.foca.identity().clone(),
            known_generation: earlier.map(|known| known.generation).max().unwrap_or(0),
            announcements: Vec::new(),
        };
        let mut contents = Vec::with_capacity(room_bytes);
        introduction.encode(&mut contents);
        // The byte with the number of announcements is in it already.
        let room = (room_bytes + 1).saturating_sub(contents.len());
        introduction.announcements = self.shared.announcements.take(&to.name, room);
        contents.clear();
        introduction.encode(&mut contents);
        contents
    }

    /// Updates the session with a fresh introduction, or begins one.
    fn begin_session(&mut self, now: Duration, header: Header, introduction: &Introduction) -> Handled {
        if let Some(session) = self.sessions.get_mut(header.sender) {
            session.take(now, header.counter)?;
            session.identity = introduction.identity.clone();
            return Ok(());
        }
        let name = &introduction.identity.name;
        if self.foca.iter_membership_state().len() >= self.config.limits.max_members
            && !self.foca.iter_membership_state().any(|member| member.id().name == *name)
        {
            return Err(DatagramRefusalReason::NoRoom);
        }
        let key = BootKey::derive(&self.config.key, header.sender);
        let known = &self.known;
        let spare = |identity: &Identity| known.get(&identity.name).is_none_or(|k| k.identity.boot != identity.boot);
        let peer = (introduction.identity.clone(), key);
        if !self.sessions.begin(now, header.counter, peer, |session| spare(&session.identity)) {
            return Err(DatagramRefusalReason::NoRoom);
        }
        self.shared.stats.count(|stats| stats.sessions += 1);
        Ok(())
    }

    /// Asks a node for the members that it knows. That also tells it of this node.
    fn meet(&mut self, node: Identity) {
        if !self.leaving {
            // An error could only come from encoding, which cannot fail for names of the lengths allowed.
            let _ = self.foca.announce(node, &mut self.requests);
        }
    }

    /// Prepares the codec for a message: its sender, and whether further members are allowed.
    fn limit_members(&mut self, sender: Identity) {
        let members = self.foca.iter_membership_state();
        let full = members.len() >= self.config.limits.max_members;
        let only = full.then(|| members.map(|member| member.id().name.clone()).collect());
        let mut context = self.codec.context();
        context.sender = sender;
        context.only = only;
    }

    fn learn_announced(&mut self, now: Duration, header: Header, announcements: &[Announcement]) {
        let Some(session) = self.sessions.get_mut(header.sender) else { return };
        if session.announce(now, header.counter, announcements) {
            let name = session.identity.name.clone();
            self.announced(now, &name, header.sender, announcements);
        }
    }

    fn refuse(&mut self, now: Duration, refusal: DatagramRefusal) {
        self.shared.stats.refuse(refusal);
        #[cfg(feature = "tracing")]
        if self.warnings.allow(now) {
            tracing::warn!(from = %refusal.from, "a membership datagram was refused: {}", refusal.reason);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = now;
    }
}

/// Decodes an introduction. It must be that of the process that has sent the datagram.
fn introduction(header: Header, contents: &[u8]) -> Result<Introduction, DatagramRefusalReason> {
    let introduction = Introduction::decode(contents).filter(|said| said.identity.boot == header.sender);
    introduction.ok_or(DatagramRefusalReason::Malformed)
}
