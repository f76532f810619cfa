//! The protocol of one node, without a socket or a clock: datagrams, addresses and the time go in, datagrams come out.

mod hello;
mod members;
mod receive;
mod rejoin;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::PeerId;
use bytes::Bytes;
use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification};

use super::announce::{Announced, Announcements};
use super::boot_id::BootId;
use super::codec::Codec;
use super::config::SwimConfig;
use super::contents::{Heard, encode_announcements};
use super::detector::{Random, foca_config};
use super::entropy::{Entropy, NoEntropy};
use super::header::{HEARD_BYTES, Kind, MAX_CONTENTS_BYTES};
use super::hellos::Hellos;
use super::identity::Identity;
use super::key::ClusterKeys;
use super::mailbox::Mailbox;
use super::rate_limit::RateLimit;
use super::rejoin_delay::RejoinDelay;
use super::seal::{Opener, Sealer};
use super::sessions::{Session, Sessions};
use super::stats::Stats;
use super::timers::{Timer, Timers};
use crate::backoff::Backoff;
use crate::monitor::Monitor;
use crate::snapshot::PutBack;

/// How often the secret is drawn anew that nonces are made with.
const RENEW_SECRET: Duration = Duration::from_secs(60 * 60);

/// What the node shares with the application's handle.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) announcements: Announcements,
    pub(super) mailbox: Mailbox,
    pub(super) stats: Stats,
    pub(super) put_back: Monitor<Noticed>,
}

/// What the application was not told yet.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    /// How the node noticed last that it was put back.
    pub(super) how: Option<PutBack>,
    /// How often it has.
    pub(super) times: u64,
    pub(super) closed: bool,
}

pub(super) struct Node {
    pub(super) config: SwimConfig,
    pub(super) shared: Arc<Shared>,
    foca: Foca<Identity, Codec, Random, NoCustomBroadcast>,
    /// What foca asked for, until `settle` does it.
    requests: AccumulatingRuntime<Identity>,
    codec: Codec,
    sealer: Sealer,
    opener: Opener,
    sessions: Sessions,
    hellos: Hellos,
    timers: Timers,
    replies: RateLimit,
    /// Limits what unknown senders are reported.
    notices: RateLimit,
    /// Limits what unknown senders at the addresses of members and seeds are reported.
    notices_to_peers: RateLimit,
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only refusals that are logged count"))]
    warnings: RateLimit,
    /// The members that are up, according to foca.
    known: BTreeMap<PeerId, Known>,
    seeds: Seeds,
    rejoin_delay: RejoinDelay,
    /// Whether a time to come back is planned.
    coming_back: bool,
    /// When a peer was heard last. `None` once that has had consequences.
    heard_at: Option<Duration>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
    random: fastrand::Rng,
    leaving: bool,
}

/// A member, and what was reported of it.
#[derive(Debug)]
struct Known {
    identity: Identity,
    reported: bool,
    /// The announcements of it that were reported, and when.
    announced: Announced,
}

/// When to ask the seeds.
#[derive(Debug)]
struct Seeds {
    alone: Backoff,
    plan: u64,
    wanted: bool,
    asked: BTreeSet<SocketAddr>,
}

