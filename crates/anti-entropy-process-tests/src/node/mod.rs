//! A node: a store, a replica, its engine and a transport, which does what it is told on standard input and says all that
//! happens on standard output.

mod clock;
mod driven;
mod error;
mod item;
mod look;
mod parts;
mod voice;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::engine::{Engine, drive};
use anti_entropy::session::Finished;
use anti_entropy::{DriverConfig, Event, Handle, LastWriterWins, Replica};
use anti_entropy_net::swim::{Membership, SpaceReplica, follow};
use anti_entropy_sim::history::{NodeIndex, ValueHash, alarm_of, outcome_text};
use futures::StreamExt;
use tokio::sync::mpsc;

use self::clock::SkewedClock;
use self::driven::Driven;
pub use self::error::NodeError;
use self::item::index_of;
pub use self::item::{Item, name_of};
pub use self::parts::database;
use self::voice::Voice;
use crate::wire::{Broken, Command, Options, Report, SessionEnd};

/// How long a shutdown waits for open sessions.
const DRAIN: Duration = Duration::from_secs(2);

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
    let engine = Engine::new(replica, options.gossip.clone(), parts::engine_seed()?, clock.now())?;
    let driven = Driven::new(engine, voice.clone(), options.broken.clone());
    let (transport, routes) = parts::bind(&options).await?;
    let (handle, carrying) = drive(driven, transport, clock.clone(), DriverConfig::default())?;
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
        let Some(report) = report_of(&event) else { continue };
        if handle.with(move |driven, _| driven.say(report)).await.is_err() {
            return;
        }
    }
}

fn report_of(event: &Event<u32>) -> Option<Report> {
    let alarm = |alarm: &str, detail| Some(Report::Alarm { alarm: alarm.to_owned(), detail });
    match event {
        Event::SessionEnded { peer, finished } => index_of(peer).map(|peer| session_end(peer, finished)),
        Event::Missed(events) => alarm("missed", format!("{events} events")),
        other => alarm_of(other).and_then(|(name, detail)| alarm(name, detail)),
    }
}

fn session_end(peer: NodeIndex, finished: &Finished) -> Report {
    Report::Session(SessionEnd {
        peer,
        outcome: outcome_text(&finished.outcome),
        differences: finished.stats.differences,
        changed: finished.stats.changed,
        value_bytes: finished.stats.value_bytes_sent,
        round_trips: finished.stats.round_trips,
        root: finished.root.map(|root| ValueHash::first_of(root.as_bytes())),
    })
}
