//! Where results and messages go: stdout carries results only, everything else goes to stderr.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use maildex::Error;

use crate::cli::exit::Exit;
use crate::cli::terminal::{self, Color};

/// Large writes: a listing of a big folder is bound by them.
const BUFFER: usize = 256 << 10;

/// stdout and stderr of a verb.
pub struct Output {
    stdout: BufWriter<File>,
    is_terminal: bool,
    color: Color,
    quiet: bool,
    problems: usize,
}

impl Output {
    /// Takes stdout over; without a descriptor to spare nothing can be done, which is told.
    pub fn new(quiet: bool, color: Color) -> Result<Output, Exit> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        // Low descriptors are left to commands that are run, see `lock run`; unless there are no others (`ulimit -n`).
        let duplicate = |lowest| rustix::io::fcntl_dupfd_cloexec(stdout.as_fd(), lowest);
        let file = match duplicate(10).or_else(|_| duplicate(3)) {
            Ok(file) => File::from(file),
            Err(error) => {
                let error = io::Error::from(error);
                let _ = writeln!(io::stderr(), "maildex: standard output: cannot be used: {error}");
                return Err(Exit::Unusable);
            }
        };
        Ok(Output { stdout: BufWriter::with_capacity(BUFFER, file), is_terminal, color, quiet, problems: 0 })
    }

    /// Results go to another file from now on.
    pub fn redirect(&mut self, file: &File) -> io::Result<()> {
        self.flush()?;
        *self.stdout.get_mut() = file.try_clone()?;
        Ok(())
    }

    /// Whether notes are unwanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// For results.
    pub fn stdout(&mut self) -> &mut BufWriter<File> {
        &mut self.stdout
    }

    /// Columns of the terminal; `None` if stdout is none, and is not to be written as if it were one.
    pub fn width(&self) -> Option<usize> {
        self.is_for_people().then(|| terminal::width_or_default(&self.stdout.get_ref().as_fd()))
    }

    /// Whether a person reads what is written, on a terminal.
    pub fn is_for_people(&self) -> bool {
        self.is_terminal || self.color == Color::Always
    }

    /// Whether to write in colours.
    pub fn has_colour(&self) -> bool {
        self.color.is_wanted(self.is_terminal)
    }

    /// Whether to draw progress: only for somebody who looks at it.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// One line of results.
    pub fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.stdout, "{line}")
    }

    /// A result that is written at once or not at all: what cannot be is not tried again at the end.
    pub fn write_now(&mut self, result: &[u8]) -> io::Result<()> {
        self.stdout.flush()?;
        self.stdout.get_mut().write_all(result)
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// Something worth knowing that is no failure.
    pub fn note(&mut self, note: impl fmt::Display) {
        if !self.quiet {
            self.stderr(note);
        }
    }

    /// The way out of a note.
    pub fn note_hint(&mut self, hint: Option<String>) {
        if let (Some(hint), false) = (hint, self.quiet) {
            self.hint(hint);
        }
    }

    /// The way out of what was said before.
    pub fn hint(&mut self, hint: impl fmt::Display) {
        self.write_stderr(format_args!("hint: {}\n", terminal::escaped(&hint.to_string())));
    }

    /// One message, or one thing, could not be dealt with; the rest goes on.
    pub fn problem(&mut self, problem: impl fmt::Display) {
        self.problems += 1;
        self.stderr(problem);
    }

    /// [`Output::problem`] with the hint that comes with the error.
    pub fn failed(&mut self, error: &Error) {
        self.problems += 1;
        self.error(error, error.hint());
    }

    /// [`Output::failed`] for several.
    pub fn failed_all(&mut self, errors: &[Error]) {
        for error in errors {
            self.failed(error);
        }
    }

    /// Things that could not be dealt with.
    pub fn problems(&self) -> usize {
        self.problems
    }

    /// An error and the way out.
    pub fn error(&mut self, error: impl fmt::Display, hint: Option<String>) {
        self.stderr(error);
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }

    fn stderr(&mut self, message: impl fmt::Display) {
        self.write_stderr(format_args!("maildex: {}\n", terminal::escaped(&message.to_string())));
    }

    fn write_stderr(&mut self, text: fmt::Arguments<'_>) {
        // What was found before the problem comes before it, as far as anybody still listens.
        let _ = self.stdout.flush();
        let _ = io::stderr().write_all(text.to_string().as_bytes());
    }
}
