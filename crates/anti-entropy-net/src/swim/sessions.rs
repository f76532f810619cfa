use std::collections::BTreeMap;
use std::time::Duration;

use super::announce::{Announced, Announcement};
use super::boot_id::BootId;
use super::contents::Heard;
use super::identity::Identity;
use super::replay_window::{ReplayWindow, Used};

/// What this node keeps of one process of a peer whose introduction was fresh.
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) announced: Announced,
    window: ReplayWindow,
    heard_at: Duration,
    /// The counter of the newest datagram with announcements. The announcements of an older one that arrives late are
    /// ignored.
    announced_by: Option<u64>,
}

impl Session {
    /// Accepts a counter, once, and none from before the session.
    pub(super) fn take(&mut self, now: Duration, counter: u64) -> Result<(), Used> {
        self.window.take(counter)?;
        self.heard_at = now;
        Ok(())
    }

    /// What was heard of the peer's process.
    pub(super) fn heard(&self) -> Heard {
        Heard(self.window.end())
    }

    /// Remembers announcements. Returns `false` if they are older than those that are known.
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

/// Sessions by the boot id of the peer's process.
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

    pub(super) fn get(&self, boot: BootId) -> Option<&Session> {
        self.by_boot.get(&boot)
    }

    pub(super) fn clear(&mut self) {
        self.by_boot.clear();
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

    /// Begins a session. If there are too many, the one that was silent for longest ends, among those that `spare`
    /// allows to end. Returns `false` if there is none. Ending a session is safe: only a fresh introduction begins it
    /// again, and nothing from before that is accepted.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        counter: u64,
        identity: Identity,
        spare: impl Fn(&Session) -> bool,
    ) -> bool {
        if self.by_boot.len() >= self.max {
            let silent = self.by_boot.iter().filter(|(_, session)| spare(session)).min_by_key(|(_, s)| s.heard_at);
            let Some(boot) = silent.map(|(&boot, _)| boot) else { return false };
            self.by_boot.remove(&boot);
        }
        let session = Session {
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
