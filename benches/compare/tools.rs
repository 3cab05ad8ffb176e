//! maildex and its peers: what each is called for the same work. Each works on a folder of its own, whose files are hard
//! links to those of one sample.

mod peers;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use maildex::maildir::name::base_of;
use maildex::sample::Sample;

use crate::Result;
use crate::limits::{LIMIT, sorted_names};
use crate::measure::Cmd;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Build,
    RefreshNothing,
    RefreshOne,
    RefreshMany,
    RefreshRenamed,
    CountUnseen,
    ListUnseen,
    ListAll,
    ShowOne,
    FlagOne,
    FlagMany,
}

impl Work {
    /// In this order: who refreshes has built, and what is read or flagged was delivered before.
    pub const ALL: [Work; 11] = [
        Work::Build,
        Work::RefreshNothing,
        Work::RefreshOne,
        Work::RefreshMany,
        Work::RefreshRenamed,
        Work::CountUnseen,
        Work::ListUnseen,
        Work::ListAll,
        Work::ShowOne,
        Work::FlagOne,
        Work::FlagMany,
    ];

    pub fn key(self) -> &'static str {
        match self {
            Work::Build => "build",
            Work::RefreshNothing => "refresh-nothing",
            Work::RefreshOne => "refresh-1-delivered",
            Work::RefreshMany => "refresh-1000-delivered",
            Work::RefreshRenamed => "refresh-1-renamed",
            Work::CountUnseen => "count-unseen",
            Work::ListUnseen => "list-unseen",
            Work::ListAll => "list-all",
            Work::ShowOne => "show-1",
            Work::FlagOne => "flag-1",
            Work::FlagMany => "flag-10000",
        }
    }
}

/// What this folder's size makes of "many".
pub fn delivered(messages: u32) -> u32 {
    (messages / 10).clamp(1, 1000)
}

/// The same for flags.
pub fn flagged(messages: u32) -> u32 {
    (messages / 10).clamp(1, 10_000)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Limit,
    Maildex,
    Mblaze,
    Dovecot,
    Mairix,
    Neomutt,
    Notmuch,
    Mu,
}

impl Kind {
    /// The peers, quick ones first.
    pub const PEERS: [Kind; 6] = [Kind::Mblaze, Kind::Dovecot, Kind::Mairix, Kind::Neomutt, Kind::Notmuch, Kind::Mu];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Limit => "limit",
            Kind::Maildex => "maildex",
            Kind::Mblaze => "mblaze",
            Kind::Dovecot => "dovecot",
            Kind::Mairix => "mairix",
            Kind::Neomutt => "neomutt",
            Kind::Notmuch => "notmuch",
            Kind::Mu => "mu",
        }
    }

    /// The program that must be there, and the Debian package that has it.
    pub fn program(self) -> (&'static str, &'static str) {
        match self {
            Kind::Limit | Kind::Maildex => ("true", "coreutils"),
            Kind::Mblaze => ("mflag", "mblaze"),
            Kind::Dovecot => ("doveadm", "dovecot-core"),
            Kind::Mairix => ("mairix", "mairix"),
            Kind::Neomutt => ("neomutt", "neomutt"),
            Kind::Notmuch => ("notmuch", "notmuch"),
            Kind::Mu => ("mu", "maildir-utils"),
        }
    }

    pub fn is_installed(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(self.program().0).is_file())
    }

    /// Name and version, of the Debian package if there is one.
    pub fn version(self) -> String {
        let words = ["-W", "-f=${Version}", self.program().1];
        let output = Command::new("dpkg-query").args(words).output().ok().filter(|output| output.status.success());
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        format!("{} {version}", self.name()).trim_end().to_string()
    }
}

/// A tool and its folder.
pub struct Tool<'s> {
    pub kind: Kind,
    /// The program; of maildex the one to measure.
    program: String,
    /// For its files; the mail is in `Mail`.
    place: PathBuf,
    mail: PathBuf,
    sample: &'s Sample,
    messages: u32,
    /// The next message of the sample that was not delivered yet.
    next: u32,
    /// Whether the next flag is taken away again.
    flips: bool,
    /// The message whose flag changes: whatever names it.
    message: String,
}

