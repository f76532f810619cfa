//! The tables of a file, as the crate's documentation defines them.

use anti_entropy::KeyHash;
use anti_entropy::store::MetaSlot;
use redb::{TableDefinition, TableHandle, WriteTransaction};

use crate::{FileError, RedbConfig, Schema};

/// The file format that this release reads and writes.
pub const FORMAT: u32 = 1;

pub(crate) type RecordTable<'a> = TableDefinition<'a, &'static [u8; KeyHash::LEN], &'static [u8]>;
pub(crate) type MetaTable<'a> = TableDefinition<'a, u8, &'static [u8]>;

const HEADER: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("anti-entropy");
const FORMAT_KEY: &str = "format";
const SCHEMA_NAME_KEY: &str = "schema name";
const SCHEMA_VERSION_KEY: &str = "schema version";
const RECORDS_PREFIX: &str = "records/";
const META_PREFIX: &str = "meta/";

/// The names of a space's two tables.
#[derive(Debug)]
pub(crate) struct SpaceTables {
    records: String,
    meta: String,
}

impl SpaceTables {
    pub(crate) fn of(space: &str) -> Self {
        Self { records: format!("{RECORDS_PREFIX}{space}"), meta: format!("{META_PREFIX}{space}") }
    }

    pub(crate) fn records(&self) -> RecordTable<'_> {
        TableDefinition::new(&self.records)
    }

    pub(crate) fn meta(&self) -> MetaTable<'_> {
        TableDefinition::new(&self.meta)
    }
}

pub(crate) const fn slot_key(slot: MetaSlot) -> u8 {
    match slot {
        MetaSlot::Identity => 0,
        MetaSlot::Context => 1,
        MetaSlot::Pushed => 2,
    }
}

/// The names of the spaces that were written to, in ascending order.
pub(crate) fn spaces(reading: &redb::ReadTransaction) -> Result<Vec<String>, FileError> {
    let names = reading.list_tables()?.filter_map(|table| {
        let space = table.name().strip_prefix(META_PREFIX).or_else(|| table.name().strip_prefix(RECORDS_PREFIX));
        space.map(str::to_string)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What the header of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The database has no tables: it is new, or its creation was interrupted. It needs a header.
    New,
    /// The schema has an earlier version, which the application reads. It needs a new header.
    Earlier,
    /// The schema is the expected one.
    Present,
}

/// Checks whether this configuration can use the file.
pub(crate) fn check_header(reading: &redb::ReadTransaction, config: &RedbConfig) -> Result<Found, FileError> {
    if reading.list_tables()?.next().is_none() {
        return Ok(Found::New);
    }
    let header = reading.open_table(HEADER)?;
    let number = |key: &str| {
        let held = header.get(key)?.and_then(|bytes| bytes.value().try_into().ok());
        held.map(u32::from_be_bytes).ok_or_else(|| FileError::Damaged(format!("its header has no {key}")))
    };
    let found = number(FORMAT_KEY)?;
    if found != FORMAT {
        return Err(FileError::OtherFormat { found, expected: FORMAT });
    }
    let name = header.get(SCHEMA_NAME_KEY)?.and_then(|bytes| String::from_utf8(bytes.value().to_vec()).ok());
    let name = name.ok_or_else(|| FileError::Damaged("its header has no schema name".to_string()))?;
    let schema = Schema { name, version: number(SCHEMA_VERSION_KEY)? };
    if schema == config.schema {
        Ok(Found::Present)
    } else if schema.name == config.schema.name && config.reads_versions.contains(&schema.version) {
        Ok(Found::Earlier)
    } else {
        Err(FileError::OtherSchema { found: schema, expected: config.schema.clone() })
    }
}

pub(crate) fn write_header(writing: &WriteTransaction, schema: &Schema) -> Result<(), FileError> {
    let mut header = writing.open_table(HEADER)?;
    header.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
    header.insert(SCHEMA_NAME_KEY, schema.name.as_bytes())?;
    header.insert(SCHEMA_VERSION_KEY, schema.version.to_be_bytes().as_slice())?;
    Ok(())
}
