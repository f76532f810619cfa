//! How an example of five nodes runs, from the command line to its exit code.

use std::process::ExitCode;

use super::arguments::{self, Arguments};
use super::five::Failure;
use super::lines::DataError;
use super::terminal::Terminal;

/// The result of an example.
pub(crate) trait Report {
    /// Whether everything is as it has to be.
    fn is_sound(&self) -> bool;

    /// Shows the report to a person.
    fn show(&self, terminal: &mut Terminal);

    /// The report as one flat JSON object.
    fn to_json(&self) -> String;
}

/// Loads the data, runs the example in a runtime, and shows its report. The example has these flags of its own.
pub(crate) fn run<D, R: Report>(
    name: &str,
    flags: &[&'static str],
    load: impl FnOnce(&Arguments) -> Result<D, DataError>,
    tell: impl AsyncFnOnce(D, &mut Terminal) -> Result<R, Failure>,
) -> ExitCode {
    let arguments = match arguments::read(name, flags) {
        Ok(arguments) => arguments,
        Err(end) => return end,
    };
    // All files are read and checked before anything is started.
    let data = match load(&arguments) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut terminal = Terminal::new(arguments.json);
    match runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(tell(data, &mut terminal))) {
        Ok(report) => {
            report.show(&mut terminal);
            if arguments.json {
                println!("{}", report.to_json());
            }
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
