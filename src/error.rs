//! What can go wrong, said so that it can be mended: where (path first), what (found and expected), and what to do.
//!
//! The library only describes; exit codes and the layout on the terminal belong to the command line.

mod hint;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::lock::{Owner, process};
use crate::sync::text::BadFile;
use crate::uidlist::{BadList, Format};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation could not be done. `Display` gives one line without a full stop, [`Error::hint`] the way out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as in "cannot open".
        doing: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The folder has neither `cur/` nor `new/`.
    NotAMaildir {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has no index, and this operation does not make one.
    NoIndex {
        /// The folder.
        path: PathBuf,
    },
    /// The first build has not finished, so a listing would be short.
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// One of our names is taken by something that is not a plain file with one link.
    NotOurs {
        /// The name.
        path: PathBuf,
        /// What stands there: "a symbolic link", "a fifo", "a file with 2 links".
        found: String,
    },
    /// Bytes of one of our files that cannot be true.
    Damaged(Damage),
    /// Files of an index are there, and none of them proves which UIDs were given out.
    NothingLeft {
        /// The folder.
        path: PathBuf,
        /// What is wrong with one of them.
        reason: Option<Box<Error>>,
    },
    /// The two files are of two indexes, and nothing proves that the offsets file is the one of this folder.
    TwoIndexes {
        /// The offsets file.
        path: PathBuf,
        /// An index file.
        other: PathBuf,
    },
    /// A file written by a maildex with another format.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Somebody else holds the folder lock (`maildex.lock`).
    Locked {
        /// The folder.
        path: PathBuf,
        /// What the lockfile says of its holder, if it can be read.
        owner: Option<Box<Owner>>,
        /// Where it cannot: those who have the flock, as far as they can be seen. Pid and command line.
        holders: Vec<(i32, String)>,
        /// The holder was asked to let go.
        asked: bool,
    },
    /// Others keep the folder open, and have not closed it although they were asked.
    StillOpen {
        /// The folder.
        path: PathBuf,
        /// Who, as far as it can be seen.
        who: Vec<String>,
    },
    /// Dovecot's lock of the folder is held, or Courier's.
    DovecotLock {
        /// The lock.
        path: PathBuf,
        /// What it says of its holder: `pid:host`.
        holder: String,
    },
    /// A file system on which programs on other hosts work, too.
    Network {
        /// The directory.
        path: PathBuf,
        /// What it is: "NFS".
        kind: String,
    },
    /// The lock under which we were to work is no longer held.
    StaleLock {
        /// The lockfile.
        path: PathBuf,
        /// The lock's id.
        id: String,
    },
    /// What should be the id of a lock cannot be one.
    BadLockId {
        /// It.
        id: String,
    },
    /// The folder lock was taken away while we worked.
    LockLost {
        /// The lockfile.
        path: PathBuf,
    },
    /// No UID is left below 2^32 (RFC 9051, 2.3.1.1).
    UidsExhausted {
        /// The folder.
        path: PathBuf,
    },
    /// A mail that was asked for is not there.
    NoMessage {
        /// The folder.
        path: PathBuf,
        /// The UID or name, as it was given.
        wanted: String,
    },
    /// A path that does not lead into the folder.
    Outside {
        /// The path.
        path: PathBuf,
        /// What it should be.
        expected: String,
    },
    /// A file with a message's base name that is another mail than the one that was indexed.
    OtherMail {
        /// The file.
        path: PathBuf,
    },
    /// A mail that may not be what was indexed: its size, time or inode is another one.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Mail is to go to the folder that it is in.
    SameFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A name that other programs changed each time we reached for it.
    KeepsChanging {
        /// The folder or mail.
        path: PathBuf,
    },
    /// An index must be made again, and too much of its mail has vanished at once to believe it; see `docs/design.md`, "The guard".
    Guarded {
        /// The folder.
        path: PathBuf,
        /// How many mails are no longer there.
        gone: usize,
        /// Of how many that only the folder can tell of.
        of: usize,
    },
    /// Something stands where a sample folder is to be made, and is not of one.
    InTheWay {
        /// The file or directory.
        path: PathBuf,
        /// Why it is not taken for one.
        found: String,
    },
    /// A name that is wanted for a mail belongs to another file; two mails have one base name.
    Taken {
        /// The mail.
        path: PathBuf,
        /// The name that it was to get.
        taken: PathBuf,
    },
    /// A file name that can take no flag.
    CannotFlag {
        /// The mail.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// One message is to be named, and it were none or several.
    NotOne {
        /// The folder.
        path: PathBuf,
        /// How many it were.
        found: usize,
    },
    /// A mail without a byte was given.
    NoContents {
        /// The folder.
        path: PathBuf,
    },
    /// A list of UIDs that is none.
    UidList {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        bad: BadList,
    },
    /// A file that a list of UIDs must not be written to.
    NotATarget {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A mail whose name a list of UIDs cannot hold.
    Unlistable {
        /// The mail, without its flags.
        path: PathBuf,
        /// The format of the list.
        format: Format,
    },
    /// Files of the index that only a build can bring in order.
    NeedsBuild {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A mail root that cannot be synchronised as it is.
    Sync {
        /// The mail root, or a file of its replica.
        path: PathBuf,
        /// What is wrong.
        found: String,
        /// The way out.
        advice: String,
    },
    /// A change of flags that cannot be understood.
    Spec {
        /// As it was given.
        spec: String,
        /// What was expected.
        expected: String,
    },
    /// A token after which nobody can tell what changed.
    Token {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// git is not installed.
    NoGit {
        /// The repository.
        path: PathBuf,
    },
    /// git could not do what it was asked for.
    Git {
        /// The repository.
        path: PathBuf,
        /// What it was called for: "git fetch".
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// git waited for something for too long.
    GitSilent {
        /// The repository.
        path: PathBuf,
        /// What it was called for.
        what: &'static str,
        /// How long it said nothing.
        seconds: u64,
        /// What it said before.
        said: String,
    },
    /// There is no repository of ours.
    NoRepository {
        /// Where it should be.
        path: PathBuf,
    },
    /// Another `sync` is at work on a repository.
    SyncBusy {
        /// The repository.
        path: PathBuf,
    },
    /// The state of a replica that cannot be one.
    Replica {
        /// The repository.
        path: PathBuf,
        /// The commit that it is in.
        commit: String,
        /// Where, and what is wrong.
        bad: Box<BadFile>,
    },
    /// Another repository that cannot be reached, or refuses.
    Remote {
        /// What the user calls it.
        name: String,
        /// Where it is.
        url: String,
        /// What cannot be done.
        doing: &'static str,
        /// What git, or the other side, said.
        said: String,
    },
    /// A repository that git must not be sent to, or a bad name for one.
    Url {
        /// As it was given.
        url: String,
        /// Why.
        why: &'static str,
    },
    /// A query that cannot be understood.
    Query {
        /// The word it stumbled over.
        word: String,
        /// Which word of the query that is, from 1 on; 0 if it is not of a query with several.
        number: usize,
        /// What was expected there.
        expected: String,
        /// What may have been meant.
        advice: Option<String>,
    },
}

/// Why a name cannot take a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its info is none that flags can stand in, as `:1,foo`.
    Info,
    /// It would be longer than 255 bytes.
    TooLong,
}

/// Where one of our files says something that cannot be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Offset in bytes of the field.
    pub at: u64,
    /// The field.
    pub what: String,
    /// What it holds.
    pub found: String,
    /// What it should hold.
    pub expected: String,
}

impl Error {
    /// An [`Error::Io`]; for `map_err`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> Error {
        let path = path.into();
        move |errno| Error::Io { path, doing, source: errno.into() }
    }

    /// An [`Error::Query`] of a word that stands alone.
    pub(crate) fn query(word: &str, expected: impl Into<String>) -> Error {
        Error::Query { word: word.into(), number: 0, expected: expected.into(), advice: None }
    }

    /// The operating system's answer, if that was the reason.
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Error::Io { source, .. } => rustix::io::Errno::from_io_error(source),
            _ => None,
        }
    }

    /// The file or folder that this is about; none for a query.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::NotAMaildir { path }
            | Error::NoIndex { path }
            | Error::Unfinished { path }
            | Error::NothingLeft { path, .. }
            | Error::TwoIndexes { path, .. }
            | Error::NotOurs { path, .. }
            | Error::Damaged(Damage { path, .. })
            | Error::Version { path, .. }
            | Error::Locked { path, .. }
            | Error::StillOpen { path, .. }
            | Error::LockLost { path }
            | Error::StaleLock { path, .. }
            | Error::Network { path, .. }
            | Error::DovecotLock { path, .. }
            | Error::UidsExhausted { path }
            | Error::NoMessage { path, .. }
            | Error::Outside { path, .. }
            | Error::OtherMail { path }
            | Error::Changed { path }
            | Error::SameFolder { path }
            | Error::KeepsChanging { path }
            | Error::Token { path, .. }
            | Error::InTheWay { path, .. }
            | Error::Taken { path, .. }
            | Error::CannotFlag { path, .. }
            | Error::NotOne { path, .. }
            | Error::NoContents { path }
            | Error::NeedsBuild { path, .. }
            | Error::UidList { path, .. }
            | Error::NotATarget { path, .. }
            | Error::Unlistable { path, .. }
            | Error::Sync { path, .. }
            | Error::NoGit { path }
            | Error::Git { path, .. }
            | Error::GitSilent { path, .. }
            | Error::NoRepository { path }
            | Error::SyncBusy { path }
            | Error::Replica { path, .. }
            | Error::Guarded { path, .. } => Some(path),
            Error::Spec { .. }
            | Error::Query { .. }
            | Error::BadLockId { .. }
            | Error::Url { .. }
            | Error::Remote { .. } => None,
        }
    }
}

