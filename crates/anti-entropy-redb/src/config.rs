//! The settings of a file.

use anti_entropy::ConfigError;

/// The type of the values in a file: the application's name for it, and the version of its encoding.
///
/// ```
/// use anti_entropy_redb::Schema;
///
/// let schema = Schema::new("shopping-lists", 2);
/// assert_eq!(schema.to_string(), "shopping-lists, version 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Schema {
    /// The application's name for its values; not empty. It never changes.
    pub name: String,
    /// The version of the values' encoding, which the application counts up.
    pub version: u32,
}

impl Schema {
    /// The schema of this name and version.
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self { name: name.into(), version }
    }
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, version {}", self.name, self.version)
    }
}

/// How a file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedbConfig {
    /// The schema of the values. A file with another schema is refused.
    pub schema: Schema,
    /// Earlier versions of the schema whose values the present type can decode, each below `schema.version`. None by
    /// default. A file with one of these versions is opened, and marked as of the present version.
    pub reads_versions: Vec<u32>,
    /// How many bytes of the file's pages are kept in memory. 64 MiB by default: the operating system caches the file too,
    /// and opening reads each page once. 0 keeps none.
    pub cache_bytes: usize,
    /// How many per cent of the file have to be unused for [`RedbFile::compact`](crate::RedbFile::compact) to compact it; at
    /// most 100. 30 by default: compaction writes the whole file again, and a store that changes all the time needs some
    /// unused room.
    pub compact_from_unused_percent: u8,
    /// How long the name of a space may be, in bytes of UTF-8; at least 1. 255 by default: the name is part of the names of
    /// two tables.
    pub max_space_name_bytes: usize,
}

impl RedbConfig {
    /// The defaults, for values of this schema.
    pub const fn new(schema: Schema) -> Self {
        Self {
            schema,
            reads_versions: Vec::new(),
            cache_bytes: 64 << 20,
            compact_from_unused_percent: 30,
            max_space_name_bytes: 255,
        }
    }

    /// These settings with some of them changed.
    ///
    /// ```
    /// use anti_entropy_redb::{RedbConfig, Schema};
    ///
    /// let config = RedbConfig::new(Schema::new("shopping-lists", 2)).with(|config| config.reads_versions = vec![1]);
    /// assert!(config.validate().is_ok());
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every setting is in its range, and that none contradicts another.
    ///
    /// # Errors
    /// The first setting that is out of range, or contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.schema.name.is_empty() {
            return Err(ConfigError::new("schema.name", &self.schema.name, "a name that is not empty"));
        }
        let present = self.schema.version;
        if let Some(later) = self.reads_versions.iter().find(|version| **version >= present) {
            let bound = format!("below schema.version, which is {present}");
            return Err(ConfigError::new("reads_versions", later, &bound));
        }
        ConfigError::at_most("compact_from_unused_percent", self.compact_from_unused_percent, 100)?;
        ConfigError::at_least("max_space_name_bytes", self.max_space_name_bytes, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut RedbConfig)) -> RedbConfig {
        RedbConfig::new(Schema::new("lists", 3)).with(change)
    }

    #[test]
    fn settings_out_of_range_or_in_contradiction_are_refused_by_name() {
        let refused = [
            (with(|config| config.schema.name.clear()), "schema.name", "\"\""),
            (with(|config| config.reads_versions = vec![1, 3]), "reads_versions", "3"),
            (with(|config| config.reads_versions = vec![4]), "reads_versions", "4"),
            (
                with(|config| config.schema.version = 0).with(|config| config.reads_versions = vec![0]),
                "reads_versions",
                "0",
            ),
            (with(|config| config.compact_from_unused_percent = 101), "compact_from_unused_percent", "101"),
            (with(|config| config.compact_from_unused_percent = 255), "compact_from_unused_percent", "255"),
            (with(|config| config.max_space_name_bytes = 0), "max_space_name_bytes", "0"),
        ];
        for (config, field, value) in refused {
            let error = config.validate().unwrap_err();
            assert_eq!((error.field.as_str(), error.value.as_str()), (field, value));
        }
    }

    #[test]
    fn settings_at_the_ends_of_their_ranges_are_taken() {
        let taken = [
            with(|config| config.reads_versions = vec![2, 0, 2]),
            with(|config| config.cache_bytes = 0),
            with(|config| config.compact_from_unused_percent = 0),
            with(|config| config.compact_from_unused_percent = 100),
            with(|config| config.max_space_name_bytes = 1),
        ];
        for config in taken {
            assert_eq!(config.validate(), Ok(()));
        }
    }
}
