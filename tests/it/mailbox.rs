//! A Maildir in a temporary directory, and maildex run on it. When something is not as expected, everything that a
//! reader needs is in the panic: command, status, stdout, stderr, and the files of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::tally;

/// The program under test.
pub fn maildex() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("maildex").to_path_buf()
}

/// A Maildir of its own for each test; removed on drop.
pub struct Mailbox {
    temp: tempfile::TempDir,
}

/// A short mail.
pub fn mail(subject: &str) -> String {
    format!(
        "From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: {subject}\nDate: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <{}@example.org>\n\nhello\n",
        subject.replace(' ', ".")
    )
}

impl Mailbox {
    /// An empty Maildir.
    pub fn new() -> Mailbox {
        Mailbox::in_directory(&std::env::temp_dir())
    }

    /// An empty Maildir in memory, where there is one, for tests that make thousands. What a kill leaves is the same.
    pub fn in_memory() -> Mailbox {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Mailbox::in_directory(memory) } else { Mailbox::new() }
    }

    /// An empty Maildir in a directory.
    pub fn in_directory(directory: &Path) -> Mailbox {
        skips(); // forgets those of an earlier run
        tally::begin();
        let mailbox = Mailbox { temp: tempfile::tempdir_in(directory).expect("a temporary directory") };
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(mailbox.path().join(sub)).expect("make the Maildir");
        }
        mailbox.age();
        mailbox
    }

    /// Makes the folder look as if nothing had happened in it for a while. (A first build waits until the second in
    /// which the folder changed has passed.)
    fn age(&self) {
        let past = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        let folder = fs::File::open(self.path()).expect("open the folder");
        folder.set_times(fs::FileTimes::new().set_modified(past)).expect("set the folder's mtime");
    }

    /// With one more mail; `name` is `cur/1:2,S`.
    pub fn message(self, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>) -> Mailbox {
        self.deliver(name, text);
        self
    }

    /// With so many mails, `cur/1.host:2,` and on, with the subjects `mail 1` and on.
    pub fn messages(self, count: usize) -> Mailbox {
        (1..=count).fold(self, |mailbox, n| mailbox.message(format!("cur/{n}.host:2,"), mail(&format!("mail {n}"))))
    }

    /// The folder.
    pub fn path(&self) -> PathBuf {
        self.temp.path().join("inbox")
    }

    /// A path in the folder.
    pub fn file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(name.as_ref())
    }

    /// Puts a mail there, whole, as a delivery agent does.
    pub fn deliver(&self, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>) {
        let unfinished = self.file("tmp/unfinished");
        fs::write(&unfinished, text).expect("write the mail");
        fs::rename(unfinished, self.file(name)).expect("deliver the mail");
    }

    /// Renames a mail, as another program does.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
        fs::rename(self.file(from), self.file(to)).expect("rename the mail");
    }

    /// Removes a mail, as another program does.
    pub fn remove(&self, name: impl AsRef<OsStr>) {
        fs::remove_file(self.file(name)).expect("remove the mail");
    }

    /// The command line that runs a verb on the folder: `["list", "unseen"]` is `maildex list FOLDER unseen`, and
    /// `["uids", "export", "-"]` is `maildex uids export FOLDER -`. Replicas have their repositories beside it.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut arguments = arguments.into_iter().peekable();
        let mut command = Command::new(maildex());
        command.env_remove("MAILDEX_KILL_AT").env("TZ", "UTC").env("XDG_STATE_HOME", self.temp.path());
        let has_two_words = |verb: &A| ["uids", "sync", "lock"].iter().any(|known| verb.as_ref() == *known);
        let words = if arguments.peek().is_some_and(has_two_words) { 2 } else { 1 };
        command.args(arguments.by_ref().take(words)).arg(self.path()).args(arguments);
        command
    }

    /// Runs a verb on the folder; [`Run::ok`] or [`Run::fails_with`] must follow.
    #[must_use = "ok() or fails_with() must follow"]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a verb so that permissions count, also where root runs the tests. `None`, said loudly, if that cannot be.
    pub fn run_unprivileged<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Option<Run> {
        let mut command = self.command(arguments);
        if rustix::process::geteuid().is_root() {
            if !installed("setpriv") {
                eprintln!("SKIPPED: root passes over permissions, and setpriv is not installed");
                return None;
            }
            let mut bare = Command::new("setpriv");
            bare.arg("--bounding-set=-dac_override,-dac_read_search").arg(maildex()).args(command.get_args());
            command = bare;
        }
        Some(self.finish(&mut command))
    }

    /// Runs any command to its end.
    #[must_use = "ok() or fails_with() must follow"]
    pub fn finish(&self, command: &mut Command) -> Run {
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        self.ended(command, output)
    }

    /// A command that was run in another way.
    pub fn ended(&self, command: &Command, output: Output) -> Run {
        Run { command: format!("{command:?}"), output, files: self.tree() }
    }

    /// What a terminal of this width is sent by a verb that ends well, with settings for its environment (`NO_COLOR=1`);
    /// `None`, said loudly, where there is no `script` to make a terminal.
    #[track_caller]
    pub fn on_terminal<A: AsRef<OsStr>>(
        &self,
        width: usize,
        settings: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Option<String> {
        if !installed("script") {
            skipped("what a terminal is sent", "install bsdutils");
            return None;
        }
        let command = self.command(arguments);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted = |word: &OsStr| format!("'{}'", word.to_str().expect("a path in UTF-8").replace('\'', r"'\''"));
        let words: Vec<_> = words.map(quoted).collect();
        let settings = format!("TZ=UTC LC_ALL=C.UTF-8 TERM=xterm {settings}");
        let line = format!("stty cols {width} -onlcr && {settings} {}", words.join(" "));
        Some(self.finish(Command::new("script").args(["-qec", &line, "/dev/null"])).ok().text())
    }

    /// Waits until new/ and cur/ have been left alone for so long that their stamps count, and takes these up. What is
    /// waited for is read, not guessed.
    #[track_caller]
    pub fn settle(&self) {
        self.settle_with(&mut |arguments| self.run(arguments));
    }

    /// The same with another way to run maildex.
    #[track_caller]
    pub fn settle_with(&self, run: &mut dyn FnMut([&'static str; 1]) -> Run) {
        let is_old = |sub: &str| {
            let meta = fs::metadata(self.file(sub)).expect("stat");
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
            meta.ctime().max(meta.mtime()) + 3 < now
        };
        while !(is_old("cur") && is_old("new")) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = run(["build"]);
    }

    /// Makes the stamps count that the last build has recorded, as they would have two seconds later.
    #[track_caller]
    pub fn trust_stamps(&self) {
        self.set_settled(1);
    }

    /// Makes them not count, however slow the machine was.
    #[track_caller]
    pub fn distrust_stamps(&self) {
        self.set_settled(0);
    }

    #[track_caller]
    fn set_settled(&self, settled: u64) {
        self.edit("maildex.offsets", |bytes| {
            // See `src/format/header.rs`: six words, the last of them `settled`, and their CRC.
            for at in [192, 256] {
                let crc = |bytes: &[u8]| u64::from(crc32c::crc32c(&bytes[at..at + 48])).to_le_bytes();
                assert_eq!(bytes[at + 48..at + 56], crc(bytes), "a stamp was recorded");
                bytes[at + 40..at + 48].copy_from_slice(&settled.to_le_bytes());
                let crc = crc(bytes);
                bytes[at + 48..at + 56].copy_from_slice(&crc);
            }
        });
    }

    /// Puts our files back as they were, and nothing else. Each gets the birth of the file that it is in now, if it had
    /// one: else it would be a copy.
    pub fn put_back<N: AsRef<str>, B: AsRef<[u8]>>(&self, files: &[(N, B)]) {
        for name in self.own_files().into_keys() {
            if !files.iter().any(|(kept, _)| kept.as_ref() == name) {
                self.remove(name);
            }
        }
        for (name, bytes) in files {
            fs::write(self.file(name.as_ref()), bytes).expect("put our file back");
        }
        for name in self.own_files().into_keys() {
            let at = if name == "maildex.offsets" { 320 } else { 72 }; // see `src/format/header.rs`
            let Ok(born) = fs::metadata(self.file(&name)).and_then(|meta| meta.created()) else { return };
            let born = born.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
            self.edit(&name, |bytes| {
                let crc = |bytes: &[u8]| u64::from(crc32c::crc32c(bytes)).to_le_bytes();
                if bytes.len() >= at + 16 && bytes[at + 8..at + 16] == crc(&bytes[at..at + 8]) {
                    bytes[at..at + 8].copy_from_slice(&born.to_le_bytes());
                    let crc = crc(&born.to_le_bytes());
                    bytes[at + 8..at + 16].copy_from_slice(&crc);
                }
            });
        }
    }

    /// Names in new/ and cur/, with the directory.
    pub fn mails(&self) -> BTreeSet<OsString> {
        ["new", "cur"]
            .into_iter()
            .flat_map(|sub| {
                let entries = fs::read_dir(self.path().join(sub)).into_iter().flatten();
                entries.map(move |entry| {
                    let name = entry.expect("read the directory").file_name();
                    OsString::from_vec([sub.as_bytes(), b"/", name.as_bytes()].concat())
                })
            })
            .collect()
    }

    /// Our own files with their contents, the lockfile among them.
    pub fn own_files(&self) -> BTreeMap<String, Vec<u8>> {
        let names =
            fs::read_dir(self.path()).expect("read the folder").map(|entry| entry.expect("an entry").file_name());
        let ours = names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("maildex."));
        ours.map(|name| (name.clone(), fs::read(self.file(&name)).expect("read our file"))).collect()
    }

    /// Changes bytes of a file of ours in place, as a failing disk does; `edit` gets all of them.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).expect("read the file");
        edit(&mut bytes);
        fs::write(self.file(name), bytes).expect("write the file");
    }

    /// The folder holds exactly these mails.
    #[track_caller]
    pub fn assert_files<N: AsRef<OsStr>>(&self, expected: impl IntoIterator<Item = N>) {
        let expected: BTreeSet<OsString> = expected.into_iter().map(|name| name.as_ref().to_os_string()).collect();
        assert_eq!(self.mails(), expected);
    }

    /// The index has no damage; how every test of a verb ends.
    #[track_caller]
    pub fn assert_sound(&self) {
        self.run(["check"]).ok();
    }

    /// UID and path in the folder of every message, as `list --json` has them.
    #[track_caller]
    pub fn listed(&self) -> Vec<(u64, String)> {
        self.listed_by(&self.run(["list", "--json"]).ok())
    }

    /// The same of a `list --json` that was run already.
    #[track_caller]
    pub fn listed_by(&self, run: &Run) -> Vec<(u64, String)> {
        let prefix = format!("{}/", self.path().display());
        let path = |record: &serde_json::Value| {
            record["path"].as_str().expect("a path").strip_prefix(&prefix).expect("in the folder").to_string()
        };
        run.json().iter().map(|record| (record["uid"].as_u64().expect("a UID"), path(record))).collect()
    }

    /// The folder has exactly these messages, by UID and path.
    #[track_caller]
    pub fn assert_listed(&self, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|&(uid, path)| (uid, path.to_string())).collect();
        assert_eq!(self.listed(), expected);
    }

    fn tree(&self) -> String {
        let mut lines = String::new();
        let mut todo = vec![self.path()];
        while let Some(directory) = todo.pop() {
            let mut entries: Vec<_> = fs::read_dir(&directory).into_iter().flatten().flatten().collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries.iter().take(50) {
                let kind = entry.metadata().map_or_else(|_| "?".into(), |meta| meta.len().to_string());
                let _ = writeln!(lines, "    {} ({kind})", entry.path().to_string_lossy().escape_debug());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(entry.path());
                }
            }
            if entries.len() > 50 {
                let _ = writeln!(lines, "    ... and {} more", entries.len() - 50);
            }
        }
        lines
    }
}

