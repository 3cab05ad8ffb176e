//! Odd names and odd subjects in every format, and the same data wherever it is read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::mailbox::{Mailbox, Run, skipped};

/// Base names as no program should make them.
const NAMES: [&[u8]; 12] = [
    b"new\nline",
    b"\n",
    b"tab\tand\rreturn",
    b"'single' \"double\" `back` $(reboot) $HOME ;&|",
    b"-rf",
    b"--help",
    b"-",
    b"*?[a-z]{1,2}~",
    b"latin \xfc\xff\x80\x9b",
    b"escape \x1b[31m\x07\x7f",
    "bidi \u{202e}\u{2066}\u{85}\u{9b}31m".as_bytes(),
    b"back\\slash\\n\\x2d",
];

/// Subjects, as they stand in the header, that hold what a line must not.
const SUBJECTS: [&str; 6] = [
    "folded\n over\n\tlines",
    "=?utf-8?q?new=0Aline=0D=0Aand_tab=09?=",
    "=?utf-8?b?G1szMW1yZWQbWzBtBw==?=",
    "=?utf-8?q?bidi_=E2=80=AE_C1_=C2=9B31m_NUL_=00?=",
    "raw \u{1b}]0;title\u{7} and \u{9b}1m",
    "-",
];

/// A mail of each name and subject; every second one is flagged.
fn odd() -> Mailbox {
    let mut mail = Mailbox::new();
    for (n, name) in NAMES.iter().enumerate() {
        let subject = SUBJECTS[n % SUBJECTS.len()];
        let text = format!("From: {subject} <a@x.org>\nSubject: {subject}\nMessage-ID: <{n}@x>\n\nx\n");
        let info: &[u8] = if n % 2 == 0 { b":2,F" } else { b":2," };
        mail = mail.message(OsStr::from_bytes(&[b"cur/", *name, info].concat()), text);
    }
    mail.run(["build"]).ok();
    mail
}

/// Paths of the mails that are on the disk.
fn paths(mail: &Mailbox, with: impl Fn(&OsStr) -> bool) -> BTreeSet<OsString> {
    mail.mails().into_iter().filter(|name| with(name)).map(|name| mail.file(name).into_os_string()).collect()
}

fn is_flagged(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b"F")
}

/// What stands between these ends, which are not kept.
fn records(run: &Run, end: u8) -> Vec<Vec<u8>> {
    let bytes = run.bytes();
    let bytes = bytes.strip_suffix(&[end]).expect("the last one ends, too");
    bytes.split(|byte| *byte == end).map(<[u8]>::to_vec).collect()
}

#[test]
fn every_format_has_one_record_a_mail() {
    let mail = odd();
    let count = NAMES.len();
    let lines = |arguments: &[&str]| records(&mail.run(arguments).ok().silent(), b'\n');
    let no_controls = |line: &[u8], but: &[u8]| {
        let is_control = |byte: &&u8| **byte < b' ' && !but.contains(byte);
        assert!(!line.iter().any(|byte| is_control(&byte)), "{:?}", String::from_utf8_lossy(line));
    };
    for arguments in [&["list"][..], &["list", "--threads"], &["list", "--sort", "subject"]] {
        let lines = lines(arguments);
        assert_eq!(lines.len(), count);
        for line in lines {
            no_controls(&line, b"\t");
            let fields = if arguments.contains(&"--threads") { 10 } else { 7 };
            assert_eq!(line.split(|byte| *byte == b'\t').count(), fields);
        }
    }
    let template = lines(&["list", "--format", "{uid} {subject} {from} {path} {base} {subject:.9}"]);
    assert_eq!(template.len(), count);
    for line in &template {
        no_controls(line, b"");
    }
    let with_nul = mail.run(["list", "-0", "--format", "{uid}\\n{base}\\t{subject}"]).ok().silent();
    assert_eq!(records(&with_nul, 0).len(), count);
    assert_eq!(lines(&["list", "--uids"]).len(), count);
    assert_eq!(lines(&["list", "--json"]).len(), count);
    let with_nul: BTreeSet<OsString> =
        records(&mail.run(["list", "--paths", "-0"]).ok().silent(), 0).into_iter().map(OsString::from_vec).collect();
    assert_eq!(with_nul, paths(&mail, |_| true));
    let bad = NAMES.iter().filter(|name| name.contains(&b'\n')).count();
    let without = mail.run(["list", "--paths"]).fails_with(4);
    assert_eq!(records(&without, b'\n').len(), count - bad, "a newline in a name needs -0");
    let changes = records(&mail.run(["changes", "--since", "0"]).ok().silent(), b'\n');
    assert_eq!(changes.len(), count + 1);
    for line in &changes {
        no_controls(line, b"\t");
    }
    assert_eq!(lines(&["changes", "--since", "0", "--json"]).len(), count + 1);
    let show = mail.run(["show", "1:*"]).ok().silent();
    assert_eq!(show.text().lines().filter(|line| line.starts_with("uid\t")).count(), count);
    mail.assert_sound();
}

