//! A node: a store, a replica, its engine and a transport, which does what it is told on standard input and says all that
//! happens on standard output.

mod clock;
mod driven;
mod look;
mod parts;
mod voice;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::engine::{Engine, drive};
use anti_entropy::session::{Finished, Outcome};
use anti_entropy::{DriverConfig, Event, Handle, Keyed, LastWriterWins, Notice, PeerId, Replica};
use anti_entropy_net::swim::{Membership, SpaceReplica, follow};
use anti_entropy_sim::history::NodeIndex;
use futures::StreamExt;
use tokio::sync::mpsc;

use self::clock::SkewedClock;
use self::driven::Driven;
pub use self::parts::database;
use self::voice::Voice;
use crate::wire::{Broken, Command, Options, Report, SessionEnd};

/// What nodes keep.
pub type Item = Keyed<u32, String>;

/// How long a shutdown waits for open sessions.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a node ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It was not told what to be, or not in words that it knows.
    #[error("the first line of standard input has to be the node's options: {0}")]
    Options(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] anti_entropy_redb::FileError),
    /// What proves that the store was not rolled back.
    #[error("the marker cannot be taken or kept: {0}")]
    Marker(#[source] std::io::Error),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] anti_entropy::Error),
    /// No randomness.
    #[error(transparent)]
    Seed(#[from] anti_entropy::clock::RandomnessUnavailable),
    /// The transport.
    #[error(transparent)]
    Bind(#[from] anti_entropy_net::BindError),
    /// The membership.
    #[error(transparent)]
    Join(#[from] anti_entropy_net::swim::JoinError),
    /// The engine.
    #[error(transparent)]
    Handle(#[from] anti_entropy::HandleError),
    /// A bug is to be planted that this build does not have.
    #[error("there is no bug {0:?} to plant; build with the feature `mutants`")]
    NoSuchBug(String),
}

/// The name of a node, from which its place can be read.
pub fn name_of(node: NodeIndex) -> PeerId {
    PeerId::from(format!("n{node}").as_str())
}

fn index_of(name: &PeerId) -> Option<NodeIndex> {
    name.as_str().strip_prefix('n')?.parse().ok()
}

/// Is a node until standard input ends, it is told to shut down, or it fails.
///
/// # Errors
/// What it cannot go on with. Standard output says it, too.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn run() -> Result<(), NodeError> {
    let voice = Voice::default();
    let result = live(&voice).await;
    if let Err(error) = &result {
        voice.say(Report::Failed { detail: error.to_string() });
    }
    result
}

async fn live(voice: &Voice) -> Result<(), NodeError> {
    let mut lines = read_lines();
    let first = lines.recv().await.unwrap_or_default();
    let options: Options = serde_json::from_str(&first).map_err(|error| NodeError::Options(error.to_string()))?;
    let opening = parts::opening(&options)?;
    let replica: Replica<Item> = Replica::open(parts::open_store(&options)?, LastWriterWins, opening)?;
    let clock = SkewedClock::new(options.clock_offset_ms);
    let engine = Engine::new(replica, options.gossip.clone(), parts::engine_seed()?, clock.now());
    let driven = Driven::new(engine, voice.clone(), options.broken.clone());
    let (transport, routes) = parts::bind(&options).await?;
    let (handle, carrying) = drive(driven, transport, clock.clone(), DriverConfig::default());
    parts::plant(&handle, options.broken.as_ref()).await?;
    tokio::spawn(carrying);
    let events = handle.events().await?;
    tokio::spawn(report_events(events, handle.clone()));
    let membership = Arc::new(Membership::join(parts::swim(&options)).await?);
    let spaces = BTreeMap::from([(1, Arc::new(handle.clone()) as Arc<dyn SpaceReplica>)]);
    if options.broken != Some(Broken::KnowsNobody) {
        tokio::spawn(follow(Arc::clone(&membership), routes, spaces));
    }
    while let Some(line) = lines.recv().await {
        let command = serde_json::from_str(&line).map_err(|error| NodeError::Options(error.to_string()))?;
        match command {
            Command::Op(request) => handle.with(move |driven, now| driven.perform(&request, now)).await?,
            Command::Tick => {
                let members = membership.members();
                let members = members.iter().filter_map(|member| index_of(&member.name)).collect();
                handle.with(|driven, now| driven.say_tick(members, now)).await?;
            }
            Command::End => handle.with(|driven, _| driven.say_end()).await?,
            Command::Clock { offset_ms } => clock.set_offset(offset_ms),
            Command::Sync { peer } => handle.sync_now(name_of(peer)).await?,
            Command::Shutdown => {
                membership.leave().await;
                let marker = handle.shutdown(DRAIN).await?;
                parts::keep_marker(&options, marker)?;
                voice.say(Report::Closed);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Standard input, line by line, from a thread of its own: it ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Says what the engine tells, each time after what the node holds then.
async fn report_events(events: impl futures::Stream<Item = Event<u32>>, handle: Handle<Item, Driven>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let Some(report) = report_of(event) else { continue };
        if handle.with(move |driven, _| driven.say(report)).await.is_err() {
            return;
        }
    }
}

fn report_of(event: Event<u32>) -> Option<Report> {
    let alarm = |alarm: &str, detail| Some(Report::Alarm { alarm: alarm.to_owned(), detail });
    match event {
        Event::SessionEnded { peer, finished } => index_of(&peer).map(|peer| session_end(peer, &finished)),
        Event::Refused { peer, reason } => alarm("refused", format!("{peer}: {reason}")),
        Event::PushRejected { peer, rejection } => alarm("push_rejected", format!("{peer}: {rejection}")),
        Event::FrameRefused { peer, error } => alarm("frame_refused", format!("{peer}: {error}")),
        Event::StoreFailed { message } => alarm("store_failed", message),
        Event::Missed(events) => alarm("missed", format!("{events} events")),
        Event::Notice(notice) => {
            let kind = match notice {
                Notice::Renamed { .. } => "renamed",
                Notice::ContentClash { .. } => "content_clash",
                Notice::HistoriesDiffer { .. } => "histories_differ",
                Notice::ClockSkew(_) => "clock_skew",
                _ => "notice",
            };
            alarm(kind, format!("{notice:?}"))
        }
        _ => None,
    }
}

fn session_end(peer: NodeIndex, finished: &Finished) -> Report {
    let outcome = match &finished.outcome {
        Outcome::Converged => "converged".to_owned(),
        Outcome::Progress => "progress".to_owned(),
        Outcome::Partial(reason) => format!("partial: {reason}"),
        Outcome::Refused(reason) => format!("refused: {reason}"),
        other => format!("{other:?}"),
    };
    Report::Session(SessionEnd {
        peer,
        outcome,
        differences: finished.stats.differences,
        changed: finished.stats.changed,
        value_bytes: finished.stats.value_bytes_sent,
        round_trips: finished.stats.round_trips,
        root: finished.root.map(|root| look::first_bytes(root.as_bytes())),
    })
}
