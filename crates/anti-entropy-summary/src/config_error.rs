//! The error for settings, and the checks that return it.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Debug;

/// A setting that is out of its range, or that contradicts another one. Nothing was started.
///
/// ```
/// use anti_entropy_summary::ConfigError;
///
/// let error = ConfigError::at_most("random_percent", 200, 100).unwrap_err().within("gossip");
/// assert_eq!(error.field, "gossip.random_percent");
/// assert_eq!(error.to_string(), "gossip.random_percent is 200 and must be at most 100; nothing was started");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value} and must be {bound}; nothing was started")]
#[non_exhaustive]
pub struct ConfigError {
    /// The field, with the names of the structs that contain it: `gossip.session.max_frame_bytes`.
    pub field: String,
    /// The value that was refused.
    pub value: String,
    /// The values that are allowed: `at most 100`, for example.
    pub bound: String,
}

impl ConfigError {
    /// An error for a field whose value is outside of `bound`.
    pub fn new(field: &str, value: impl Debug, bound: &str) -> Self {
        Self { field: field.to_string(), value: format!("{value:?}"), bound: bound.to_string() }
    }

    /// Checks that a value does not exceed `most`.
    ///
    /// # Errors
    /// If the value is above the bound.
    pub fn at_most<T: PartialOrd + Debug + Copy>(field: &str, value: T, most: T) -> Result<(), Self> {
        if value <= most { Ok(()) } else { Err(Self::new(field, value, &format!("at most {most:?}"))) }
    }

    /// Checks that a value is not below `least`.
    ///
    /// # Errors
    /// If the value is below the bound.
    pub fn at_least<T: PartialOrd + Debug + Copy>(field: &str, value: T, least: T) -> Result<(), Self> {
        if value >= least { Ok(()) } else { Err(Self::new(field, value, &format!("at least {least:?}"))) }
    }

    /// Checks that a field does not exceed another field of the same configuration.
    ///
    /// # Errors
    /// If it does. The bound names the other field and its value.
    pub fn at_most_field<T: PartialOrd + Debug + Copy>(
        field: &str,
        value: T,
        other: &str,
        most: T,
    ) -> Result<(), Self> {
        if value <= most {
            Ok(())
        } else {
            Err(Self::new(field, value, &format!("at most {other}, which is {most:?}")))
        }
    }

    /// The same error for a configuration that is the field `config` of another one.
    pub fn within(self, config: &str) -> Self {
        Self { field: format!("{config}.{}", self.field), ..self }
    }
}
