//! What to do about an error, in one line each.

use std::io;
use std::path::Path;

use super::{Error, Refusal};
use crate::lock::State;

impl Error {
    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Io { path, source, .. }
                if source.kind() == io::ErrorKind::NotADirectory
                    && ["cur", "new", "tmp"].iter().any(|sub| path.ends_with(sub)) =>
            {
                "a symbolic link is not followed there, for mail moves between the three; link to the whole folder instead".into()
            }
            Error::Io { .. } => return None,
            Error::NotAMaildir { .. } => "a Maildir has the directories cur, new and tmp".into(),
            Error::NoIndex { path } => format!("make one with: maildex build {}", path.display()),
            Error::Unfinished { path } => format!("wait for it, or run it: maildex build {}", path.display()),
            Error::NotOurs { path, found } if found.ends_with("links") => {
                let path = path.display();
                format!(
                    "a back-up may share it; give it a name of its own: cp -p {path} {path}.t && mv {path}.t {path}"
                )
            }
            Error::NotOurs { .. } => "maildex did not put it there; look at it, then move it away".into(),
            Error::Damaged(damage) => {
                let folder = damage.path.parent().unwrap_or(Path::new("."));
                format!("see everything that is wrong with: maildex check {}", folder.display())
            }
            Error::NothingLeft { path, .. } => format!(
                "a back-up of either file brings the UIDs back; if there is none, this gives all mail new ones, under another UIDVALIDITY: maildex repair {} --new-uidvalidity",
                path.display()
            ),
            Error::TwoIndexes { path, .. } => {
                let folder = path.parent().unwrap_or(Path::new(".")).display();
                format!(
                    "look at both with: maildex dump {folder}; move away the one that came from elsewhere, then: maildex repair {folder} --dry-run"
                )
            }
            Error::Version { path, .. } => {
                let folder = path.parent().unwrap_or(Path::new(".")).display();
                format!(
                    "it was written by another version of maildex; use that one. If there never was one it is damaged: move it away, then maildex repair {folder} --dry-run"
                )
            }
            Error::Locked { owner: Some(owner), .. } if owner.state == State::Stopped => {
                format!("until it runs again nobody gets the lock; let it go on with: kill -CONT {}", owner.pid)
            }
            Error::Locked { owner: None, holders, .. } if !holders.is_empty() => {
                "when that process has ended the lock is free; or wait longer with --wait".into()
            }
            Error::Locked { path, owner: None, .. } => format!(
                "the lockfile does not say who holds it; this may, run by root: fuser -v {}/{}",
                path.display(),
                crate::lock::LOCKFILE
            ),
            Error::Network { .. } => {
                "keep the index on a local disk: maildex --index-dir DIR, or MAILDEX_INDEX_DIR=DIR for every verb"
                    .into()
            }
            Error::DovecotLock { path, .. } if path.ends_with(crate::lock::COURIER_LOCK) => {
                "Courier is at work in the folder; try again, or wait longer with --wait".into()
            }
            Error::DovecotLock { .. } => {
                "Dovecot is at work in the folder; try again, or wait longer with --wait".into()
            }
            Error::StaleLock { .. } => {
                "take the lock again; what works without it is started with: env -u MAILDEX_LOCK".into()
            }
            Error::BadLockId { .. } => "ids of locks are printed by: maildex lock acquire".into(),
            Error::Locked { asked: true, .. } => "it was asked to let go; try again, or wait longer with --wait".into(),
            Error::Locked { asked: false, .. } => "try again, or wait longer with --wait".into(),
            Error::StillOpen { .. } => {
                "try again, wait longer with --wait, or go on with --force: they will find the new files".into()
            }
            Error::LockLost { path } => {
                let folder = path.parent().unwrap_or(path).display();
                format!("somebody removed it by hand, or wrote without it; see what is there with: maildex check {folder}")
            }
            Error::UidsExhausted { .. } => "the folder needs a new UIDVALIDITY; copy its mail to a fresh folder".into(),
            Error::NoMessage { path, .. } => format!("see what there is with: maildex list {}", path.display()),
            Error::Outside { .. } => {
                "paths are taken from the working directory; a base name or a UID works anywhere".into()
            }
            Error::OtherMail { path } => {
                let folder = path.ancestors().nth(2).filter(|folder| *folder != Path::new(""));
                let folder = folder.unwrap_or(Path::new(".")).display();
                format!("its UID is of a mail that is gone; let maildex look again: maildex build --full {folder}")
            }
            Error::Changed { path } => {
                format!("look at it; if it is to go nevertheless: rm {}", path.display())
            }
            Error::SameFolder { .. } => "name two folders".into(),
            Error::KeepsChanging { .. } => "another program is renaming mail there without pause; try again".into(),
            Error::Guarded { path, .. } => {
                let path = path.display();
                format!(
                    "is everything mounted? if the mail is meant to be gone: maildex build {path} --accept-removals"
                )
            }
            Error::InTheWay { .. } => "nothing was changed; name another directory: maildex demo DIR".into(),
            Error::Taken { .. } => {
                "two mails have one base name; look at both, and give one of them another name".into()
            }
            Error::CannotFlag { refusal: Refusal::Info, .. } => {
                "rename it by hand: flags stand between `:2,` and the next comma".into()
            }
            Error::CannotFlag { refusal: Refusal::TooLong, .. } => {
                "a file name has at most 255 bytes; give the mail a shorter one".into()
            }
            Error::NotOne { .. } => "name one message, by UID, path or base name".into(),
            Error::NoContents { .. } => "nothing was changed; did the command before the pipe fail?".into(),
            Error::UidList { .. } => {
                "nothing was changed; lists are printed by: maildex uids export, and kept by Dovecot and Courier".into()
            }
            Error::NotATarget { .. } => "nothing was written; name another file, outside the folder".into(),
            Error::Unlistable { .. } => "a list of the format tsv can hold every name".into(),
            Error::NeedsBuild { path, .. } => format!("mend it with: maildex build {}", path.display()),
            Error::Spec { .. } => {
                "a change of flags is +S, -F, +RS-T, =FS, +seen, or keyword letters one by one: +a,-b".into()
            }
            Error::Token { path, .. } => {
                format!("take a new one with: maildex changes {0}; then list again: maildex list {0}", path.display())
            }
            Error::NoGit { .. } => "`sync` needs git, version 2.36 or later: apt-get install git, or its like".into(),
            Error::Git { path, .. } => {
                let path = path.display();
                format!("nothing was lost, the next run begins where this one ended; is the repository whole? git -C {path} fsck")
            }
            Error::GitSilent { .. } => {
                "the other side does not answer, or asks for a password; try again when it can be reached without one".into()
            }
            Error::Remote { .. } => {
                "nothing is lost: all else was done, and the next run tries this again".into()
            }
            Error::NoRepository { .. } => "make one with: maildex sync init".into(),
            Error::SyncBusy { .. } => "it will carry what has changed; or try again when it has ended".into(),
            Error::Replica { .. } => {
                "nothing of it was taken; look at the machine that wrote it, this one is as it was".into()
            }
            Error::Url { .. } => "a repository is a path, an ssh address such as host:mail.git, or an https URL".into(),
            Error::Sync { advice, .. } | Error::Query { advice: Some(advice), .. } => advice.clone(),
            Error::Query { .. } => {
                "a query is a UID set (3 or 1:9,12) or words such as unseen, from ann, since 7d; see: maildex help query"
                    .into()
            }
        })
    }
}
