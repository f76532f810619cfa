//! What may be wrong with a scenario.

use std::path::PathBuf;

/// Why a scenario cannot be run, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The scenario says something that cannot be simulated.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where: a field, or a step or operation with its number, counted from 1.
        place: String,
        /// What is wrong there, and what to do.
        problem: String,
    },
    /// This is no scenario in TOML. The message says at which line.
    #[error("this is no scenario in TOML: {0}")]
    Toml(#[from] toml::de::Error),
    /// The scenario holds a number that TOML has no room for.
    #[error("the scenario cannot be written in TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// A file was read, and what it says is wrong.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: Box<ScenarioError>,
    },
}
