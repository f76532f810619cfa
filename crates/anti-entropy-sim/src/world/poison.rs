//! Poisoned sketches, whose cells do not describe what the sender holds.
//!
//! Cells are poisoned when they leave a node, as a lying peer would send them: in frames with correct checksums that are valid in
//! every other respect (docs/protocol.md, "Frames" and "Messages"). The kind of poison is drawn from the number of the session, so
//! that all cells that an opener receives fit together.

use anti_entropy::session::{Frame, FrameKind};
use anti_entropy::summary::sketch::{Cell, Chunk, Encoder};
use anti_entropy::summary::{Fingerprint, MerkleTree, Snapshot};
use anti_entropy::{KeyHash, KeyRange, SessionConfig};

use super::World;
use super::replies::{Header, Split, split};
use crate::history::NodeIndex;
use crate::random::{place, stream};
use crate::scenario::{Lie, Sketches};
use crate::subject::Subject;

/// The stream of draws for poison.
const STREAM: u64 = 0x706f_6973_6f6e;

/// How cells are poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    /// They are random.
    Noise,
    /// All of their bits are set.
    Ones,
    /// One entry is made up.
    OneMadeUp,
    /// Several entries are made up.
    SeveralMadeUp,
    /// They are those of the receiver, so that nothing seems to differ.
    Mirror,
    /// They are those of the receiver for half of the keys.
    HalfMirror,
    /// Half of them are missing.
    Short,
    /// The last one is truncated.
    Cut,
}

/// The kinds of poison that a liar uses.
const LIES: [Poison; 8] = [
    Poison::Noise,
    Poison::Ones,
    Poison::OneMadeUp,
    Poison::SeveralMadeUp,
    Poison::Mirror,
    Poison::HalfMirror,
    Poison::Short,
    Poison::Cut,
];

/// The kinds that make every sketch fail: random cells cannot be decoded, and a mirror hides differences.
const FATAL: [Poison; 2] = [Poison::Noise, Poison::Mirror];

impl<S: Subject> World<S> {
    /// The frame itself, or the frames of the message that it completes, with poisoned cells.
    pub(super) fn with_poison(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let poisons: &[Poison] = match self.nodes[from as usize].lie {
            Some(Lie::Poison) => &LIES,
            _ if self.scenario.gossip.sketches == Sketches::Failing => &FATAL,
            _ => return vec![frame],
        };
        let Some(decoded) =
            Frame::decode(&frame, &SessionConfig::default()).ok().filter(|frame| frame.kind == FrameKind::Reply)
        else {
            return vec![frame];
        };
        let Some(message) = self.nodes[from as usize].replies.add(to, &decoded) else { return Vec::new() };
        let header = Header { kind: Header::REPLY, session: decoded.session, exchange: decoded.exchange };
        let session = self.nodes[from as usize].replies.session(to, &header);
        let message = self.poisoned(from, to, session, &message, poisons).unwrap_or(message);
        header.frames(&message, self.config.session.max_frame_bytes)
    }

    /// A reply with poisoned cells; `None` if the reply has no cells.
    fn poisoned(
        &mut self,
        from: NodeIndex,
        to: NodeIndex,
        session: u64,
        message: &[u8],
        poisons: &[Poison],
    ) -> Option<Vec<u8>> {
        let Split { before, chunk, after } = split(message)?;
        let mut random = stream(self.seed, &[STREAM, session]);
        let poison = poisons[place(&mut random, poisons.len())];
        let cells = self.poisoned_cells(poison, from, to, &chunk, &mut random)?;
        let mut poisoned = Chunk::new(chunk.start(), cells)?.to_bytes();
        if poison == Poison::Cut {
            poisoned.pop();
        }
        Some([before, &poisoned, after].concat())
    }

