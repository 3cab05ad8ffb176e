//! `maildex demo`: the tour, what it prints to be pasted, and what a second run touches. The sample itself: sample.rs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::mailbox::{Mailbox, installed, maildex, skipped};

/// An empty directory to work in; in memory, where there is some.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Place(place.expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a command there; status, stdout and stderr.
    fn run(&self, command: &mut Command) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } =
            command.current_dir(self.path()).env("TZ", "UTC").output().expect("run it");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (status.code(), text(&stdout), text(&stderr))
    }

    fn demo(&self, arguments: &[&OsStr]) -> (Option<i32>, String, String) {
        self.run(Command::new(maildex()).arg("demo").args(arguments))
    }

    /// The same, which must go well, without a word on stderr.
    #[track_caller]
    fn shown(&self, arguments: &[&str]) -> String {
        let (code, shown, errors) = self.demo(&arguments.iter().map(OsStr::new).collect::<Vec<_>>());
        assert!(code == Some(0) && errors.is_empty(), "{code:?}\n{shown}\n{errors}");
        shown
    }

    fn count(&self, folder: &str) -> String {
        let (code, count, errors) = self.run(Command::new(maildex()).args(["count", folder]));
        assert_eq!(code, Some(0), "{errors}");
        count.trim().to_string()
    }

    /// Names and contents of all mail.
    fn mails(&self, folder: &str) -> Vec<(OsString, Vec<u8>)> {
        self.files(folder, &["new", "cur"])
    }

    /// Names and contents of all files in these directories of a folder.
    fn files(&self, folder: &str, subs: &[&str]) -> Vec<(OsString, Vec<u8>)> {
        let mut files = Vec::new();
        for sub in subs {
            let entries =
                fs::read_dir(self.path().join(folder).join(sub)).expect("list").map(|entry| entry.expect("one"));
            let entries = entries.filter(|entry| entry.path().is_file());
            files.extend(entries.map(|entry| (entry.file_name(), fs::read(entry.path()).expect("read"))));
        }
        files.sort();
        files
    }
}

