//! The sessions that were opened by hand.

use std::collections::BTreeMap;

use anti_entropy::SessionConfig;
use anti_entropy::session::{Frame, FrameKind};
use tokio::time::Instant;

use super::crafted;
use super::node::{Abuse, Victim};

/// Those that wait for a reply, by its name.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<(Victim, u64), Session>);

/// A session with one replica.
pub(super) struct Session {
    pub(super) purpose: Abuse,
    /// The number that it was opened under.
    number: u64,
    /// The number of its further requests, once the other side has told it.
    pub(super) nonce: Option<u64>,
    /// The number of its next request.
    pub(super) next: u32,
    /// When it was opened, or the other side answered last.
    pub(super) heard_at: Instant,
}

impl Sessions {
    /// Opens another one.
    pub(super) fn open(&mut self, victim: &Victim, purpose: Abuse) -> Vec<u8> {
        self.forget(victim, purpose);
        let number = fastrand::u64(..);
        let session = Session { purpose, number, nonce: None, next: 1, heard_at: Instant::now() };
        let message = crafted::open(0);
        self.0.insert((victim.clone(), number ^ crafted::tag(&message)), session);
        crafted::request(number, 0, &message)
    }

    /// The one for this purpose, if there is any.
    pub(super) fn find(&self, victim: &Victim, purpose: Abuse) -> Option<&Session> {
        self.0
            .iter()
            .find(|((with, _), session)| with == victim && session.purpose == purpose)
            .map(|(_, session)| session)
    }

    pub(super) fn forget(&mut self, victim: &Victim, purpose: Abuse) {
        self.0.retain(|(with, _), session| with != victim || session.purpose != purpose);
    }

    /// Makes the request with this number in the session for this purpose, if the other side goes on with it.
    pub(super) fn request(&mut self, victim: &Victim, purpose: Abuse, number: u32, message: &[u8]) -> Option<Vec<u8>> {
        let nonce = self.find(victim, purpose)?.nonce?;
        let at = self.0.iter().find(|((with, _), session)| with == victim && session.purpose == purpose)?.0.clone();
        let session = self.0.remove(&at)?;
        self.0.insert((victim.clone(), session.number ^ crafted::tag(message)), session);
        Some(crafted::request(nonce, number, message))
    }

    /// Hears a frame. Returns the purpose of a session that can go on since the other side has begun it.
    pub(super) fn hear(&mut self, victim: &Victim, frame: &[u8]) -> Option<Abuse> {
        const EQUAL: u8 = 0;
        const DIFFERS: u8 = 1;
        const BUSY: u8 = 2;
        const REFUSED: u8 = 6;
        const TAG: usize = 8;
        let config = SessionConfig::default().with(|config| config.checksum = false);
        let frame = Frame::decode(frame, &config).ok().filter(|frame| frame.kind == FrameKind::Reply)?;
        let at = (victim.clone(), frame.session);
        let session = self.0.get_mut(&at)?;
        session.next = session.next.max(frame.exchange + 1);
        session.heard_at = Instant::now();
        if frame.fragment > 0 {
            return None;
        }
        match frame.payload.get(if frame.fragments > 1 { TAG } else { 0 }..)?.split_first()? {
            (&DIFFERS, rest) if session.nonce.is_none() => {
                session.nonce = Some(u64::from_be_bytes(*rest.first_chunk()?));
                return Some(session.purpose);
            }
            // The session is over.
            (&(EQUAL | BUSY | REFUSED), _) => drop(self.0.remove(&at)),
            _ => {}
        }
        None
    }
}
