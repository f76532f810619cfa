//! Errors of scenarios.

use std::path::PathBuf;

/// Why a scenario cannot be run, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A value is out of its range, or two contradict each other. Nothing was run.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where: a field, or a step or operation with its number from 1.
        place: String,
        /// The field, its value and what it has to be, or what to do.
        problem: String,
    },
    /// The text is not a scenario in TOML. The message names the line.
    #[error("this is no scenario in TOML: {0}")]
    Toml(#[from] toml::de::Error),
    /// The scenario has a number that is too large for TOML.
    #[error("the scenario cannot be written in TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: std::io::Error,
    },
    /// A file was read, and its scenario is wrong.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: Box<ScenarioError>,
    },
}
