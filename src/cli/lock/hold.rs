//! What `lock run`, `lock acquire` and its guard have in common.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use maildex::folder::Folder;
use maildex::lock::guard::{Event, Guard, Process};
use maildex::lock::{Dotlock, Lock};
use rustix::process::Signal;
use signal_hook::low_level::signal_name;

use crate::cli::output::Output;
use crate::cli::setting;
use crate::cli::waiting::Waiting;

/// How to hold the lock.
#[derive(clap::Args)]
pub struct Hold {
    /// Mail folder
    pub folder: PathBuf,
    #[command(flatten)]
    pub waiting: Waiting,
    /// Why, shown to others who want the lock
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Send this signal when somebody asks for the lock: TERM, USR1, ...
    #[arg(long, value_name = "SIGNAL", value_parser = parse_signal)]
    pub on_request: Option<Signal>,
    /// Keep Dovecot away, too: hold its dovecot-uidlist.lock
    #[arg(long)]
    pub with_dovecot: bool,
}

impl Hold {
    /// Dovecot's lock, if it is wanted.
    pub fn dotlock(&self, folder: &Folder) -> Result<Option<Dotlock>, maildex::Error> {
        let take = || Dotlock::acquire(folder.maildir().dir(), &folder.maildir().access(), self.waiting.time);
        self.with_dovecot.then(take).transpose()
    }

    /// The command line of a guard that holds the lock in this way.
    pub fn for_guard(&self, out: &Output) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["lock-guard".into(), "--wait".into(), self.waiting.text().into()];
        line.extend(["--reason".into(), OsString::from(&self.reason)]);
        if let Some(signal) = self.on_request {
            line.extend(["--on-request".into(), signal.as_raw().to_string().into()]);
        }
        line.extend(self.with_dovecot.then(|| "--with-dovecot".into()));
        line.extend(out.is_quiet().then(|| "--quiet".into()));
        if let Some(dir) = setting::index_dir() {
            line.extend(["--index-dir".into(), dir.into()]);
        }
        // A relative path may begin with a dash.
        let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        line.push(folder.into());
        line
    }

    /// Holds the lock until the process has ended; `told` hears of signals and says whether to go on.
    pub fn watch(
        &self,
        folder: &Folder,
        process: &Process,
        dotlock: Option<Dotlock>,
        signals: &mut [(i32, UnixStream)],
        told: &mut dyn FnMut(i32) -> bool,
        out: &mut Output,
    ) -> Result<(), maildex::Error> {
        let access = self.on_request.map(|_| folder.access());
        let mut guard = Guard::new(folder.dir(), process, access.as_ref(), dotlock)?;
        loop {
            let fds: Vec<_> = signals.iter().map(|(_, stream)| stream.as_fd()).collect();
            match guard.next(&fds)? {
                Event::Ended => return Ok(()),
                Event::Asked => {
                    if let Some(signal) = self.on_request {
                        let _ = process.signal(signal);
                    }
                }
                Event::Told(which) => {
                    let (signal, stream) = &mut signals[which];
                    let _ = stream.read(&mut [0; 64]);
                    if !told(*signal) {
                        return Ok(());
                    }
                }
                Event::DotlockLost => {
                    out.problem(format_args!("{}: somebody took Dovecot's lock away", self.folder.display()));
                }
            }
        }
    }
}

/// What `MAILDEX_LOCK` is for those who work under the lock: other folders' locks stay.
pub fn lock_ids(held: &[String], lock: &Lock) -> String {
    let (key, _) = lock.id().split_at(16);
    let others = held.iter().map(String::as_str).filter(|id| !id.starts_with(key));
    others.chain([lock.id()]).collect::<Vec<_>>().join(" ")
}

/// `TERM`, `SIGTERM`, `term` or `15`.
fn parse_signal(text: &str) -> Result<Signal, String> {
    let wanted = text.to_ascii_uppercase();
    let wanted = wanted.strip_prefix("SIG").unwrap_or(&wanted);
    let named = |number: &i32| signal_name(*number).and_then(|name| name.strip_prefix("SIG")) == Some(wanted);
    let number = wanted.parse().ok().or_else(|| (1..32).find(named));
    number.and_then(Signal::from_named_raw).ok_or_else(|| "expected a signal: TERM, USR1, ...".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(parse_signal(text), Ok(Signal::TERM), "{text}");
        }
        assert_eq!(parse_signal("USR1"), Ok(Signal::USR1));
        for text in ["", "SIG", "0", "-1", "99", "SIGSIGTERM", "TERMINATE"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}