impl Error {
    /// Says whose state it is that cannot be one.
    #[must_use]
    pub(crate) fn of_replica(self, replica: crate::sync::ReplicaId) -> Error {
        match self {
            Error::Replica { path, commit, bad } => {
                Error::Replica { path, commit: format!("{commit} of the replica {replica}"), bad }
            }
            Error::Git { path, what, said } => {
                Error::Git { path, what, said: format!("of the replica {replica}: {said}") }
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "{}: ", path.display())?;
        }
        match self {
            Error::Io { doing, source, .. } => write!(f, "{doing}: {}", os_text(source)),
            Error::NotAMaildir { .. } => write!(f, "not a Maildir: it has neither cur nor new"),
            Error::NoIndex { .. } => write!(f, "no index"),
            Error::Unfinished { .. } => write!(f, "the first build of the index has not finished"),
            Error::NotOurs { found, .. } => write!(f, "found {found}, expected a plain file with one link"),
            Error::Damaged(damage) => damage.fmt_rest(f),
            Error::TwoIndexes { other, .. } => {
                write!(
                    f,
                    "is not of the index of {}, and nothing proves which of them is this folder's",
                    other.display()
                )
            }
            Error::NothingLeft { reason, .. } => {
                write!(f, "nothing in the index proves which UIDs were given out")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
            }
            Error::Version { found, expected, .. } => write!(f, "format version {found}, expected {expected}"),
            Error::Locked { owner: Some(owner), .. } => write!(f, "{owner}"),
            Error::Locked { owner: None, holders, .. } if holders.is_empty() => {
                write!(f, "locked by a process that cannot be named")
            }
            Error::Locked { owner: None, holders, .. } => {
                let names: Vec<_> = holders.iter().map(|(pid, command)| process(*pid, command)).collect();
                write!(f, "locked by {}", names.join(" and "))
            }
            Error::Network { kind, .. } => write!(f, "is on {kind}, where an index cannot be shared and locked"),
            Error::DovecotLock { holder, .. } => write!(f, "held by {holder:?}"),
            Error::StaleLock { id, .. } => write!(f, "the lock {id} is no longer held"),
            Error::BadLockId { id } => write!(f, "{id:?} is not the id of a lock: expected 32 hex digits"),
            Error::StillOpen { who, .. } if who.is_empty() => {
                write!(f, "kept open by a process that cannot be named")
            }
            Error::StillOpen { who, .. } => write!(f, "kept open by {}", who.join(" and ")),
            Error::LockLost { .. } => write!(f, "the lockfile is no longer ours"),
            Error::UidsExhausted { .. } => write!(f, "all UIDs up to 4294967295 have been given out"),
            Error::NoMessage { wanted, .. } => write!(f, "no message {wanted}"),
            Error::Outside { expected, .. } => write!(f, "expected {expected}"),
            Error::OtherMail { .. } => write!(f, "is not the mail that was indexed under this name"),
            Error::Changed { .. } => {
                write!(f, "left alone: it was changed since it was indexed, or touched")
            }
            Error::SameFolder { .. } => write!(f, "the mail is in this folder already"),
            Error::KeepsChanging { .. } => write!(f, "keeps changing"),
            Error::Guarded { gone, of, .. } => {
                write!(
                    f,
                    "{gone} of {of} messages whose entries are lost are gone at once: no file has their base names"
                )
            }
            Error::InTheWay { found, .. } | Error::Sync { found, .. } => write!(f, "{found}"),
            Error::Taken { taken, .. } => write!(f, "cannot be renamed: {} is there already", taken.display()),
            Error::CannotFlag { refusal: Refusal::Info, .. } => {
                write!(f, "its name has no place for flags, found something else than `2,` after the base name")
            }
            Error::CannotFlag { refusal: Refusal::TooLong, .. } => {
                write!(f, "its name is too long to take another flag")
            }
            Error::NotOne { found, .. } => write!(f, "found {found} messages, expected one"),
            Error::NoContents { .. } => write!(f, "found nothing on standard input, expected a mail"),
            Error::UidList { bad: BadList { line, found, expected }, .. } => {
                write!(f, "line {line}: found {found}, expected {expected}")
            }
            Error::NotATarget { what, .. } => write!(f, "{what}"),
            Error::Unlistable { format, .. } => {
                write!(f, "its name has a line break, and a list of the format {format} has no place for that")
            }
            Error::NeedsBuild { why, .. } => write!(f, "the index must be mended first: {why}"),
            Error::Spec { spec, expected } => write!(f, "flags: found {spec:?}, expected {expected}"),
            Error::Token { why, .. } => write!(f, "the token cannot be used: {why}"),
            Error::NoGit { .. } => write!(f, "found no program git"),
            Error::Git { what, said, .. } => write!(f, "{what}: {said}"),
            Error::GitSilent { what, seconds, said, .. } => {
                write!(f, "{what}: said nothing for {seconds} s")?;
                if said.is_empty() { Ok(()) } else { write!(f, "; before that: {said}") }
            }
            Error::NoRepository { .. } => write!(f, "no repository of maildex sync"),
            Error::SyncBusy { .. } => write!(f, "another sync is at work on it"),
            Error::Replica { commit, bad, .. } => write!(f, "{commit}: {bad}"),
            Error::Remote { name, url, doing, said } => write!(f, "peer {name} ({url}): {doing}: {said}"),
            Error::Url { url, why } => write!(f, "{url:?}: {why}"),
            Error::Query { word, number: 0, expected, .. } => write!(f, "query: found {word:?}, expected {expected}"),
            Error::Query { word, number, expected, .. } => {
                write!(f, "query: word {number}: found {word:?}, expected {expected}")
            }
        }
    }
}

impl Damage {
    fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}: found {}, expected {}", self.at, self.what, self.found, self.expected)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        self.fmt_rest(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The system's message without Rust's "(os error 2)".
fn os_text(source: &io::Error) -> String {
    let text = source.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}
