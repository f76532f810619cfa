//! Where a person looks: stages, lines, and a progress line that is written over.

use std::io::{IsTerminal, Write, stderr, stdout};

/// Standard output, or, where that is for the result, standard error.
pub(crate) struct Terminal {
    out: Box<dyn Write>,
    colour: bool,
    /// Whether progress is shown, in a line of standard error that is written over.
    live: bool,
    stages: usize,
}

impl Terminal {
    pub(crate) fn new(json: bool) -> Self {
        let (out, terminal): (Box<dyn Write>, bool) = if json {
            (Box::new(stderr()), stderr().is_terminal())
        } else {
            (Box::new(stdout()), stdout().is_terminal())
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { out, colour: terminal && !plain, live: stderr().is_terminal(), stages: 0 }
    }

    /// Writes a line. That nobody reads it any more is no reason to stop.
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    pub(crate) fn title(&mut self, text: &str) {
        let text = self.styled("1", text);
        self.line(&format!("{text}."));
    }

    pub(crate) fn stage(&mut self, name: &str, what: &str) {
        self.stages += 1;
        let name = self.styled("1;36", &format!("{}. {name}", self.stages));
        self.line(&format!("\n{name}\n{what}"));
    }

    pub(crate) fn progress(&mut self, text: &str) {
        if self.live {
            eprint!("\r  {text} \x1b[K");
        }
    }

    pub(crate) fn end_progress(&mut self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }

    pub(crate) fn styled(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.into() }
    }
}

/// A number of bytes in a form that can be read at a glance.
pub(crate) fn bytes(count: u64) -> String {
    if count < 10_000 { format!("{count} B") } else { format!("{}.{} kB", count / 1000, count / 100 % 10) }
}
