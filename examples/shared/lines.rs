//! The files: `nodeN-genM.jsonl`, a pattern a line (`data/README.md`).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A line as it is written.
#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) source_episodes: Vec<String>,
    pub(crate) strength: f64,
    pub(crate) schema_confidence: f64,
    pub(crate) last_consolidated: String,
    embedding: String,
}

impl Line {
    /// The embedding's bytes: little-endian `f32`s.
    pub(crate) fn embedding(&self) -> Result<Vec<u8>, String> {
        from_hex(&self.embedding)
    }
}

/// A file that cannot be used: which, where, and why, in one line.
#[derive(Debug)]
pub(crate) struct DataError {
    file: PathBuf,
    line: Option<usize>,
    reason: String,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

/// What a node consolidated in a generation, both counted from 1. `pattern` makes a pattern of a line, or says why it is
/// none.
pub(crate) fn load<T>(
    directory: &Path,
    node: usize,
    generation: usize,
    pattern: impl Fn(Line) -> Result<T, String>,
) -> Result<Vec<T>, DataError> {
    let file = &directory.join(format!("node{node}-gen{generation}.jsonl"));
    let error = |line, reason| DataError { file: file.clone(), line, reason };
    let bytes = std::fs::read(file).map_err(|reason| error(None, format!("it cannot be read: {reason}")))?;
    let mut patterns = Vec::new();
    let mut line_of = HashMap::new();
    for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(bytes).map_err(|reason| error(Some(number), in_one_line(&reason)))?;
        let id = line.id.clone();
        patterns.push(pattern(line).map_err(|reason| error(Some(number), reason))?);
        if let Some(first) = line_of.insert(id.clone(), number) {
            return Err(error(Some(number), format!("the id {id:?} is on line {first} already")));
        }
    }
    Ok(patterns)
}

/// The parser counts lines from the start of what it was given, which is one line of the file.
fn in_one_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("{} (column {})", reason.escape_debug(), error.column())
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |(place, byte): (usize, u8)| {
        let value = char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| format!("embedding has no hexadecimal digit at character {}", place + 1))
    };
    let digits = text.bytes().enumerate().map(digit).collect::<Result<Vec<u8>, String>>()?;
    match digits.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err("embedding has an odd number of hexadecimal digits".into()),
    }
}
