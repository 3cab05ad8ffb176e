//! Dovecot itself on a test's folder, with a configuration of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::mailbox::{Mailbox, installed, skipped};

/// Dovecot wants nothing to do with root's mail.
const NOBODY: u32 = 65534;

pub struct Dovecot<'m> {
    mailbox: &'m Mailbox,
    home: PathBuf,
}

impl<'m> Dovecot<'m> {
    /// For a folder; `None`, said loudly, where it is not installed.
    pub fn new(mailbox: &'m Mailbox, what: &str) -> Option<Dovecot<'m>> {
        if !installed("doveadm") {
            skipped(what, "install dovecot-core");
            return None;
        }
        let home = mailbox.path().parent().expect("a directory").to_path_buf();
        fs::create_dir(home.join("run")).expect("mkdir");
        let text = format!(
            "base_dir = {0}/run\nstate_dir = {0}/run\nlog_path = {0}/log\nmail_location = maildir:{1}\n\
             first_valid_uid = 1\nssl = no\n",
            home.display(),
            mailbox.path().display()
        );
        fs::write(home.join("dovecot.conf"), text).expect("write");
        Some(Dovecot { mailbox, home })
    }

    /// `doveadm` with these arguments, as a user whose mail this is.
    pub fn doveadm(&self, arguments: &[&str]) -> Command {
        self.program(Path::new("doveadm"), arguments)
    }

    /// The server of one session, on its standard input and output, and with its log on standard error; `None`, said
    /// loudly, where it is not installed.
    pub fn imap(&self) -> Option<Command> {
        let places = ["/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap"];
        let Some(imap) = places.iter().map(Path::new).find(|place| place.is_file()) else {
            skipped("a session of IMAP", "install dovecot-imapd");
            return None;
        };
        Some(self.program(imap, &[]))
    }

    fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            give_away(&self.home);
        }
        let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        }
        command.arg("-c").arg(self.home.join("dovecot.conf")).args(arguments);
        command.current_dir(&self.home).env("HOME", &self.home).env("USER", "nobody").env("TZ", "UTC");
        command
    }

    /// UIDs that `doveadm search` finds.
    #[track_caller]
    pub fn search(&self, query: &[&str], zone: &str) -> Vec<u32> {
        let mut command = self.doveadm(&[&["search", "mailbox", "INBOX"], query].concat());
        let run = self.mailbox.finish(command.env("TZ", zone)).ok().silent();
        let uid = |line: &str| line.rsplit(' ').next().and_then(|uid| uid.parse().ok());
        run.text().lines().map(|line| uid(line).unwrap_or_else(|| panic!("no UID: {line:?}"))).collect()
    }

    /// The base names of its UIDs, from `dovecot-uidlist`, with U+FFFD for what is not UTF-8.
    pub fn bases(&self) -> BTreeMap<u32, String> {
        let list = fs::read(self.mailbox.file("dovecot-uidlist")).expect("read the list");
        let line = |line: &[u8]| {
            let at = line.windows(2).position(|pair| pair == b" :")?;
            let uid = std::str::from_utf8(&line[..at]).ok()?.split(' ').next()?.parse().ok()?;
            let name = &line[at + 2..];
            let base = name.iter().position(|&byte| byte == b':').map_or(name, |colon| &name[..colon]);
            Some((uid, String::from_utf8_lossy(base).into_owned()))
        };
        list.split(|&byte| byte == b'\n').skip(1).filter_map(line).collect()
    }
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    for entry in fs::read_dir(path).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { give_away(&path) } else { chown(path, Some(NOBODY), Some(NOBODY)).expect("chown") }
    }
}
