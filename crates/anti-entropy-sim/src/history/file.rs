//! Histories in files: one JSON record a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};

use super::Record;

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be opened.
    #[error("the history {path:?} cannot be opened: {source}; check the path and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line cannot be read.
    #[error("line {line} of the history cannot be read: {source}; copy the file anew, or write it anew from its seed")]
    Read {
        /// The number of the line, from 1.
        line: u64,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line is not a record.
    #[error(
        "line {line} of the history is no record: {source}; if the run was interrupted, delete the line; if another \
         release wrote the file, write it anew from its seed"
    )]
    NoRecord {
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with the line.
        source: serde_json::Error,
    },
    /// A record cannot be written.
    #[error("the history cannot be written: {0}; check that there is room on the disk")]
    Write(#[from] io::Error),
}

/// Writes one record as a line.
///
/// # Errors
/// If the writer fails.
pub fn write_line(mut to: impl Write, record: &Record) -> Result<(), HistoryError> {
    let mut line = serde_json::to_vec(record).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(to.write_all(&line)?)
}

/// Reads the records of a history line by line, and skips empty lines.
///
/// ```
/// use anti_entropy_sim::history::{Converged, Record, read, write_line};
///
/// let record = Record::Converged(Converged { at: 7 });
/// let mut file = Vec::new();
/// write_line(&mut file, &record)?;
/// assert_eq!(read(file.as_slice()).next().unwrap()?, record);
/// # Ok::<(), anti_entropy_sim::history::HistoryError>(())
/// ```
pub fn read<R: BufRead>(from: R) -> Records<R> {
    Records { lines: from.lines(), line: 0 }
}

/// Reads the records of a history in a file.
///
/// # Errors
/// If the file cannot be opened.
pub fn read_file(path: impl AsRef<Path>) -> Result<Records<BufReader<File>>, HistoryError> {
    let path = path.as_ref();
    match File::open(path) {
        Ok(file) => Ok(read(BufReader::new(file))),
        Err(source) => Err(HistoryError::Open { path: path.to_owned(), source }),
    }
}

/// An iterator over the records of a history; [`read`] and [`read_file`] make it.
#[derive(Debug)]
pub struct Records<R> {
    lines: Lines<R>,
    line: u64,
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = self.lines.next()?;
            self.line += 1;
            let line = self.line;
            match text {
                Err(source) => return Some(Err(HistoryError::Read { line, source })),
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    let record = serde_json::from_str(&text);
                    return Some(record.map_err(|source| HistoryError::NoRecord { line, source }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anti_entropy::clock::Timestamp;

    use super::super::*;
    use super::*;

    fn records() -> Vec<Record> {
        let dot = WriteName { replica: u128::MAX - 5, counter: u64::MAX };
        let held = vec![Held { dot, value: ValueHash::from_u64(u64::MAX) }];
        let keys = vec![KeyState { key: 3, held, covered: vec![dot], forgotten: vec![] }];
        let (op, ok) = (OpKind::WriteSeen, Acknowledged::Unknown);
        let (op_id, process, node, key, start, end) = (1, 2, 3, 4, 5, 6);
        let (value, seen, root) = (Some(ValueHash::from_u64(7)), vec![dot], ValueHash::from_u64(8));
        let timestamp = Some(Timestamp { wall_ms: u64::MAX, logical: 1 });
        vec![
            Record::Op(Op { op_id, process, node, op, key, start, end, ok, value, dot: Some(dot), seen, timestamp }),
            Record::State(State { at: 7, node: 1, from: Some(2), keys: keys.clone(), grown: true, root }),
            Record::Life(Life { at: 8, node: 1, opened: Opened::Swapped, keys, kept: vec![dot], lost: vec![], root }),
            Record::Traffic(Traffic { from: 1, to: 2, ..Traffic::default() }),
            Record::Usage(Usage { at: 9, ..Usage::default() }),
            Record::Healed(Healed { at: 10, core: vec![0, 1] }),
        ]
    }

    fn written() -> Vec<u8> {
        let mut file = Vec::new();
        for record in records() {
            write_line(&mut file, &record).unwrap();
        }
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let read: Result<Vec<_>, _> = read(written().as_slice()).collect();
        assert_eq!(read.unwrap(), records());
    }

    #[test]
    fn errors_tell_the_line_and_what_to_do() {
        let mut file = written();
        file.extend_from_slice(b"\n{\"record\":\"sta");
        let error = read(file.as_slice()).find_map(Result::err).unwrap().to_string();
        assert!(error.contains("line 8 of the history is no record") && error.contains("delete the line"), "{error}");
        let error = read_file("/no/such/history").unwrap_err().to_string();
        assert!(error.contains("\"/no/such/history\" cannot be opened"), "{error}");
        let error = read(&b"\xff\n"[..]).find_map(Result::err).unwrap().to_string();
        assert!(error.contains("line 1 of the history cannot be read"), "{error}");
    }
}
