//! What is reported of members, and when.

use std::time::Duration;

use anti_entropy::PeerId;

use super::{Known, Node};
use crate::swim::announce::{Announced, Announcement};
use crate::swim::boot_id::BootId;
use crate::swim::identity::Identity;
use crate::swim::timers::Timer;

impl Node {
    /// A member is reported together with what it announces, so it is asked for that first.
    pub(super) fn member_up(&mut self, now: Duration, identity: Identity) {
        let (name, boot, address) = (identity.name.clone(), identity.boot, identity.address);
        let announced = Announced::new(self.config.limits.max_spaces);
        let known = Known { identity, reported: false, announced };
        self.known.insert(name.clone(), known);
        if self.sessions.contains(boot) {
            self.report_up(now, &name);
        } else {
            self.say_hello(now, address);
            self.timers.push(now + self.config.timings.up_wait, Timer::Up(name));
        }
    }

    pub(super) fn member_down(&mut self, identity: &Identity) {
        self.known.remove(&identity.name);
        self.shared.mailbox.down(&identity.name);
        if let Some(session) = self.sessions.get_mut(identity.boot) {
            // If it comes back, its state will be another.
            session.announced.clear();
        }
    }

    pub(super) fn member_renamed(&mut self, now: Duration, old: &Identity, new: Identity) {
        if old.boot != new.boot {
            self.sessions.remove(old.boot);
        }
        let Some(known) = self.known.get_mut(&new.name) else { return };
        let (name, boot, address, reported) = (new.name.clone(), new.boot, new.address, known.reported);
        known.identity = new;
        known.announced.clear();
        if reported {
            self.shared.mailbox.up(known.identity.member());
        }
        if self.sessions.contains(boot) {
            self.report_up(now, &name);
        } else {
            self.say_hello(now, address);
        }
    }

    /// Reports that a member is up, with what it announces, unless that was reported or is no longer so.
    pub(super) fn report_up(&mut self, now: Duration, name: &PeerId) {
        let Some(known) = self.known.get_mut(name) else { return };
        if !known.reported {
            known.reported = true;
            self.shared.mailbox.up(known.identity.member());
        }
        let boot = known.identity.boot;
        let Some(session) = self.sessions.get_mut(boot) else { return };
        let announced = session.announced.all();
        self.announced(now, name, boot, &announced);
    }

    /// Reports what a member announces, if the member is up and the announcement is new or due to be repeated.
    pub(super) fn announced(&mut self, now: Duration, name: &PeerId, boot: BootId, announcements: &[Announcement]) {
        let Some(known) = self.known.get_mut(name).filter(|known| known.identity.boot == boot) else { return };
        if !known.reported {
            // Its introduction has arrived just now.
            return self.report_up(now, name);
        }
        let refresh = self.config.timings.announce_refresh;
        for &announcement in announcements {
            let Announcement { space, state } = announcement;
            let reported = known.announced.get(space);
            if reported.is_some_and(|(before, at)| before == state && now < at + refresh) {
                continue;
            }
            // One that was reported recently stays. Otherwise all announcements of a member with too many spaces would
            // be reported all the time.
            if known.announced.set(now, announcement, refresh) {
                self.shared.mailbox.announced(name, space, state);
            }
        }
    }
}
