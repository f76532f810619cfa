use std::collections::BTreeMap;
use std::time::Duration;

use super::announce::Announcement;
use super::identity::Identity;
use super::seal::{BootId, BootKey};
use super::window::{Used, Window};

/// What is known of one life of a peer that has proven that it lives at the same time as we do.
pub(super) struct Session {
    pub(super) key: BootKey,
    pub(super) identity: Identity,
    pub(super) announced: BTreeMap<u64, [u8; 32]>,
    window: Window,
    heard_at: Duration,
    /// The counter of the newest datagram with announcements; an older one that comes late changes nothing.
    announced_by: Option<u64>,
}

impl Session {
    /// Takes a counter, once, and none from before the session.
    pub(super) fn take(&mut self, now: Duration, counter: u64) -> Result<(), Used> {
        self.window.take(counter)?;
        self.heard_at = now;
        Ok(())
    }

    /// Remembers what is announced; says whether it is news.
    pub(super) fn announce(&mut self, counter: u64, announcements: &[Announcement], max_spaces: usize) -> bool {
        if self.announced_by.is_some_and(|newest| counter < newest) {
            return false;
        }
        self.announced_by = Some(counter);
        for announcement in announcements {
            if self.announced.len() < max_spaces || self.announced.contains_key(&announcement.space) {
                self.announced.insert(announcement.space, announcement.state);
            }
        }
        true
    }
}

/// Sessions by the peer's life.
pub(super) struct Sessions {
    sessions: BTreeMap<BootId, Session>,
    max: usize,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Self {
        Self { sessions: BTreeMap::new(), max }
    }

    pub(super) fn contains(&self, boot: BootId) -> bool {
        self.sessions.contains_key(&boot)
    }

    pub(super) fn get_mut(&mut self, boot: BootId) -> Option<&mut Session> {
        self.sessions.get_mut(&boot)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn remove(&mut self, boot: BootId) {
        self.sessions.remove(&boot);
    }

    /// Begins a session. If there are too many, the one that was silent for longest and `spare` allows to end makes room;
    /// without one, none begins. Ending a session is safe: only a fresh introduction begins it
    /// again, and nothing from before that is taken.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        counter: u64,
        (identity, key): (Identity, BootKey),
        spare: impl Fn(&Session) -> bool,
    ) -> bool {
        if self.sessions.len() >= self.max {
            let silent = self.sessions.iter().filter(|(_, session)| spare(session)).min_by_key(|(_, s)| s.heard_at);
            let Some(boot) = silent.map(|(&boot, _)| boot) else { return false };
            self.sessions.remove(&boot);
        }
        let session = Session {
            key,
            announced: BTreeMap::new(),
            window: Window::starting_with(counter),
            heard_at: now,
            announced_by: None,
            identity,
        };
        self.sessions.insert(session.identity.boot, session);
        true
    }
}
