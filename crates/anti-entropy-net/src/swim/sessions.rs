use std::collections::BTreeMap;
use std::time::Duration;

use super::announce::{Announced, Announcement};
use super::boot_id::BootId;
use super::identity::Identity;
use super::replay_window::{ReplayWindow, Used};
use super::seal::BootKey;

/// What is known of one life of a peer that has proven that it lives at the same time as we do.
pub(super) struct Session {
    pub(super) key: BootKey,
    pub(super) identity: Identity,
    pub(super) announced: Announced,
    window: ReplayWindow,
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
    pub(super) fn announce(&mut self, now: Duration, counter: u64, announcements: &[Announcement]) -> bool {
        if self.announced_by.is_some_and(|newest| counter < newest) {
            return false;
        }
        self.announced_by = Some(counter);
        for &announcement in announcements {
            self.announced.set(now, announcement, Duration::ZERO);
        }
        true
    }
}

/// Sessions by the peer's life.
pub(super) struct Sessions {
    by_boot: BTreeMap<BootId, Session>,
    max: usize,
    max_spaces: usize,
}

impl Sessions {
    pub(super) fn new(max: usize, max_spaces: usize) -> Self {
        Self { by_boot: BTreeMap::new(), max, max_spaces }
    }

    pub(super) fn contains(&self, boot: BootId) -> bool {
        self.by_boot.contains_key(&boot)
    }

    pub(super) fn get_mut(&mut self, boot: BootId) -> Option<&mut Session> {
        self.by_boot.get_mut(&boot)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_boot.len()
    }

    pub(super) fn remove(&mut self, boot: BootId) {
        self.by_boot.remove(&boot);
    }

    /// Begins a session. If there are too many, the one that was silent for longest and `spare` allows to end makes
    /// room; without one, none begins. Ending a session is safe: only a fresh introduction begins it again, and nothing
    /// from before that is taken.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        counter: u64,
        (identity, key): (Identity, BootKey),
        spare: impl Fn(&Session) -> bool,
    ) -> bool {
        if self.by_boot.len() >= self.max {
            let silent = self.by_boot.iter().filter(|(_, session)| spare(session)).min_by_key(|(_, s)| s.heard_at);
            let Some(boot) = silent.map(|(&boot, _)| boot) else { return false };
            self.by_boot.remove(&boot);
        }
        let session = Session {
            key,
            announced: Announced::new(self.max_spaces),
            window: ReplayWindow::starting_with(counter),
            heard_at: now,
            announced_by: None,
            identity,
        };
        self.by_boot.insert(session.identity.boot, session);
        true
    }
}
