//! The process: it joins the cluster like any node, and does to all others what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::{PeerId, Transport};
use anti_entropy_net::QuicTransport;
use anti_entropy_net::swim::{Membership, follow};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::crafted;
use super::sessions::{Session, Sessions};
use crate::operated::{Answer, Failure, SPACES, Settings, quic, say, swim};

/// What a hostile member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Abuse {
    /// Sends as many frames of no session as the transport takes.
    Floods,
    /// Opens sessions and gives them up.
    OpensAndCloses,
    /// Begins a transfer, and leaves it for a new one.
    LeavesTransfers,
    /// Opens a session, and repeats the request that draws the longest reply.
    RepeatsRequests,
    /// Begins a transfer, and asks for nothing, just often enough that it is not silent.
    HoldsTheSlot,
    /// Begins a transfer, and asks for the same digests for ever.
    AsksForEver,
    /// Sends messages whose last fragment never comes.
    NeverEnds,
    /// Sends requests that are none.
    SendsGarbage,
    /// Has seen more writes of others than they have made.
    ClaimsTooMuch,
    /// Has seen the writes of many replicas that do not exist, each in a range of its own.
    Invents,
    /// Pushes what has to be refused, a thousand at a time.
    PushesNonsense,
}

impl Abuse {
    /// All but [`Invents`](Self::Invents), after which nothing is as it was before.
    pub const PASSING: [Self; 10] = [
        Self::Floods,
        Self::OpensAndCloses,
        Self::LeavesTransfers,
        Self::RepeatsRequests,
        Self::HoldsTheSlot,
        Self::AsksForEver,
        Self::NeverEnds,
        Self::SendsGarbage,
        Self::ClaimsTooMuch,
        Self::PushesNonsense,
    ];

    /// How long it takes until it is done again to each replica.
    fn period(self) -> Duration {
        Duration::from_millis(match self {
            Self::Floods | Self::RepeatsRequests | Self::NeverEnds => 5,
            Self::AsksForEver => 100,
            // Less often than a transfer has to move, where a second is the longest silence.
            Self::HoldsTheSlot => 800,
            _ => 20,
        })
    }
}

/// What a hostile member is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Do this from now on, and nothing else.
    Do(BTreeSet<Abuse>),
}

/// A replica of another node, by the node and the number of the space.
pub(super) type Victim = (PeerId, u64);

/// Runs until nobody is there to tell it what to do.
///
/// # Errors
/// [`Failure`] if it cannot be what it is told to be, or is told what it does not understand.
pub async fn run() -> Result<(), Failure> {
    let mut lines = BufReader::new(stdin()).lines();
    let settings: Settings = serde_json::from_str(&lines.next_line().await?.ok_or("nobody said what this node is")?)?;
    let transport = Arc::new(QuicTransport::bind(quic(&settings)).await?);
    let membership = Arc::new(Membership::join(swim(&settings, transport.local_addr())?).await?);
    tokio::spawn(follow(Arc::clone(&membership), transport.clone(), BTreeMap::new()));
    let nowhere = transport.local_addr();
    say(&Answer::Ready { swim: membership.local_addr(), metrics: nowhere, replicas: BTreeMap::new() })?;
    let mut node = Node { transport, membership, sessions: Sessions::default(), next: BTreeMap::new(), fragment: 0 };
    let mut tick = interval(Duration::from_millis(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                let Order::Do(abuses) = serde_json::from_str(&line)?;
                node.next = abuses.into_iter().map(|abuse| (abuse, Instant::now())).collect();
                say(&Answer::Done)?;
            }
            Some((from, frame)) = node.transport.receive() => node.hear(from, &frame).await,
            _ = tick.tick() => node.act().await,
        }
    }
}

/// Whether the other side has begun a session, or may still, and has not left it without a word, as where another one of
/// this member was opened.
fn goes_on(session: &Session) -> bool {
    session.heard_at.elapsed() < Duration::from_secs(10)
}

struct Node {
    transport: Arc<QuicTransport>,
    membership: Arc<Membership>,
    sessions: Sessions,
    /// What it does, and when next.
    next: BTreeMap<Abuse, Instant>,
    /// How many fragments it has sent.
    fragment: u32,
}

