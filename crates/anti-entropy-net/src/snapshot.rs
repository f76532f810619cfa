//! Noticing that the process goes on from an earlier state of its memory: a virtual machine that was put back to a
//! snapshot or started from one a second time, a checkpoint that was restored.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anti_entropy::{ConfigError, PeerId};
use serde::{Deserialize, Serialize};

use crate::checks::not_zero;

/// How much of a generation file counts: they have some 40 bytes.
const MAX_GENERATION_BYTES: u64 = 256;

/// How a process noticed that it was put back to an earlier state, or runs twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PutBack {
    /// A generation file has changed: the virtual machine was put back or cloned. Nothing else changes it.
    Generation {
        /// The file.
        file: PathBuf,
    },
    /// The wall clock has gone ahead of the monotonic one. That also happens when a machine wakes up that was suspended,
    /// and when a clock is put right.
    ClockAhead {
        /// By how much.
        by: Duration,
    },
    /// The wall clock has fallen behind the monotonic one. That also happens when a clock is put right.
    ClockBehind {
        /// By how much.
        by: Duration,
    },
    /// A peer has heard more of this process than it knows to have said.
    PeerKnowsMore {
        /// The peer.
        peer: PeerId,
    },
    /// The application has reported it.
    Reported,
}

impl fmt::Display for PutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation { file } => write!(f, "{} has changed", file.display()),
            Self::ClockAhead { by } => write!(f, "the wall clock has gone ahead by {by:?}"),
            Self::ClockBehind { by } => write!(f, "the wall clock has fallen behind by {by:?}"),
            Self::PeerKnowsMore { peer } => write!(f, "peer {peer} has heard more than was said"),
            Self::Reported => f.write_str("the application has reported it"),
        }
    }
}

/// What counts as a sign that the process was put back.
///
/// ```
/// use std::time::Duration;
///
/// use anti_entropy_net::SnapshotConfig;
///
/// let config = SnapshotConfig::default().with(|config| config.clock_jump = Duration::from_secs(60));
/// assert!(config.validate().is_ok());
/// let error = config.with(|config| config.clock_jump = Duration::ZERO).validate().unwrap_err();
/// assert_eq!(error.field, "clock_jump");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SnapshotConfig {
    /// Between two looks, how far the wall clock may go apart from the monotonic one. Longer than zero.
    ///
    /// Default 10 seconds: services that set the clock correct less than that at once, unless it was quite wrong, and
    /// no snapshot is put back sooner.
    pub clock_jump: Duration,
    /// How often to look. Longer than zero.
    ///
    /// Default 1 second: two readings of a clock and some small files.
    pub check_interval: Duration,
    /// Files whose content changes when the virtual machine is put back or cloned. A file that is missing or cannot be
    /// read says nothing until it can. At most 16.
    ///
    /// Default `/run/vm-generation`, which docs/operations.md says how to make of the kernel's event for a new
    /// generation id; `/sys/hypervisor/uuid`, which Xen changes; and `/sys/class/dmi/id/product_uuid`, which some
    /// hypervisors change for clones, and only root may read.
    pub generation_files: Vec<PathBuf>,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        let files = ["/run/vm-generation", "/sys/hypervisor/uuid", "/sys/class/dmi/id/product_uuid"];
        Self {
            clock_jump: Duration::from_secs(10),
            check_interval: Duration::from_secs(1),
            generation_files: files.map(PathBuf::from).into(),
        }
    }
}

impl SnapshotConfig {
    /// The most generation files.
    pub const MAX_FILES: usize = 16;

    /// The same with some fields changed: `config.with(|config| config.generation_files.clear())`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks each field's range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        not_zero("clock_jump", self.clock_jump)?;
        not_zero("check_interval", self.check_interval)?;
        ConfigError::at_most("generation_files", self.generation_files.len(), Self::MAX_FILES)
    }
}

/// What a process sees at one moment of what a snapshot leaves traces in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReading {
    /// The monotonic clock. Where it counts from does not matter.
    pub monotonic: Duration,
    /// The wall clock, since 1970.
    pub wall: Duration,
    /// The content of each generation file that can be read, in the order of the configuration.
    pub generations: Vec<Option<Vec<u8>>>,
}

impl SnapshotReading {
    /// These times, without generation files.
    pub const fn new(monotonic: Duration, wall: Duration) -> Self {
        Self { monotonic, wall, generations: Vec::new() }
    }

