//! The bytes that make replicas of patterns equal.

use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::{Error, GossipConfig, PeerId, Replica, Replicated};
use anti_entropy_bench::{Revision, Synchronised, now, synchronise};
use anti_entropy_engram::Pattern;

use super::{Row, draw, open, replicated, transaction, write};
use crate::measure::{Progress, Samples, float};

/// Where patterns change.
#[derive(Clone, Copy, Debug)]
enum Place {
    Ours,
    Theirs,
    Both,
}

/// Which fields of patterns change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    Everything,
    Metadata,
}

/// A change of one pattern in a hundred.
#[derive(Clone, Copy, Debug)]
struct Change {
    what: Changed,
    place: Place,
    /// Each round changes other patterns, to other values.
    round: u64,
}

impl Changed {
    fn revision(self, round: u64) -> Revision {
        Revision { embedding: if self == Self::Everything { round } else { 0 }, metadata: round }
    }
}

/// Measures sessions and pushes after one pattern in a hundred has changed, in several random draws.
///
/// # Errors
/// If a replica fails.
pub(super) fn measure(count: u64, progress: &Progress, each: &mut impl FnMut(Row)) -> Result<(), Error> {
    let [mut everything, mut pushed, mut in_vain] = [(); 3].map(|()| Samples::default());
    let mut metadata = [(); PLACES.len()].map(|()| Samples::default());
    let full_state = full_state(count);
    for draw in 1..=DRAWS {
        progress.show(&format!("{count} patterns: synchronising, draw {draw} of {DRAWS}"));
        let (mut ours, mut theirs) = equal(count)?;
        let mut round = draw * 10;
        for ((place, _), metadata) in PLACES.iter().zip(&mut metadata) {
            round += 1;
            let changed = Change { what: Changed::Metadata, place: *place, round };
            let (synchronised, patterns) = by_session(&mut ours, &mut theirs, count, changed)?;
            metadata.add(float(synchronised.bytes) / patterns);
            in_vain.add(float(synchronised.part_bytes - synchronised.part_bytes_needed));
        }
        let (bytes, part_bytes);
        (ours, theirs, bytes, part_bytes) = by_pushes(ours, theirs, count, round + 1)?;
        pushed.add(bytes);
        in_vain.add(part_bytes);
        // Last, because a change of metadata writes the first embedding again.
        let changed = Change { what: Changed::Everything, place: Place::Both, round: round + 2 };
        let (synchronised, _) = by_session(&mut ours, &mut theirs, count, changed)?;
        everything.add(float(synchronised.bytes) / full_state * 100.0);
        in_vain.add(float(synchronised.part_bytes - synchronised.part_bytes_needed));
    }
    each(Row::new("session, 1 % changed, of the full state", "%", Some(1.2), &mut everything));
    for ((_, where_changed), metadata) in PLACES.iter().zip(&mut metadata) {
        let figure = format!("session, metadata of 1 % changed {where_changed}, a pattern");
        each(Row::new(figure, "B", Some(400.0), metadata));
    }
    each(Row::new("pushes, metadata of 1 % changed, a pattern", "B", None, &mut pushed));
    each(Row::new("embedding bytes sent in vain", "B", Some(0.0), &mut in_vain));
    Ok(())
}

const DRAWS: u64 = 11;
const PLACES: [(Place, &str); 3] =
    [(Place::Ours, "at the opener"), (Place::Theirs, "at the answerer"), (Place::Both, "half at each")];

/// The bytes of all keys and values.
fn full_state(count: u64) -> f64 {
    let bytes = |number| {
        let pattern = replicated(&anti_entropy_bench::made_up_pattern(number, Revision::default()), "node");
        (pattern.id().len() + pattern.encode().len_bytes()) as u64
    };
    float((0..count).map(bytes).sum())
}

/// Two replicas that hold the same patterns.
fn equal(count: u64) -> Result<(Replica<Pattern>, Replica<Pattern>), Error> {
    let (mut ours, mut theirs) = (open(1)?, open(2)?);
    write(&mut ours, 0..count, Revision::default())?;
    synchronise(&mut ours, &mut theirs, |_| {})?;
    Ok((ours, theirs))
}

/// Runs a session after one pattern in a hundred has changed. Returns its costs, and the number of these patterns.
fn by_session(
    ours: &mut Replica<Pattern>,
    theirs: &mut Replica<Pattern>,
    count: u64,
    Change { what, place, round }: Change,
) -> Result<(Synchronised, f64), Error> {
    let numbers = draw(count, round);
    let at_ours = match place {
        Place::Ours => numbers.len(),
        Place::Theirs => 0,
        Place::Both => numbers.len() / 2,
    };
    let (at_ours, at_theirs) = numbers.split_at(at_ours);
    write(ours, at_ours.iter().copied(), what.revision(round))?;
    write(theirs, at_theirs.iter().copied(), what.revision(round))?;
    Ok((synchronise(ours, theirs, |_| {})?, float(numbers.len() as u64)))
}

/// Pushes after the metadata of one pattern in a hundred has changed on one side. Returns both replicas, the bytes of
/// all pushes divided by the number of these patterns, and the bytes of parts.
fn by_pushes(
    ours: Replica<Pattern>,
    theirs: Replica<Pattern>,
    count: u64,
    round: u64,
) -> Result<(Replica<Pattern>, Replica<Pattern>, f64, f64), Error> {
    let numbers = draw(count, round);
    let config = GossipConfig::default().with(|config| {
        config.max_pushes = numbers.len();
        config.max_queued_pushes = numbers.len();
    });
    let (us, them) = (PeerId::from("us"), PeerId::from("them"));
    let mut ours = Engine::new(ours, config.clone(), 1, now())?;
    let mut theirs = Engine::new(theirs, config, 2, now())?;
    ours.add_peer(them, None);
    theirs.add_peer(us.clone(), None);
    ours.commit(transaction(numbers.iter().copied(), Changed::Metadata.revision(round)), now())?;
    loop {
        match ours.poll_output(now()) {
            EngineOutput::Send { frame, .. } => theirs.handle_frame(&us, &frame, now()),
            EngineOutput::Event(_) => {}
            EngineOutput::Wait(_) => break,
        }
    }
    assert_eq!(ours.replica_mut().root(), theirs.replica_mut().root(), "all pushes were taken in");
    let stats = ours.stats();
    let bytes = float(stats.bytes_sent) / float(numbers.len() as u64);
    Ok((ours.into_replica(), theirs.into_replica(), bytes, float(stats.part_bytes_sent)))
}