/// A command that has ended.
pub struct Run {
    command: String,
    output: Output,
    files: String,
}

impl Run {
    /// It ended with 0.
    #[track_caller]
    pub fn ok(self) -> Run {
        self.fails_with(0)
    }

    /// It ended with this status.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Run {
        self.expect(self.output.status.code() == Some(code), &format!("exit status {code}"));
        self
    }

    /// Exit status; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// stdout is exactly this.
    #[track_caller]
    pub fn stdout(self, expected: impl AsRef<[u8]>) -> Run {
        let expected = expected.as_ref();
        self.expect(self.output.stdout == expected, &format!("stdout {:?}", String::from_utf8_lossy(expected)));
        self
    }

    /// stdout has this somewhere.
    #[track_caller]
    pub fn stdout_has(self, text: &str) -> Run {
        self.expect(self.text().contains(text), &format!("{text:?} in stdout"));
        self
    }

    /// stderr is empty.
    #[track_caller]
    pub fn silent(self) -> Run {
        self.expect(self.output.stderr.is_empty(), "nothing on stderr");
        self
    }

    /// stderr has this somewhere.
    #[track_caller]
    pub fn stderr_has(self, text: &str) -> Run {
        self.stderr_shows(text);
        self
    }

    /// The same, for a run that is looked at again.
    #[track_caller]
    pub fn stderr_shows(&self, text: &str) {
        self.expect(self.errors().contains(text), &format!("{text:?} in stderr"));
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// stdout as it is.
    pub fn bytes(&self) -> Vec<u8> {
        self.output.stdout.clone()
    }

    /// stderr as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// stdout, line by line, as JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self}"));
        self.text().lines().map(parse).collect()
    }

    #[track_caller]
    fn expect(&self, holds: bool, what: &str) {
        assert!(holds, "expected {what}\n{self}");
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        write!(
            f,
            "command: {}\n{}\nstdout: {}\nstderr: {}\nfiles:\n{}",
            self.command,
            self.output.status,
            show(&self.output.stdout),
            show(&self.output.stderr),
            self.files
        )
    }
}