    /// Reads the clocks and the files.
    pub fn now(config: &SnapshotConfig) -> Self {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let generations = config.generation_files.iter().map(|path| {
            let mut content = Vec::new();
            File::open(path).ok()?.take(MAX_GENERATION_BYTES).read_to_end(&mut content).ok()?;
            Some(content)
        });
        Self {
            generations: generations.collect(),
            monotonic: ORIGIN.get_or_init(Instant::now).elapsed(),
            // Before 1970 no clock is right.
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }
}

/// Notices from one reading to the next that the process was put back to an earlier state, or started from it again. It
/// reads nothing itself.
///
/// What it cannot notice: a snapshot that is put back where no generation file is, before the wall clock is set right. A
/// `Membership` of the feature `swim` has a detector of its own, and listens to peers besides.
///
/// ```
/// use std::time::Duration;
///
/// use anti_entropy_net::{PutBack, SnapshotConfig, SnapshotDetector, SnapshotReading};
///
/// let secs = Duration::from_secs;
/// let mut detector = SnapshotDetector::new(SnapshotConfig::default(), SnapshotReading::new(secs(5), secs(1_000)))?;
/// assert_eq!(detector.observe(SnapshotReading::new(secs(6), secs(1_001))), None);
/// // The machine was put back, and then its clock was set.
/// let seen = detector.observe(SnapshotReading::new(secs(7), secs(2_802)));
/// assert_eq!(seen, Some(PutBack::ClockAhead { by: secs(1_800) }));
/// # Ok::<(), anti_entropy::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SnapshotDetector {
    config: SnapshotConfig,
    last: SnapshotReading,
    /// Since when the next look is waited for.
    waits_since: Option<tokio::time::Instant>,
}