    fn poisoned_cells(
        &mut self,
        poison: Poison,
        from: NodeIndex,
        to: NodeIndex,
        chunk: &Chunk,
        random: &mut fastrand::Rng,
    ) -> Option<Vec<Cell>> {
        Some(match poison {
            Poison::Noise => noise(chunk, random),
            Poison::Ones => vec![Cell::from_bytes([u8::MAX; Cell::LEN]); chunk.cells().len()],
            Poison::OneMadeUp => plus(chunk, &made_up(1, random)),
            Poison::SeveralMadeUp => plus(chunk, &made_up(8, random)),
            Poison::Mirror => cells_of(&self.summary_of(to)?, KeyRange::ALL, chunk),
            Poison::HalfMirror => {
                let middle = KeyHash::from_u128(1 << 127);
                let theirs = cells_of(&self.summary_of(from)?, KeyRange::new(KeyHash::MIN, Some(middle))?, chunk);
                let theirs = Chunk::new(chunk.start(), theirs)?;
                sum(&theirs, &cells_of(&self.summary_of(to)?, KeyRange::new(middle, None)?, chunk))
            }
            Poison::Short => chunk.cells()[..chunk.cells().len() / 2].to_vec(),
            Poison::Cut => chunk.cells().to_vec(),
        })
    }

    fn summary_of(&mut self, node: NodeIndex) -> Option<Snapshot> {
        self.nodes[node as usize].engine.as_mut().map(|engine| engine.replica_mut().summary())
    }
}

/// Random cells, all of them different from these.
fn noise(chunk: &Chunk, random: &mut fastrand::Rng) -> Vec<Cell> {
    let damaged = |cell: &Cell| Cell::from_bytes(cell.to_bytes().map(|byte| byte ^ random.u8(1..)));
    chunk.cells().iter().map(damaged).collect()
}

fn made_up(entries: usize, random: &mut fastrand::Rng) -> Snapshot {
    let mut entry =
        || (KeyHash::from_u128(random.u128(..)), Fingerprint::from_bytes([random.u8(..); Fingerprint::LEN]));
    let mut entries: Vec<_> = (0..entries).map(|_| entry()).collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    MerkleTree::from_entries(entries).snapshot()
}

/// The cells of other entries at the same positions.
fn cells_of(entries: &Snapshot, range: KeyRange, like: &Chunk) -> Vec<Cell> {
    Encoder::of_range(entries.clone(), range).cells(like.start()..like.end()).to_vec()
}

/// The cells of the sender's entries and more.
fn plus(chunk: &Chunk, entries: &Snapshot) -> Vec<Cell> {
    sum(chunk, &cells_of(entries, KeyRange::ALL, chunk))
}

/// The sums of two lists of cells: XOR of all bytes except the last, which is the count.
fn sum(chunk: &Chunk, others: &[Cell]) -> Vec<Cell> {
    let add = |(one, other): (&Cell, &Cell)| {
        let (one, other) = (one.to_bytes(), other.to_bytes());
        let mut both: [u8; Cell::LEN] = core::array::from_fn(|byte| one[byte] ^ other[byte]);
        both[Cell::LEN - 1] = one[Cell::LEN - 1].wrapping_add(other[Cell::LEN - 1]);
        Cell::from_bytes(both)
    };
    chunk.cells().iter().zip(others).map(add).collect()
}

#[cfg(test)]
mod tests {
    use anti_entropy::summary::sketch::{DecodeStatus, Decoder, DecoderLimits};

    use super::*;
    use crate::scenario::{Fault, Gossip, Scenario};
    use crate::subject::Items;
    use crate::world::replies::Replies;
    use crate::world::{Counts, Detail};

    /// Five nodes that write to many keys and are told of nothing at once, so that sessions have to find it.
    fn quiet(sketches: Sketches) -> Scenario {
        let gossip = Gossip { push: Some(false), sketches, ..Gossip::default() };
        Scenario::new("quiet", 5).keys(200).duration_ms(60_000).operations(300).gossip(gossip)
    }

