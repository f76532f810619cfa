//! How the examples are called.

use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line says.
pub(crate) struct Arguments {
    /// Where the files are; those that are shipped, unless others are named.
    pub(crate) data: PathBuf,
    /// Whether the result is printed as one JSON object.
    pub(crate) json: bool,
    /// Which of the program's own flags are given.
    pub(crate) flags: Vec<&'static str>,
}

/// Reads the command line of a program that has these flags of its own. Where the program is not to run it has said why, and
/// gives how it is to end.
pub(crate) fn read(program: &str, flags: &[&'static str]) -> Result<Arguments, ExitCode> {
    let own: String = flags.iter().map(|flag| format!(" [{flag}]")).collect::<Vec<_>>().concat();
    let usage = format!("usage: {program} [--data DIR] [--json]{own}");
    match parse(flags, std::env::args().skip(1)) {
        Ok(Some(arguments)) => Ok(arguments),
        Ok(None) => {
            println!("{usage}");
            Err(ExitCode::SUCCESS)
        }
        Err(reason) => {
            eprintln!("error: {reason}; {usage}");
            Err(ExitCode::from(2))
        }
    }
}

/// `None` if help is asked for.
fn parse(flags: &[&'static str], mut arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut parsed = Arguments { data: shipped, json: false, flags: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => parsed.json = true,
            "--data" => parsed.data = arguments.next().ok_or("--data needs a directory")?.into(),
            "--help" | "-h" => return Ok(None),
            other => match (other.strip_prefix("--data="), flags.iter().find(|flag| **flag == other)) {
                (Some(directory), _) => parsed.data = directory.into(),
                (None, Some(flag)) => parsed.flags.push(flag),
                (None, None) => return Err(format!("there is no argument {other:?}")),
            },
        }
    }
    Ok(Some(parsed))
}
