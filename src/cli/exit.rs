//! Exit codes, and how an error is told.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use maildex::Error;

use crate::cli::hints;
use crate::cli::json::cannot_write;
use crate::cli::output::Output;

/// How the program ends; `EXIT STATUS` in the man page is made from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, also when there was nothing to do.
    Done,
    /// The answer is no.
    No,
    /// Wrong usage.
    Usage,
    /// The folder or its index cannot be used.
    Unusable,
    /// Some messages failed or were not found, the rest is done.
    Some,
    /// A token that is unknown or too old: list again.
    ListAgain,
    /// Locked or busy: try again.
    Busy,
    /// That of a command that was run.
    Code(u8),
}

/// Wrong usage that only shows after the arguments have been read one by one.
#[derive(Debug)]
pub struct Usage(pub &'static str);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Usage {}

impl Exit {
    /// Done, but not with everything.
    pub fn with_problems(self, problems: usize) -> Exit {
        if self == Exit::Done && problems > 0 { Exit::Some } else { self }
    }
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unusable => 3,
            Exit::Some => 4,
            Exit::ListAgain => 5,
            Exit::Busy => 75,
            Exit::Code(code) => code,
        }
    }
}

#[cfg(feature = "generate")]
impl Exit {
    /// All, for the man page.
    pub const ALL: [Exit; 7] =
        [Exit::Done, Exit::No, Exit::Usage, Exit::Unusable, Exit::Some, Exit::ListAgain, Exit::Busy];

    /// What it means, for the man page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "Done, also when there was nothing to do or the reader closed the pipe.",
            Exit::No => "The answer is no: check found damage, list --exit-code nothing, lock wanted nobody.",
            Exit::Usage => "Wrong usage.",
            Exit::Unusable => "The folder or its index cannot be used.",
            Exit::Some => "Some messages failed or were not found, the rest is done.",
            Exit::ListAgain => "A token that is unknown or too old: list again.",
            Exit::Busy => "Locked or busy: try again.",
            Exit::Code(_) => "That of the command that lock run has run.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        exit.code().into()
    }
}

/// Whether a reader has closed the pipe.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |error: &(dyn std::error::Error + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(closed)
}

/// That of several things that were done: what they have in common, else that some failed, and above all that something
/// is wrong.
pub fn of_all(mut exits: BTreeSet<Exit>) -> Exit {
    match exits.len() {
        1 => exits.pop_first().expect("it has one"),
        _ if exits.contains(&Exit::No) => Exit::No,
        0 => Exit::Done,
        _ => Exit::Some,
    }
}

/// Tells why nothing came of it. A reader that closed the pipe has had enough, which is no error.
pub fn report(error: &anyhow::Error, folder: &Path, out: &mut Output) -> Exit {
    if is_closed(error) {
        return Exit::Done;
    }
    let Some(known) = error.downcast_ref::<Error>() else {
        match error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            // One without a path comes from where the results go.
            Some(errno) => out.error(cannot_write(io::Error::from_raw_os_error(errno)), None),
            None => out.error(format_args!("{error:#}"), None),
        }
        return if error.is::<Usage>() { Exit::Usage } else { Exit::Unusable };
    };
    out.error(known, hints::folder(known, folder).or_else(|| hints::late_option(known)).or_else(|| known.hint()));
    match known {
        Error::Query { .. }
        | Error::Spec { .. }
        | Error::Outside { .. }
        | Error::NotOne { .. }
        | Error::SameFolder { .. }
        | Error::BadLockId { .. }
        | Error::NoContents { .. }
        | Error::Url { .. }
        | Error::NotATarget { .. } => Exit::Usage,
        Error::NoMessage { .. } => Exit::Some,
        Error::Token { .. } => Exit::ListAgain,
        Error::Locked { .. }
        | Error::StillOpen { .. }
        | Error::Unfinished { .. }
        | Error::KeepsChanging { .. }
        | Error::StaleLock { .. }
        | Error::DovecotLock { .. }
        | Error::SyncBusy { .. }
        | Error::GitSilent { .. }
        | Error::LockLost { .. } => Exit::Busy,
        _ => Exit::Unusable,
    }
}