impl<'s> Tool<'s> {
    /// With a folder of its own in `work`: all names of `source`, linked.
    pub fn new(
        kind: Kind,
        program: &Path,
        source: &Path,
        work: &Path,
        messages: u32,
        sample: &'s Sample,
    ) -> Result<Tool<'s>> {
        let place = work.join(kind.name());
        let mail = place.join("Mail");
        for sub in ["new", "cur", "tmp"] {
            fs::create_dir_all(mail.join(sub))?;
            for name in sorted_names(&source.join(sub))? {
                fs::hard_link(source.join(sub).join(&name), mail.join(sub).join(&name))?;
            }
        }
        let program = program.display().to_string();
        let (flips, message) = (false, String::new());
        let tool = Tool { kind, program, place, mail, sample, messages, next: messages, flips, message };
        tool.configure()?;
        Ok(tool)
    }

    pub fn mail(&self) -> &Path {
        &self.mail
    }

    fn path(&self, name: &str) -> String {
        self.place.join(name).display().to_string()
    }

    /// Writes the configuration, once.
    fn configure(&self) -> Result<()> {
        let (place, mail) = (self.place.display(), self.mail.display());
        let text = match self.kind {
            Kind::Mairix => format!("base={place}\nmaildir=Mail\nmformat=raw\nmfolder=found\ndatabase={place}/db\n"),
            Kind::Notmuch => format!(
                "[database]\npath={mail}\n[user]\nname=x\nprimary_email=x@example.org\n[new]\ntags=new\n[maildir]\nsynchronize_flags=true\n"
            ),
            Kind::Dovecot => format!(
                "base_dir={place}/run\nmail_location=maildir:{mail}\nssl=no\nprotocols=\nmail_always_cache_fields=flags \
                 hdr.subject hdr.from hdr.date date.sent date.received\nnamespace inbox {{\n inbox=yes\n}}\n"
            ),
            Kind::Neomutt => format!(
                "set header_cache={place}/hc folder={place} mbox_type=Maildir sort=mailbox-order mark_old=no quit=yes \
                 read_inc=0 net_inc=0 sleep_time=0 beep=no delete=no move=no\n"
            ),
            _ => return Ok(()),
        };
        Ok(fs::write(self.place.join("rc"), text)?)
    }

    /// Removes what it has made of the folder.
    fn forget(&self) -> Result<()> {
        let is_index = |name: &[u8]| match self.kind {
            Kind::Maildex => name.starts_with(b"maildex."),
            Kind::Dovecot => name.starts_with(b"dovecot"),
            Kind::Notmuch => name == b".notmuch",
            _ => false,
        };
        let names = fs::read_dir(&self.mail)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names: Vec<_> = names.collect::<std::io::Result<_>>()?;
        let found = names.iter().filter(|name| is_index(name.as_bytes())).map(|name| self.mail.join(name));
        for path in found.chain(["db", "hc", "mu"].map(|name| self.place.join(name))) {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path)?,
                Ok(_) => fs::remove_file(&path)?,
                Err(_) => {}
            }
        }
        if self.kind == Kind::Maildex {
            // A first build waits for the next second where an index may just have been removed, as one was here.
            let past = SystemTime::now() - Duration::from_hours(1);
            fs::File::open(&self.mail)?.set_modified(past)?;
        }
        if self.kind == Kind::Mu {
            let mail = format!("--maildir={}", self.mail.display());
            let home = format!("--muhome={}", self.path("mu"));
            Cmd::new(["mu", "init", &home, &mail, "--my-address=x@example.org"]).output()?;
        }
        Ok(())
    }

    /// Bytes of what it has made.
    pub fn index_bytes(&self) -> Result<u64> {
        let mut todo = match self.kind {
            Kind::Maildex | Kind::Dovecot | Kind::Notmuch => vec![self.mail.clone()],
            _ => ["db", "hc", "mu"].map(|name| self.place.join(name)).to_vec(),
        };
        let mut sum = 0;
        while let Some(path) = todo.pop() {
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if !meta.is_dir() {
                sum += meta.len();
                continue;
            }
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if path != self.mail || !["new", "cur", "tmp"].iter().any(|sub| entry.file_name() == *sub) {
                    todo.push(entry.path());
                }
            }
        }
        Ok(sum)
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        match self.kind {
            Kind::Notmuch => vec![("NOTMUCH_CONFIG", self.path("rc"))],
            Kind::Dovecot => vec![("HOME", self.path("")), ("USER", "x".into())],
            _ => Vec::new(),
        }
    }

    /// The limit of a build with an empty page cache: many requests at once.
    pub fn cold_heads(&self) -> Result<Cmd> {
        let own = std::env::current_exe()?.display().to_string();
        let cur = self.mail.join("cur").display().to_string();
        Ok(Cmd::new([&own, LIMIT, "heads", &cur, "16", "as-listed", "all"]))
    }

    /// Prepares a run and says what to run; `None` if it cannot do that work.
    pub fn step(&mut self, work: Work) -> Result<Option<Cmd>> {
        match work {
            Work::Build if self.kind != Kind::Limit => self.forget()?,
            Work::RefreshOne => self.deliver(1)?,
            Work::RefreshMany => self.deliver(delivered(self.messages))?,
            Work::RefreshRenamed => self.rename_one()?,
            _ => {}
        }
        let cmd = match self.kind {
            Kind::Limit => self.limit(work)?,
            Kind::Maildex => self.maildex(work)?,
            _ => self.peer(work)?,
        };
        Ok(cmd.map(|cmd| Cmd { env: self.env(), ..cmd }))
    }

    /// Does that work without measuring it.
    pub fn do_it(&mut self, work: Work) -> Result<()> {
        let cmd = if self.kind == Kind::Limit { None } else { self.step(work)? };
        cmd.map_or(Ok(()), |cmd| cmd.output().map(drop))
    }

    fn limit(&mut self, work: Work) -> Result<Option<Cmd>> {
        let own = std::env::current_exe()?.display().to_string();
        let limit = |words: &[&str]| Cmd::new([own.as_str(), LIMIT].into_iter().chain(words.iter().copied()));
        let cores = std::thread::available_parallelism()?.to_string();
        let mail = self.mail.display().to_string();
        let (new, cur) = (format!("{mail}/new"), format!("{mail}/cur"));
        let column = self.path("column");
        if fs::metadata(&column).is_err() {
            fs::write(&column, vec![0; self.messages as usize * 8])?;
        }
        // About the share of unseen mail in the sample.
        let unseen = (self.messages / 7).to_string();
        Ok(Some(match work {
            Work::Build => limit(&["heads", &cur, &cores, "as-listed", "all"]),
            Work::RefreshNothing => limit(&["stamps", &mail]),
            Work::RefreshOne => limit(&["heads", &new, "1", "as-listed", "1"]),
            Work::RefreshMany => limit(&["heads", &new, "1", "as-listed", &delivered(self.messages).to_string()]),
            Work::RefreshRenamed => limit(&["names", &cur]),
            Work::CountUnseen => limit(&["words", &column]),
            Work::ListUnseen => limit(&["words-lines", &column, &unseen]),
            Work::ListAll => limit(&["lines", &self.messages.to_string()]),
            Work::ShowOne => limit(&["nothing"]),
            Work::FlagOne => {
                let from = self.toggled_name()?;
                limit(&["rename", &cur, &from, &self.message])
            }
            Work::FlagMany => {
                let names = self.pick(flagged(self.messages), false)?;
                let lines = lines(names.iter().map(|name| format!("{name}\t{}", toggled(name))));
                let list = self.path("list");
                fs::write(&list, lines)?;
                limit(&["renames", &cur]).reading(list)
            }
        }))
    }

    fn maildex(&mut self, work: Work) -> Result<Option<Cmd>> {
        let mail = self.mail.display().to_string();
        let maildex = |words: &[&str]| Cmd::new([self.program.as_str()].into_iter().chain(words.iter().copied()));
        Ok(Some(match work {
            Work::Build | Work::RefreshNothing | Work::RefreshOne | Work::RefreshMany | Work::RefreshRenamed => {
                maildex(&["build", &mail, "--quiet"])
            }
            Work::CountUnseen => maildex(&["count", &mail, "unseen"]),
            Work::ListUnseen => maildex(&["list", &mail, "--paths", "unseen"]),
            Work::ListAll => maildex(&["list", &mail]),
            Work::ShowOne => maildex(&["show", &mail, &(self.messages / 2).to_string()]),
            Work::FlagOne => {
                self.flips = !self.flips;
                let uid = (self.messages / 2).to_string();
                maildex(&["flag", &mail, if self.flips { "+F" } else { "-F" }, &uid])
            }
            Work::FlagMany => {
                let all = maildex(&["list", &mail, "--format", "{uid}\\t{path}", "unflagged"]).output()?;
                // The sample has names of all kinds, also such that have no place for a flag.
                let can_be =
                    all.lines().filter_map(|line| line.split_once('\t')).filter(|(_, path)| flags_of(path).is_some());
                let uids = lines(can_be.map(|(uid, _)| uid.to_string()));
                let list = self.path("list");
                fs::write(&list, lines(spread(&uids, flagged(self.messages)).into_iter()))?;
                maildex(&["flag", &mail, "+F", "-"]).reading(list)
            }
        }))
    }

    /// Writes further messages of the sample to `new/`.
    fn deliver(&mut self, count: u32) -> Result<()> {
        for number in self.next..self.next + count {
            let mail = self.sample.mail(number);
            let base = OsStr::from_bytes(base_of(&mail.name));
            let tmp = self.mail.join("tmp").join(base);
            fs::write(&tmp, &mail.text)?;
            fs::rename(tmp, self.mail.join("new").join(base))?;
        }
        self.next += count;
        Ok(())
    }

    /// As another program that changes a flag.
    fn rename_one(&mut self) -> Result<()> {
        let name = self.pick(1, false)?.concat();
        let cur = self.mail.join("cur");
        Ok(fs::rename(cur.join(&name), cur.join(toggled(&name)))?)
    }

    /// The present name in `cur/` of the message whose flag changes to and fro; [`Tool::message`] becomes the next one.
    fn toggled_name(&mut self) -> Result<String> {
        if self.message.is_empty() {
            self.message = self.pick(1, false)?.concat();
        }
        self.flips = !self.flips;
        let next = toggled(&self.message);
        Ok(std::mem::replace(&mut self.message, next))
    }

    /// Names in `cur/` with or without the flag F, evenly spread.
    fn pick(&self, count: u32, with: bool) -> Result<Vec<String>> {
        let names = sorted_names(&self.mail.join("cur"))?;
        let names = names.into_iter().map(OsString::into_vec).filter_map(|name| String::from_utf8(name).ok());
        let fits = |name: &String| flags_of(name).is_some_and(|flags| flags.contains('F') == with);
        Ok(spread(&names.filter(fits).collect::<Vec<_>>().join("\n"), count))
    }

    fn pick_paths(&self) -> Result<String> {
        let cur = self.mail.join("cur");
        let names = self.pick(flagged(self.messages), false)?;
        Ok(lines(names.iter().map(|name| cur.join(name).display().to_string())))
    }
}

/// Lines of a text, evenly spread.
fn spread(text: &str, count: u32) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let count = (count as usize).min(lines.len());
    (0..count).map(|at| lines[(2 * at + 1) * lines.len() / (2 * count)].to_string()).collect()
}

/// Each with its end.
fn lines(all: impl Iterator<Item = String>) -> String {
    all.fold(String::new(), |text, line| text + &line + "\n")
}

fn flags_of(name: &str) -> Option<&str> {
    name.rsplit_once(":2,").map(|(_, flags)| flags).filter(|flags| flags.bytes().all(|flag| flag.is_ascii_uppercase()))
}

/// The name with the flag F the other way.
fn toggled(name: &str) -> String {
    let (base, flags) = name.rsplit_once(":2,").expect("it was picked for that");
    let has_flag = flags.contains('F');
    let mut flags: Vec<_> = flags.chars().filter(|&flag| flag != 'F').chain((!has_flag).then_some('F')).collect();
    flags.sort_unstable();
    format!("{base}:2,{}", flags.into_iter().collect::<String>())
}