    fn run(scenario: &Scenario) -> (World<Items>, Counts) {
        let mut world = World::new(&scenario.clone().expanded(1), 1, Items::default(), Detail::Everything);
        world.run_until(100_000_000);
        assert!(world.is_converged());
        let counts = world.counts();
        (world, counts)
    }

    #[test]
    fn sketches_save_messages_and_bytes_unless_they_fail() {
        let [on, off, mixed, failing] =
            [Sketches::On, Sketches::Off, Sketches::Mixed, Sketches::Failing].map(|sketches| run(&quiet(sketches)).1);
        assert!(on.frames < off.frames && off.frames < failing.frames, "{on:?} {off:?} {failing:?}");
        assert!(on.bytes < off.bytes && off.bytes < failing.bytes, "{on:?} {off:?} {failing:?}");
        assert!(on.sketches > mixed.sketches && mixed.sketches > 0 && off.sketches == 0);
        for counts in [on, off, mixed] {
            assert_eq!((counts.sketches_failed, counts.uncertified), (0, 0));
        }
        assert!(failing.sketches_failed > 0 && failing.uncertified > 0);
    }

    /// One side has fewer cells to give than the other asks for.
    #[test]
    fn sketches_that_end_too_early_lead_to_trees() {
        let mut scenario = quiet(Sketches::Mixed);
        (scenario.gossip.sketch_cells, scenario.gossip.first_cells) = (Some(12), Some(8));
        let (_, counts) = run(&scenario);
        assert!(counts.sketches_failed > 0 && counts.uncertified == 0, "{counts:?}");
    }

    #[test]
    fn poison_is_found_out_and_the_others_become_equal() {
        let lie = Fault::Lie { lie: Lie::Poison };
        let (_, counts) = run(&quiet(Sketches::On).step(10, 60_000, [4], lie).never_back([4]));
        assert!(counts.sketches_failed > 0 && counts.uncertified > 0, "{counts:?}");
    }

    fn decoded(ours: &Snapshot, cells: Vec<Cell>) -> (DecodeStatus, usize) {
        let mut decoder = Decoder::new(Encoder::new(ours.clone()), DecoderLimits::default()).unwrap();
        let status = decoder.handle_chunk(&Chunk::new(0, cells).unwrap());
        (status, decoder.found().len())
    }

    #[test]
    fn what_is_made_up_is_read_off_and_noise_is_not() {
        let mut random = stream(1, &[]);
        let (ours, theirs) = (made_up(100, &mut random), made_up(0, &mut random));
        let honest = Encoder::new(ours.clone()).chunk(0, 60);
        assert_eq!(decoded(&ours, plus(&honest, &made_up(7, &mut random))), (DecodeStatus::Complete, 7));
        assert_eq!(decoded(&ours, cells_of(&ours, KeyRange::ALL, &honest)), (DecodeStatus::Complete, 0));
        for session in 0..1000 {
            let noise = noise(&Encoder::new(theirs.clone()).chunk(0, 60), &mut stream(session, &[]));
            assert_ne!(decoded(&theirs, noise).0, DecodeStatus::Complete);
        }
    }

    #[test]
    fn a_message_is_the_same_whatever_frames_it_comes_in() {
        let message: Vec<u8> = (0..2000_u32).map(|number| number.to_be_bytes()[3]).collect();
        let header = Header { kind: Header::REPLY, session: 7, exchange: 300 };
        for longest in [512, 700, 4096] {
            let frames = header.frames(&message, longest);
            assert!(frames.iter().all(|frame| frame.len() <= longest));
            let mut replies = Replies::default();
            let mut whole = frames
                .iter()
                .rev()
                .map(|frame| replies.add(1, &Frame::decode(frame, &SessionConfig::default()).unwrap()));
            assert_eq!(whole.by_ref().take(frames.len() - 1).flatten().next(), None);
            assert_eq!(whole.next(), Some(Some(message.clone())));
        }
    }
}
