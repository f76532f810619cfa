//! The files: `nodeN-genM.jsonl`, a pattern a line.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::pattern::{Meta, Pattern};

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// What each node consolidated: from the first part of its episodes, and from all.
pub(crate) struct Data {
    pub(crate) generations: [[Vec<Pattern>; NODES]; 2],
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

/// Reads all ten files, up to the first that is missing or malformed.
pub(crate) fn load(directory: &Path) -> Result<Data, DataError> {
    let mut generations = [const { [const { Vec::new() }; NODES] }; 2];
    for (generation, nodes) in (1..).zip(&mut generations) {
        for (node, patterns) in (1..).zip(nodes) {
            *patterns = load_file(&directory.join(format!("node{node}-gen{generation}.jsonl")))?;
        }
    }
    Ok(Data { generations })
}

fn load_file(file: &Path) -> Result<Vec<Pattern>, DataError> {
    let error = |line, reason| DataError { file: file.to_path_buf(), line, reason };
    let bytes = std::fs::read(file).map_err(|reason| error(None, format!("it cannot be read: {reason}")))?;
    let mut patterns = Vec::new();
    let mut line_of = HashMap::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let pattern = parse(line).map_err(|reason| error(Some(number), reason))?;
        if let Some(first) = line_of.insert(pattern.id.clone(), number) {
            return Err(error(Some(number), format!("the id {:?} is on line {first} already", pattern.id)));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// A line as it is written.
#[derive(Deserialize)]
struct Line {
    id: String,
    source_episodes: Vec<String>,
    strength: f64,
    schema_confidence: f64,
    last_consolidated: String,
    embedding: String,
}

fn parse(line: &[u8]) -> Result<Pattern, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| in_one_line(&error))?;
    let Line { strength, schema_confidence: confidence, last_consolidated, .. } = line;
    let embedding = from_hex(&line.embedding)?;
    let meta = Meta { strength, confidence, last_consolidated };
    Pattern::new(line.id, meta, embedding, &line.source_episodes).map_err(str::to_owned)
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