impl SnapshotDetector {
    /// A detector that has seen this.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration is invalid.
    pub fn new(config: SnapshotConfig, first: SnapshotReading) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config, last: first, waits_since: None })
    }

    /// Waits until the process notices that it was put back or runs twice: looks every
    /// [`check_interval`](SnapshotConfig::check_interval). Dropping the future loses nothing: the next one goes on waiting
    /// where it was.
    ///
    /// A program without a `Membership` lets its replicas take new ids then:
    ///
    /// ```no_run
    /// # use anti_entropy::{Handle, HandleError, Keyed};
    /// # use anti_entropy_net::SnapshotDetector;
    /// # async fn watch(mut detector: SnapshotDetector, handle: Handle<Keyed<u32, String>>) -> Result<(), HandleError> {
    /// loop {
    ///     let how = detector.noticed().await;
    ///     eprintln!("this process was put back, or runs twice: {how}");
    ///     handle.put_back().await?;
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn noticed(&mut self) -> PutBack {
        loop {
            let waited = self.waits_since.get_or_insert_with(tokio::time::Instant::now).elapsed();
            tokio::time::sleep(self.config.check_interval.saturating_sub(waited)).await;
            self.waits_since = None;
            if let Some(how) = self.observe(SnapshotReading::now(&self.config)) {
                return how;
            }
        }
    }

    /// The configuration, by which readings are to be made.
    pub fn config(&self) -> &SnapshotConfig {
        &self.config
    }

    /// Compares a reading with the last one. A generation file that appears counts as one that has changed.
    pub fn observe(&mut self, mut reading: SnapshotReading) -> Option<PutBack> {
        let mut changed = None;
        for (at, file) in self.config.generation_files.iter().enumerate() {
            let before = self.last.generations.get(at).cloned().flatten();
            match reading.generations.get_mut(at) {
                // What cannot be read now is compared when it can.
                Some(now @ None) => *now = before,
                Some(Some(now)) if before.as_ref() != Some(now) => changed = Some(file.clone()),
                _ => {}
            }
        }
        let last = std::mem::replace(&mut self.last, reading);
        if let Some(file) = changed {
            return Some(PutBack::Generation { file });
        }
        let expected = last.wall.saturating_add(self.last.monotonic.saturating_sub(last.monotonic));
        let (ahead, behind) = (self.last.wall.saturating_sub(expected), expected.saturating_sub(self.last.wall));
        if ahead > self.config.clock_jump {
            return Some(PutBack::ClockAhead { by: ahead });
        }
        (behind > self.config.clock_jump).then_some(PutBack::ClockBehind { by: behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn detector(files: &[&str]) -> SnapshotDetector {
        let config =
            SnapshotConfig::default().with(|config| config.generation_files = files.iter().map(Into::into).collect());
        SnapshotDetector::new(config, SnapshotReading::new(secs(100), secs(1_000_000))).unwrap()
    }

    #[test]
    fn clocks_that_go_apart_are_noticed_once() {
        let mut detector = detector(&[]);
        let mut at = |monotonic, wall| detector.observe(SnapshotReading::new(secs(monotonic), secs(wall)));
        assert_eq!(at(101, 1_000_001), None);
        assert_eq!(at(401, 1_000_301), None, "nobody looked for a while");
        assert_eq!(at(402, 1_000_312), None, "ten seconds may be put right");
        assert_eq!(at(403, 1_000_324), Some(PutBack::ClockAhead { by: secs(11) }));
        assert_eq!(at(404, 1_000_325), None);
        assert_eq!(at(405, 1_000_315), Some(PutBack::ClockBehind { by: secs(11) }));
        assert_eq!(at(406, 0), Some(PutBack::ClockBehind { by: secs(1_000_316) }));
        assert_eq!(at(407, u64::MAX), Some(PutBack::ClockAhead { by: secs(u64::MAX - 1) }));
        assert_eq!(at(408, u64::MAX), None, "the end of time");
        assert_eq!(at(3, u64::MAX), None, "a monotonic clock that is none");
    }

    #[test]
    fn many_small_corrections_are_none() {
        let mut detector = detector(&[]);
        for step in 1..1_000 {
            let reading = SnapshotReading::new(secs(100 + step), secs(1_000_000 + 10 * step));
            assert_eq!(detector.observe(reading), None, "{step}");
        }
    }

    #[test]
    fn a_generation_that_changes_or_appears_is_noticed_and_one_that_vanishes_is_not() {
        let mut detector = detector(&["/a", "/b"]);
        let mut at = |a: Option<&[u8]>, b: Option<&[u8]>| {
            let generations = vec![a.map(<[u8]>::to_vec), b.map(<[u8]>::to_vec)];
            let seen =
                detector.observe(SnapshotReading { generations, ..SnapshotReading::new(secs(100), secs(1_000_000)) });
            seen.map(|seen| match seen {
                PutBack::Generation { file } => file.display().to_string(),
                seen => panic!("{seen}"),
            })
        };
        let changed = |file: &str| Some(file.to_owned());
        assert_eq!(at(None, None), None);
        assert_eq!(at(Some(b"1"), None), changed("/a"));
        assert_eq!(at(Some(b"1"), None), None);
        assert_eq!(at(None, None), None, "it may be read again");
        assert_eq!(at(Some(b"1"), None), None);
        assert_eq!(at(None, None), None);
        assert_eq!(at(Some(b"2"), None), changed("/a"));
        assert_eq!(at(Some(b"2"), Some(b"3")), changed("/b"));
        assert_eq!(at(Some(b"2"), Some(b"3")), None);
    }

    #[test]
    fn readings_of_this_machine_show_no_jump_and_a_file_that_is_rewritten_does() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("generation");
        std::fs::write(&file, "1")?;
        let config = SnapshotConfig::default().with(|config| config.generation_files = vec![file.clone()]);
        let mut detector = SnapshotDetector::new(config.clone(), SnapshotReading::now(&config)).unwrap();
        assert_eq!(detector.observe(SnapshotReading::now(&config)), None);
        std::fs::write(&file, "2".repeat(1 << 20))?;
        let reading = SnapshotReading::now(&config);
        assert_eq!(reading.generations[0].as_ref().map(Vec::len), Some(256), "no more than that is read");
        assert_eq!(detector.observe(reading), Some(PutBack::Generation { file }));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_always_dropped_before_its_time_looks_all_the_same() -> std::io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let config = SnapshotConfig::default().with(|config| config.generation_files = vec![file.path().to_path_buf()]);
        let mut detector = SnapshotDetector::new(config.clone(), SnapshotReading::now(&config)).unwrap();
        std::fs::write(file.path(), "2")?;
        let mut calls = 0;
        let look = async {
            loop {
                calls += 1;
                if let Ok(how) = tokio::time::timeout(config.check_interval / 4, detector.noticed()).await {
                    return how;
                }
            }
        };
        let how = tokio::time::timeout(config.check_interval * 10, look).await.unwrap();
        assert_eq!((how, calls), (PutBack::Generation { file: file.path().to_path_buf() }, 4));
        Ok(())
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut SnapshotConfig);
        let spoils: [(&str, Spoil); 3] = [
            ("clock_jump", |config| config.clock_jump = Duration::ZERO),
            ("check_interval", |config| config.check_interval = Duration::ZERO),
            ("generation_files", |config| config.generation_files = vec![PathBuf::new(); 17]),
        ];
        for (field, spoil) in spoils {
            assert_eq!(SnapshotConfig::default().with(spoil).validate().unwrap_err().field, field);
        }
    }
}