#[test]
fn json_gives_the_bytes_back() {
    let mail = odd();
    for arguments in [&["list", "--json"][..], &["show", "1:*", "--json"]] {
        let mut found = BTreeSet::new();
        for record in mail.run(arguments).ok().silent().json() {
            let bytes = |key: &str| match record.get(format!("{key}_bytes")) {
                Some(encoded) => BASE64_STANDARD.decode(encoded.as_str().expect("text")).expect("base64"),
                None => record[key].as_str().expect("text").as_bytes().to_vec(),
            };
            let (path, base) = (bytes("path"), bytes("base"));
            assert!(NAMES.contains(&&*base), "{record}");
            assert!(
                path.ends_with(
                    &[b"/cur/", &*base, b":2,", record["flags"].as_str().expect("text").as_bytes()].concat()
                )
            );
            found.insert(OsString::from_vec(path));
        }
        assert_eq!(found, paths(&mail, |_| true));
    }
    mail.assert_sound();
}

#[test]
fn what_list_prints_flag_takes() {
    let mail = odd();
    for (listing, reading) in [
        (&["list", "-0", "--paths", "flagged"][..], &["flag", "+S", "-0", "-"][..]),
        (&["list", "-0", "--format", "{uid}", "flagged"], &["flag", "-S", "-0", "-"]),
        (&["list", "--uids", "flagged"], &["flag", "+S", "-"]),
    ] {
        let listed = mail.run(listing).ok().silent();
        let mut flag = mail.command(reading);
        let mut child = flag.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, &listed.bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), NAMES.len() / 2, "one line a mail");
        let sets = reading.contains(&"+S");
        for (n, name) in NAMES.iter().enumerate() {
            let info: &[u8] = match (n % 2 == 0, sets) {
                (true, true) => b":2,FS",
                (true, false) => b":2,F",
                (false, _) => b":2,",
            };
            let file = mail.file(OsStr::from_bytes(&[b"cur/", *name, info].concat()));
            assert!(file.is_file(), "{}: exactly these", file.display());
        }
    }
    assert_eq!(paths(&mail, is_flagged).len(), 0, "all of them are FS now");
    mail.assert_sound();
}

#[test]
fn a_terminal_gets_nothing_raw() {
    let mail = odd();
    for arguments in [
        &["list"][..],
        &["list", "--threads"],
        &["list", "--paths", "-0"],
        &["list", "--format", "{subject} {path} {from:20}"],
        &["show", "1:*"],
        &["stat"],
        &["changes", "--since", "0"],
        &["flag", "+R", "1:*"],
    ] {
        let Some(shown) = mail.on_terminal(100, "NO_COLOR=1", arguments) else { return };
        // A tab ends fields of `flag`, as in a pipe; NUL and newline end records.
        let is_raw = |c: char| (c.is_control() && !"\n\0\t".contains(c)) || matches!(c, '\u{202e}' | '\u{2066}');
        assert!(!shown.contains(is_raw), "{arguments:?}: {shown:?}");
        if arguments[0] == "list" && !arguments.contains(&"-0") {
            assert_eq!(shown.lines().count(), NAMES.len(), "{arguments:?}: {shown}");
        }
    }
    mail.assert_sound();
}

#[test]
fn data_is_the_same_wherever_it_is_read() {
    let mail = odd();
    mail.deliver("new/turkish", "Subject: =?utf-8?q?Re:_I=C4=B0=C4=B1i?=\nFrom: =?utf-8?q?=C4=B0?= <I@X.ORG>\nDate: Fri, 21 Nov 1997 23:55:06 -1100\n\n");
    mail.run(["build"]).ok();
    let environments: [&[(&str, &str)]; 4] = [
        &[("LC_ALL", "C")],
        &[("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")],
        &[("TZ", "Pacific/Kiritimati"), ("LC_ALL", "C.UTF-8")],
        &[("TZ", "America/Adak"), ("LANG", "ja_JP.EUC-JP"), ("COLUMNS", "20"), ("TERM", "dumb")],
    ];
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--paths", "-0"],
        &["list", "--threads", "--sort", "from"],
        &["list", "--sort", "subject"],
        &["list", "--format", "{date} {received} {subject:20} {path}"],
        &["list", "subject", "i\u{131}"],
        &["list", "from", "\u{130}"],
        &["count", "unseen"],
        &["show", "1:*"],
        &["show", "1:*", "--json"],
        &["cat", "1"],
        &["stat"],
        &["stat", "--json"],
        &["changes", "--since", "0"],
        &["check"],
    ] {
        let usual = mail.run(arguments).ok().bytes();
        for environment in environments {
            let mut bare = mail.command(arguments);
            bare.env_clear().envs(environment.iter().copied());
            mail.finish(&mut bare).ok().stdout(&usual);
        }
    }
    // What is in local time, and said to be: times that have a form of their own.
    let with_zone = |zone: &str| {
        let mut command = mail.command(["list", "--format", "{date:%d %H:%M}", "new"]);
        mail.finish(command.env("TZ", zone)).ok().text()
    };
    if !std::path::Path::new("/usr/share/zoneinfo/Pacific/Kiritimati").exists() {
        return skipped("local time in Kiritimati", "install tzdata");
    }
    assert_eq!((with_zone("UTC"), with_zone("Pacific/Kiritimati")), ("22 10:55\n".into(), "23 00:55\n".into()));
    mail.assert_sound();
}
