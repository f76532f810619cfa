//! What can be set of a file.

/// What the values in a file are: the application's name for them, and the version of their encoding.
///
/// ```
/// use anti_entropy_redb::Schema;
///
/// let schema = Schema::new("shopping-lists", 2);
/// assert_eq!(schema.to_string(), "shopping-lists, version 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// What the application calls its values. It never changes.
    pub name: String,
    /// Counts the encodings that the values have had.
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
pub struct RedbConfig {
    /// What the values in the file are. A file of another schema is refused.
    pub schema: Schema,
    /// Earlier versions of the schema whose values the present type reads as they are. None by default. A file of one of
    /// them is taken, and marked as of the present version.
    pub reads_versions: Vec<u32>,
    /// How much memory the file's pages may take, in bytes. 64 MiB by default: the operating system caches the file too,
    /// and opening reads each page once.
    pub cache_bytes: usize,
    /// From how many per cent of unused room on [`RedbFile::compact`](crate::RedbFile::compact) does something. 30 by
    /// default: compaction writes the whole file again, and a store that changes all the time needs some room.
    pub compact_from_unused_percent: u8,
    /// How long the name of a space may be, in bytes of UTF-8. 255 by default: it is part of two tables' names.
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
}