/// The lines that are to be pasted.
fn commands(shown: &str) -> Vec<&str> {
    let (_, to_paste) = shown.split_once("\nNow you.").expect("the end of the tour");
    to_paste.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

#[test]
fn the_tour_shows_what_is_true() {
    let place = Place::new();
    let shown = place.shown(&["--messages", "700"]);
    for text in [
        "700 made-up messages in maildex-demo (",
        "\n1. The index is made",
        "   700 messages, 700 added (",
        "\n2. ",
        " of 700 have not been read (",
        "\n3. ",
        "saw no flag before and F after it,",
        "\n4. ",
        "   of 700, and went on from there afterwards.",
        "\n5. ",
        "   700 of 700 messages have the UID that they had.",
    ] {
        assert!(shown.contains(text), "{text:?} in\n{shown}");
    }
    let list = |query: &[&str]| {
        let (code, listed, errors) = place.run(Command::new(maildex()).args(["list", "maildex-demo"]).args(query));
        assert!(code == Some(0) && errors.is_empty(), "{errors}");
        listed
    };
    // Five lines of the newest, and the last one is the one that was flagged.
    let rows: Vec<&str> = shown.lines().filter(|line| line.contains("  2023-11 ")).collect();
    let newest = list(&["unseen", "--sort", "date", "--last", "5"]);
    let first = |line: &str| line.split_whitespace().next().map(String::from);
    assert_eq!(rows.iter().copied().map(first).collect::<Vec<_>>(), newest.lines().map(first).collect::<Vec<_>>());
    let uid = first(rows[4]).expect("a UID");
    assert!(shown.contains(&format!("marked UID {uid} as flagged")), "{shown}");
    assert_eq!(list(&["--sort", "uid", &uid]).split('\t').nth(2), Some("F"));
    let unseen = list(&["unseen"]).lines().count();
    assert!(shown.contains(&format!("   {unseen} of 700 have")), "{shown}");
    // Plain in a pipe, and no wider than a page; commands have the length that paths give them.
    for line in shown.lines().filter(|line| !line.starts_with("    ") || line.contains(" 2023-")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert_eq!(place.run(Command::new(maildex()).args(["check", "maildex-demo"])).0, Some(0));
    assert_eq!(fs::read_dir(place.path()).expect("list").count(), 1, "nothing but the folder");
}

#[test]
fn each_command_that_is_printed_works_when_pasted() {
    let odd: [&[u8]; 5] = [b"plain", b"with 'quotes' & $HOME \"x\"", b"-x", b"a\nb\n", b"Gr\xfc\xdfe \x1b[31m"];
    for name in odd {
        let place = Place::new();
        let name = OsStr::from_bytes(name);
        let dashes = OsStr::new("--");
        let (code, shown, errors) = place.demo(&["--messages".as_ref(), "60".as_ref(), dashes, name]);
        assert!(code == Some(0) && errors.is_empty(), "{}: {errors}", name.display());
        let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{fffd}';
        assert!(!shown.lines().any(|line| line.starts_with("    ") && line.contains(is_raw)), "{shown:?}");
        let commands = commands(&shown);
        assert!(commands.len() >= 8, "{shown}");
        for command in &commands {
            assert!(place.path().join(name).is_dir(), "{command}: it is gone already");
            let (code, printed, errors) = place.run(Command::new("sh").args(["-c", command]));
            assert!(code == Some(0) && errors.is_empty(), "{command}: {code:?}\n{printed}\n{errors}");
            assert!(!printed.is_empty() || command.starts_with("rm "), "{command}");
        }
        assert!(!place.path().join(name).exists(), "the last one removes it: {commands:?}");
    }
}

#[test]
fn the_program_is_named_as_the_shell_finds_it() {
    let place = Place::new();
    let bin = maildex().parent().expect("it has one").to_path_buf();
    std::os::unix::fs::symlink(maildex(), place.path().join("a tool")).expect("a symlink");
    let demo = |program: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("PATH='{}':\"$PATH\"; {program} demo d --messages 9", bin.display())]);
        let (code, shown, errors) = place.run(&mut sh);
        assert_eq!(code, Some(0), "{errors}");
        commands(&shown)[0].to_string()
    };
    assert!(demo("maildex").starts_with("maildex list d "));
    assert!(demo("'./a tool'").starts_with("'./a tool' list d "));
}

#[test]
fn it_can_be_run_again_with_other_sizes() {
    let place = Place::new();
    place.shown(&["d", "--messages", "100"]);
    let first = place.mails("d");
    fs::write(place.path().join("other"), "not of the demo").expect("write");
    let again = place.shown(&["d", "--messages", "100"]);
    assert!(again.starts_with("100 made-up messages in d, 100 of them from before ("), "{again}");
    assert_eq!(place.mails("d"), first, "the flag is set again, and nothing else");
    assert!(place.shown(&["d", "--messages", "40"]).contains("40 of 40 messages have"));
    assert_eq!(place.count("d"), "40");
    place.shown(&["d", "--messages", "1"]);
    place.shown(&["d", "--messages", "100"]);
    assert_eq!(place.count("d"), "100");
    assert_eq!(fs::read(place.path().join("other")).expect("read"), b"not of the demo");
}