impl Node {
    /// `address` is where peers send datagrams to: no wildcard, and its port is not 0.
    pub(super) fn new(
        config: SwimConfig,
        address: SocketAddr,
        (boot, seed): (BootId, u64),
        entropy: Box<dyn Entropy>,
        shared: Arc<Shared>,
        now: Duration,
    ) -> Result<Self, NoEntropy> {
        let own = Identity {
            name: config.name.clone(),
            generation: 1,
            boot,
            address,
            transport: config.transport,
            zone: config.zone.as_deref().map(Into::into),
        };
        let codec = Codec::new(own.clone());
        let (timings, limits) = (&config.timings, &config.limits);
        let foca = Foca::new(own, foca_config(&config), Random(fastrand::Rng::with_seed(seed)), codec.clone());
        let mut node = Self {
            foca,
            requests: AccumulatingRuntime::new(),
            codec,
            sealer: Sealer::new(&config.keys, config.cluster.clone(), boot, entropy)?,
            opener: Opener::new(&config.keys, config.cluster.clone()),
            sessions: Sessions::new(limits.max_sessions, limits.max_spaces),
            hellos: Hellos::new(limits),
            timers: Timers::default(),
            replies: RateLimit::new(limits.max_replies_per_second),
            notices: RateLimit::new(limits.max_notices_per_second),
            notices_to_peers: RateLimit::new(limits.max_notices_per_second),
            warnings: RateLimit::new(limits.max_warnings_per_second),
            known: BTreeMap::new(),
            seeds: Seeds {
                alone: Backoff::new(timings.seed_retry_min, timings.seed_retry_max, seed ^ 1),
                plan: 0,
                wanted: false,
                asked: BTreeSet::new(),
            },
            rejoin_delay: RejoinDelay::new(timings, seed ^ 2),
            coming_back: false,
            heard_at: None,
            out: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed ^ 3),
            leaving: false,
            config,
            shared,
        };
        node.plan_seeds(now);
        node.plan_renewal(now);
        node.plan_silence(now);
        Ok(node)
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.timers.next_at()
    }

    /// Whether the seeds should be resolved now. Returns `true` once for each time.
    pub(super) fn take_seeds_wanted(&mut self) -> bool {
        std::mem::take(&mut self.seeds.wanted)
    }

    /// Does one thing that is due. Only one, so that after a pause of the process the answers that arrived meanwhile
    /// are read before their senders are suspected.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        match self.timers.pop_due(now) {
            Some(Timer::Foca(timer)) if self.is_refuted(&timer) => {}
            Some(Timer::Foca(timer)) => {
                // An error means that a pause of the process cut a probe short. Foca has recovered.
                let _ = self.foca.handle_timer(timer, &mut self.requests);
                self.settle(now);
            }
            Some(Timer::Hello { address, first }) => self.repeat_hello(now, address, first),
            Some(Timer::Seeds { plan }) if plan == self.seeds.plan => {
                self.seeds.wanted = !self.config.seeds.is_empty() && !self.leaving;
                self.seeds.asked.clear();
                let delay = self.seed_delay();
                self.plan_seeds(now + delay);
            }
            Some(Timer::Up(name)) => self.report_up(now, &name),
            Some(Timer::Rejoin) => self.rejoin(now),
            Some(Timer::Silence) => self.check_silence(now),
            Some(Timer::Renewal) => {
                // Without random bytes the secret stays: what it protects against is two of them in a row.
                let _ = self.sealer.renew_secret();
                self.plan_renewal(now);
            }
            Some(Timer::Seeds { .. }) | None => {}
        }
    }

    /// Sends hellos to the seeds that are not members. It may be called several times with a part of them.
    pub(super) fn handle_seeds(&mut self, now: Duration, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            if self.seeds.asked.len() >= self.config.limits.max_seed_addresses {
                return;
            }
            let is_new = self.seeds.asked.insert(address);
            if is_new && address != self.foca.identity().address && !self.is_members(address) {
                self.say_hello(now, address);
            }
        }
    }

    /// Tells other nodes that this one leaves. What happens afterwards does not matter.
    pub(super) fn leave(&mut self, now: Duration) {
        self.leaving = true;
        // An error could only come from encoding, which cannot fail for names of the lengths allowed.
        let _ = self.foca.leave_cluster(&mut self.requests);
        // Repeated, since each goes to a few members at random and may be lost.
        for _ in 0..3 {
            let _ = self.foca.gossip(&mut self.requests);
        }
        self.settle(now);
    }

    /// Does what foca asked for.
    fn settle(&mut self, now: Duration) {
        while self.requests.backlog() > 0 {
            while let Some((after, timer)) = self.requests.to_schedule() {
                self.timers.push(now + after, Timer::Foca(timer));
            }
            while let Some((to, message)) = self.requests.to_send() {
                self.send_message(now, &to, message);
            }
            while let Some(notification) = self.requests.to_notify() {
                self.handle_notification(now, notification);
            }
        }
    }

    /// Whether a suspect has been cleared by the time it would be declared down. Foca 2.0 would not declare it down,
    /// but would tell it that it is down all the same, and the member would have to come back each time.
    fn is_refuted(&self, timer: &foca::Timer<Identity>) -> bool {
        let foca::Timer::ChangeSuspectToDown { member_id, incarnation, .. } = timer else { return false };
        let suspect = foca::Member::new(member_id.clone(), *incarnation, foca::State::Suspect);
        !self.foca.iter_members().any(|member| *member == suspect)
    }

    fn handle_notification(&mut self, now: Duration, notification: OwnedNotification<Identity>) {
        match notification {
            OwnedNotification::MemberUp(identity) => self.member_up(now, identity),
            OwnedNotification::MemberDown(identity) => self.member_down(&identity),
            OwnedNotification::Rename(old, new) => self.member_renamed(now, &old, new),
            OwnedNotification::Idle => {
                self.seeds.alone.reset();
                let delay = self.seeds.alone.delay();
                self.plan_seeds(now + delay);
            }
            OwnedNotification::Defunct if !self.leaving => self.come_back(now),
            _ => {}
        }
    }

    /// Sends one of foca's messages, now or once there is a session.
    fn send_message(&mut self, now: Duration, to: &Identity, message: Bytes) {
        if !self.sessions.contains(to.boot) {
            self.say_hello(now, to.address);
            self.hellos.wait(to, message);
            return;
        }
        let mut contents = Vec::with_capacity(MAX_CONTENTS_BYTES);
        let room = MAX_CONTENTS_BYTES.saturating_sub(HEARD_BYTES + message.len());
        self.heard(to.boot).encode(&mut contents);
        encode_announcements(&self.shared.announcements.take(&to.name, room), &mut contents);
        contents.extend_from_slice(&message);
        self.send(Kind::Data, to.boot, to.address, &contents);
    }

    fn send(&mut self, kind: Kind, receiver: BootId, to: SocketAddr, contents: &[u8]) {
        match self.sealer.seal(kind, receiver, contents) {
            Some(datagram) => self.out.push_back((to, datagram)),
            None => self.shared.stats.count(|stats| stats.send_errors += 1),
        }
    }

    /// Accepts other keys from now on, and sends with the first of them.
    pub(super) fn set_keys(&mut self, keys: ClusterKeys) {
        self.sealer.set_keys(&keys);
        self.opener = Opener::new(&keys, self.config.cluster.clone());
        self.config.keys = keys;
    }

    /// What was heard of a peer's process.
    fn heard(&self, boot: BootId) -> Heard {
        self.sessions.get(boot).map_or(Heard(0), Session::heard)
    }

    fn plan_renewal(&mut self, now: Duration) {
        self.timers.push(now + RENEW_SECRET, Timer::Renewal);
    }

    /// Whether this is the address of a member.
    fn is_members(&self, address: SocketAddr) -> bool {
        self.known.values().any(|known| known.identity.address == address)
    }

    /// Whether this is the address of a member or a seed.
    fn is_peers(&self, address: SocketAddr) -> bool {
        self.is_members(address) || self.seeds.asked.contains(&address)
    }

    fn plan_seeds(&mut self, at: Duration) {
        self.seeds.plan += 1;
        self.timers.push(at, Timer::Seeds { plan: self.seeds.plan });
    }

    fn seed_delay(&mut self) -> Duration {
        if self.foca.num_members() == 0 {
            return self.seeds.alone.delay();
        }
        self.seeds.alone.reset();
        // Between three quarters and all of the interval, so that nodes do not ask at the same moment.
        self.config.timings.seed_interval.mul_f64(1.0 - self.random.f64() / 4.0)
    }
}