/// Says that something was not tested, and how to have it tested; fails instead where `MAILDEX_NO_SKIP` is set (CI).
///
/// libtest has no "skipped" and hides what a passing test prints. So this goes around it, to the real stderr, and into
/// the file `skipped` in Cargo's `target/tmp`, which whoever runs the tests can print at the end.
pub fn skipped(what: &str, how: &str) {
    let line = format!("SKIPPED: {what}; to have it tested: {how}\n");
    assert!(std::env::var_os("MAILDEX_NO_SKIP").is_none_or(|value| value.is_empty()), "MAILDEX_NO_SKIP is set. {line}");
    note_skip(&line);
}

/// The same for what the machine does not allow, which no package can change; so it is no failure anywhere.
pub fn forbidden(what: &str, how: &str) {
    note_skip(&format!("SKIPPED, not allowed here: {what}; to have it tested: {how}\n"));
}

fn note_skip(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
    let file = fs::OpenOptions::new().create(true).append(true).open(skips());
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("note what was skipped");
}

/// Whether tests that can go on for long are to do so, at full size (`MAILDEX_LONG=1`).
pub fn long() -> bool {
    std::env::var_os("MAILDEX_LONG").is_some_and(|value| value == "1")
}

/// Prints figures of a test that passed: past libtest, which would hide them. What the table of docs/reliability.md is to
/// count is added to it with [`tally::Tally::add`].
pub fn figures(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The list of what was skipped in this run; that of an earlier one is removed.
fn skips() -> &'static Path {
    static LIST: OnceLock<PathBuf> = OnceLock::new();
    LIST.get_or_init(|| {
        let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
        let _ = fs::remove_file(&list);
        list
    })
}

/// Whether a program is installed. A test that needs one says loudly when it is skipped.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
}