#[test]
fn what_it_did_not_make_is_never_touched() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    let before = mail.own_files();
    let refused =
        mail.run(["demo"]).fails_with(3).stdout("").stderr_has("it is not empty, and maildex demo did not make it");
    refused.stderr_shows("hint: nothing was changed; name another directory: maildex demo DIR");
    assert_eq!(mail.own_files(), before);
    mail.assert_files(["cur/1.host:2,", "cur/2.host:2,", "cur/3.host:2,"]);
    let place = Place::new();
    place.shown(&["d", "--messages", "50"]);
    fs::write(place.path().join("d/new/1.mine"), "Subject: mine\n\n").expect("write");
    let before = place.files("d", &["", "new", "cur"]);
    let (code, shown, errors) = place.demo(&["d".as_ref()]);
    assert_eq!((code, shown.as_str()), (Some(3), ""), "{errors}");
    assert!(errors.contains("d/new/1.mine: it is not what maildex demo made"), "{errors}");
    assert!(place.files("d", &["", "new", "cur"]) == before);
}

#[test]
fn who_works_in_it_is_named_and_waited_for() {
    let place = Place::new();
    place.shown(&["d", "--messages", "30"]);
    let folder = maildex::folder::Folder::open(&place.path().join("d")).expect("open");
    let lock = folder.lock("a test", maildex::lock::Wait::Forever, &mut |_| ()).expect("lock");
    let (code, shown, errors) = place.demo(&["d".as_ref(), "--wait".as_ref(), "0".as_ref()]);
    assert_eq!((code, shown.as_str()), (Some(75), ""), "{errors}");
    assert!(errors.contains("a test") && errors.contains("--wait"), "{errors}");
    assert_eq!(place.mails("d").len(), 30);
    lock.release().expect("release");
    place.shown(&["d", "--messages", "20"]);
}

#[test]
fn wrong_arguments_are_told() {
    let place = Place::new();
    for wrong in ["0", "1000001", "-1", "many", "5000000000"] {
        let (code, _, errors) = place.demo(&["--messages".as_ref(), wrong.as_ref()]);
        assert_eq!(code, Some(2), "{wrong}: {errors}");
    }
    fs::write(place.path().join("file"), "x").expect("write");
    for path in ["file", "file/d", "no/such/d"] {
        let (code, shown, errors) = place.demo(&[path.as_ref()]);
        assert_eq!((code, shown.as_str()), (Some(3), ""), "{errors}");
        assert!(errors.starts_with(&format!("maildex: {path}: cannot ")), "{errors}");
    }
    assert_eq!(fs::read_dir(place.path()).expect("list").count(), 1);
}

#[test]
fn a_killed_one_is_made_whole_by_the_next() {
    let undisturbed = Place::new();
    undisturbed.shown(&["d", "--messages", "1000"]);
    for least in [0, 1, 300, 900] {
        let place = Place::new();
        let mut command = Command::new(maildex());
        command.args(["demo", "d", "--messages", "1000"]).current_dir(place.path()).stdout(Stdio::null());
        let mut child = command.spawn().expect("run it");
        let written = || fs::read_dir(place.path().join("d/cur")).map_or(0, Iterator::count);
        while written() < least && child.try_wait().expect("wait").is_none() {
            std::thread::yield_now();
        }
        // Wherever it is by now.
        let _ = child.kill();
        child.wait().expect("wait");
        assert!(place.shown(&["d", "--messages", "1000"]).contains("1000 of 1000 messages have"));
        assert!(place.mails("d") == undisturbed.mails("d"), "killed with {least} written");
        assert_eq!(place.run(Command::new(maildex()).args(["check", "d"])).0, Some(0));
    }
}

#[test]
fn on_a_terminal_it_fits_and_sends_nothing_raw() {
    if !installed("script") {
        skipped("the demo on a terminal", "install util-linux's script (bsdutils)");
        return;
    }
    let place = Place::new();
    let line = format!("stty cols 80 -onlcr && NO_COLOR=1 '{}' demo d --messages 300 -q", maildex().display());
    let (code, shown, _) = place.run(Command::new("script").args(["-qec", &line, "/dev/null"]));
    assert_eq!(code, Some(0), "{shown}");
    let is_command = |line: &&str| line.starts_with("    ") && line.contains(" d ");
    for line in shown.lines().filter(|line| !is_command(line)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
}