impl Node {
    async fn act(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.next.iter().filter(|(_, at)| **at <= now).map(|(abuse, _)| *abuse).collect();
        for abuse in due {
            self.next.insert(abuse, now + abuse.period());
            for member in self.membership.members() {
                for (space, _) in SPACES {
                    self.do_to(&(member.name.clone(), space), abuse).await;
                }
            }
        }
    }

    async fn do_to(&mut self, victim: &Victim, abuse: Abuse) {
        const FLOOD: usize = 16;
        match abuse {
            Abuse::Floods => {
                for _ in 0..FLOOD {
                    self.send(victim, crafted::nonsense()).await;
                }
            }
            Abuse::PushesNonsense => self.send(victim, crafted::refused_pushes(0)).await,
            Abuse::RepeatsRequests => self.go_on(victim, abuse, Some(1), &crafted::nothing()).await,
            Abuse::HoldsTheSlot => self.go_on(victim, abuse, None, &crafted::ask_for_nothing()).await,
            Abuse::AsksForEver => self.go_on(victim, abuse, None, &crafted::ask()).await,
            Abuse::NeverEnds => self.send_fragments(victim).await,
            Abuse::OpensAndCloses
            | Abuse::LeavesTransfers
            | Abuse::SendsGarbage
            | Abuse::ClaimsTooMuch
            | Abuse::Invents => {
                let frame = self.sessions.open(victim, abuse);
                self.send(victim, frame).await;
            }
        }
    }

    /// Makes a further request in the session for this purpose, or opens one if there is none that goes on.
    async fn go_on(&mut self, victim: &Victim, abuse: Abuse, number: Option<u32>, message: &[u8]) {
        let next = self.sessions.find(victim, abuse).filter(|session| goes_on(session)).map(|session| session.next);
        let frame = match next {
            Some(next) => self.sessions.request(victim, abuse, number.unwrap_or(next), message),
            None => Some(self.sessions.open(victim, abuse)),
        };
        if let Some(frame) = frame {
            self.send(victim, frame).await;
        }
    }

    /// Sends the next fragments of a long message, or opens a session for one.
    async fn send_fragments(&mut self, victim: &Victim) {
        /// As long as a message may be, but for the last fragment.
        const FRAGMENTS: u32 = (64 << 20) / (33 << 10);
        const AT_ONCE: u32 = 8;
        let Some(session) = self.sessions.find(victim, Abuse::NeverEnds).filter(|session| goes_on(session)) else {
            let frame = self.sessions.open(victim, Abuse::NeverEnds);
            return self.send(victim, frame).await;
        };
        let Some(nonce) = session.nonce else { return };
        for _ in 0..AT_ONCE {
            let number = self.fragment % (FRAGMENTS - 1);
            self.fragment += 1;
            self.send(victim, crafted::fragment(nonce, 1, (number, FRAGMENTS))).await;
        }
    }

    async fn hear(&mut self, from: PeerId, frame: &[u8]) {
        let Some((space, frame)) = frame.split_first_chunk() else { return };
        let victim = (from, u64::from_be_bytes(*space));
        let Some(purpose) = self.sessions.hear(&victim, frame) else { return };
        let message = match purpose {
            Abuse::OpensAndCloses => crafted::abort(),
            Abuse::LeavesTransfers => crafted::untrue(),
            Abuse::SendsGarbage => crafted::garbage(),
            Abuse::ClaimsTooMuch => crafted::claim(),
            Abuse::Invents => crafted::invention(),
            _ => return,
        };
        let request = self.sessions.request(&victim, purpose, 1, &message);
        self.sessions.forget(&victim, purpose);
        if let Some(frame) = request {
            self.send(&victim, frame).await;
        }
    }

    /// Sends a frame on the channel of a space. If there is no room for it, it is lost.
    async fn send(&self, (to, space): &Victim, frame: Vec<u8>) {
        let frame = [&space.to_be_bytes()[..], &frame].concat();
        let _ = self.transport.send(to, frame).await;
    }
}
