//! `maildex dump`: every field of both files with its offset, whatever state they are in.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::mailbox::{Mailbox, Run, mail, maildex};

const FILES: [&str; 2] = ["maildex.offsets", "maildex.index.1"];

fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail
}

/// A line of the dump.
struct Line {
    file: String,
    at: u64,
    len: u64,
    part: String,
    field: String,
    value: String,
    damage: String,
}

#[track_caller]
fn lines(run: &Run) -> Vec<Line> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, at, len, part, field, value, damage] = fields[..] else { panic!("not 7 columns: {line}") };
        let text = |text: &str| text.to_string();
        Line {
            file: text(file),
            at: at.parse().expect("an offset"),
            len: len.parse().expect("a length"),
            part: text(part),
            field: text(field),
            value: text(value),
            damage: text(damage),
        }
    };
    run.text().lines().map(line).collect()
}

#[track_caller]
fn dumped(mail: &Mailbox, arguments: &[&str]) -> Vec<Line> {
    let before = mail.own_files();
    let run = mail.run([&["dump"], arguments].concat()).ok().silent();
    assert_eq!(mail.own_files(), before);
    lines(&run)
}

/// The lines of a file, each behind the one before.
#[track_caller]
fn assert_whole(lines: &[Line], file: &str, part: &str, from: u64, to: u64) {
    let mut places: Vec<_> =
        lines.iter().filter(|l| l.file == file && l.part.starts_with(part)).map(|l| (l.at, l.len)).collect();
    places.sort_unstable();
    let mut at = from;
    for (begin, len) in places {
        assert_eq!(begin, at, "{file}: a hole, or twice the same");
        at += len;
    }
    assert!(to - at < 8, "{file}: {part} ends at {at}, expected {to}");
}

#[test]
fn every_byte_of_the_headers_and_of_entries_is_shown_once() {
    let mail = indexed();
    let lines = dumped(&mail, &[]);
    assert!(lines.iter().all(|line| line.damage == "-"), "nothing is damaged");
    assert_whole(&lines, "maildex.offsets", "header", 0, 4096);
    assert_whole(&lines, "maildex.index.1", "header", 0, 88);
    for (uid, from) in [(1, 4096), (2, 0), (3, 0)] {
        let part = format!("entry {uid}");
        let first = lines.iter().find(|line| line.part == part).expect("an entry").at;
        let len = lines.iter().find(|line| line.part == part && line.field == "len").expect("a length");
        assert!(from == 0 || first == from);
        assert_whole(&lines, "maildex.index.1", &part, first, first + len.value.parse::<u64>().expect("a number"));
    }
    for slot in 0..3 {
        let part = format!("slot {slot}");
        let slot: Vec<_> = lines.iter().filter(|line| line.part == part).collect();
        let fields: Vec<_> = slot.iter().map(|line| &*line.field).collect();
        assert_eq!(fields, ["status", "changed", "entry_at", "hash", "inode", "uid"]);
    }
    let value = |part: &str, field: &str| {
        let line = lines.iter().find(|line| line.part == part && line.field == field);
        line.map(|line| line.value.clone()).unwrap_or_default()
    };
    assert_eq!((value("header", "count"), value("header", "marks")), ("3".into(), "2 complete".into()));
    assert_eq!((value("slot 1", "uid"), value("slot 1", "status")), ("2".into(), "none".into()));
    assert_eq!((value("entry 2", "base"), value("entry 2", "subject")), ("2.host".into(), "mail 2".into()));
    // Each field is where it says.
    let files = mail.own_files();
    for line in lines.iter().filter(|line| ["base", "subject", "from", "message_id"].contains(&&*line.field)) {
        let bytes = &files[&line.file][line.at as usize..][..line.len as usize];
        assert_eq!(line.value.as_bytes(), bytes);
    }
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let mail = indexed();
    let parts = |arguments: &[&str]| {
        let first = |line: Line| line.part.split(' ').next().map(String::from).expect("a word");
        dumped(&mail, arguments).into_iter().map(first).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(parts(&[]), ["entry", "header", "slot"]);
    assert_eq!(parts(&["--header"]), ["header"]);
    assert_eq!(parts(&["--blocks"]), ["slot"]);
    assert_eq!(parts(&["--entries"]), ["entry"]);
    assert_eq!(parts(&["--entries", "--blocks"]), ["entry", "slot"]);
    assert_eq!(parts(&["2"]), ["entry", "slot"]);
    let of = |arguments: &[&str]| {
        dumped(&mail, arguments)
            .into_iter()
            .map(|line| line.part)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&["2"]), ["entry 2", "slot 1"]);
    assert_eq!(of(&["1,3"]), ["entry 1", "entry 3", "slot 0", "slot 2"]);
    assert_eq!(of(&["*"]), ["entry 3", "slot 2"]);
    assert_eq!(of(&["2:*", "--entries"]), ["entry 2", "entry 3"]);
    assert_eq!(of(&["99"]), [""; 0]);
    mail.remove("maildex.offsets");
    assert_eq!(of(&["*"]), ["entry 3"]);
    mail.run(["dump", "x"]).fails_with(2);
}

#[test]
fn what_does_not_prove_itself_is_marked_where_it_is() {
    for (file, at, marked) in [
        ("maildex.offsets", 3, "magic"),
        ("maildex.offsets", 20, "crc"),
        ("maildex.offsets", 80, "zero"),
        ("maildex.offsets", 130, "count"),
        ("maildex.offsets", 165, "boot.crc"),
        ("maildex.offsets", 200, "stamp_new.crc"),
        ("maildex.offsets", 322, "born.crc"),
        ("maildex.offsets", 4104, "status"),
        ("maildex.offsets", 8200, "changed"),
        ("maildex.offsets", 24584, "uid"),
        ("maildex.index.1", 8, "version"),
        ("maildex.index.1", 70, "crc"),
        ("maildex.index.1", 74, "born.crc"),
        ("maildex.index.1", 4096 + 40, "crc"),
    ] {
        let mail = indexed();
        mail.edit(file, |bytes| bytes[at] ^= 0x10);
        let lines = dumped(&mail, &[]);
        let damaged: Vec<_> = lines.iter().filter(|l| l.damage != "-").map(|l| (&*l.file, &*l.field)).collect();
        assert_eq!(damaged, [(file, marked)], "byte {at}");
        assert_eq!(lines.iter().filter(|line| line.field == "subject").count(), 3, "everything else is there");
    }
}

#[test]
fn entries_are_shown_though_no_header_proves_anything() {
    let mail = indexed();
    mail.edit("maildex.index.1", |bytes| bytes[..72].fill(0xff));
    let shown = |mail: &Mailbox| {
        let lines = dumped(mail, &["--entries"]);
        let of = |field: &str| {
            lines.iter().filter(|line| line.field == field).map(|line| line.value.clone()).collect::<Vec<_>>()
        };
        (of("base"), lines.iter().filter(|line| line.damage != "-").count())
    };
    let bases: Vec<_> = ["1.host", "2.host", "3.host"].map(String::from).into();
    assert_eq!(shown(&mail), (bases.clone(), 0), "the offsets file has what proves them");
    mail.edit("maildex.offsets", |bytes| bytes[64] ^= 1);
    assert_eq!(shown(&mail), (bases.clone(), 0), "an entry agrees with what stands in its header");
    mail.edit("maildex.offsets", |bytes| bytes[20] ^= 1);
    assert_eq!(shown(&mail), (bases.clone(), 3), "nothing proves them, and that is said of each");
    mail.remove("maildex.offsets");
    assert_eq!(shown(&mail), (bases, 3));
    // And no Maildir is needed.
    for sub in ["cur", "new", "tmp"] {
        fs::remove_dir_all(mail.file(sub)).expect("remove it");
    }
    mail.run(["dump", "--entries"]).ok().stdout_has("2.host");
    mail.remove("maildex.index.1");
    mail.run(["dump"]).fails_with(3).stdout("").stderr_has("not a Maildir");
}

#[test]
fn files_that_end_too_early_are_shown_as_far_as_they_go() {
    let mail = indexed();
    let sound = mail.own_files();
    for name in FILES {
        for len in [0, 1, 7, 8, 20, 71, 72, 100, 130, 4095, 4096, 4100, 4112, 4190, 5000, 9000, 28671] {
            fs::write(mail.file(name), &sound[name][..len.min(sound[name].len())]).expect("cut it");
            let lines = dumped(&mail, &[]);
            let is_within = |line: &Line| line.damage != "-" || line.at + line.len <= len as u64;
            assert!(lines.iter().filter(|line| line.file == name).all(is_within), "{name} of {len} bytes");
        }
        fs::write(mail.file(name), &sound[name]).expect("make it whole");
    }
}

#[test]
fn an_empty_folder_has_nothing_to_show() {
    Mailbox::new().run(["dump"]).fails_with(3).stdout("").stderr_has("no index");
    Mailbox::new().finish(Command::new(maildex()).args(["dump", "/nowhere"])).fails_with(3);
}

#[test]
fn nothing_in_a_mail_reaches_the_terminal_raw() {
    let mail = Mailbox::new().message("cur/1.\u{1b}[2J.host:2,", mail("a\u{1b}[31mb\tc\u{9b}d"));
    mail.run(["build"]).ok();
    let lines = dumped(&mail, &["1"]);
    let value = |field: &str| lines.iter().find(|line| line.field == field).map(|line| line.value.clone());
    assert_eq!(value("base").as_deref(), Some("1.\\x1b[2J.host"));
    assert_eq!(value("subject").as_deref(), Some("a\\x1b[31mb\\tc\\u{9b}d"));
}

#[test]
fn fields_are_objects_for_scripts() {
    let mail = indexed();
    mail.edit("maildex.offsets", |bytes| bytes[4096] ^= 1);
    let run = mail.run(["dump", "--json"]).ok().silent();
    let fields = run.json();
    assert_eq!(fields.len(), dumped(&mail, &[]).len());
    let status = fields.iter().find(|field| field["offset"] == 4096).expect("the first word of the first slot");
    assert_eq!((&status["part"], &status["slot"], &status["field"]), (&"slot".into(), &0.into(), &"status".into()));
    assert_eq!((&status["damage"], &status["file"]), (&"a wrong checksum".into(), &"maildex.offsets".into()));
    let subject = fields.iter().find(|field| field["field"] == "subject").expect("a subject");
    assert_eq!((&subject["uid"], &subject["value"]), (&1.into(), &"mail 1".into()));
    assert_eq!(subject["damage"], serde_json::Value::Null);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/maildex.1")).expect("the page");
    let words: Vec<&str> = page.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for key in fields.iter().flat_map(|field| field.as_object().expect("an object").keys()) {
        assert!(words.contains(&key.as_str()), "OUTPUT does not say what {key} is");
    }
}

#[test]
fn memory_does_not_grow_with_the_files() {
    let mail = indexed();
    let index = fs::OpenOptions::new().write(true).open(mail.file("maildex.index.1")).expect("open it");
    index.write_at(b"the end", 192 << 20).expect("make it long");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 131072 && exec \"$0\" dump \"$1\" --entries"]).arg(maildex()).arg(mail.path());
    let lines = lines(&mail.finish(&mut limited).ok());
    let gaps: Vec<_> = lines.iter().filter(|line| line.part == "gap").collect();
    assert_eq!(gaps.len(), 1, "one gap, however long");
    assert_eq!(gaps[0].at + gaps[0].len, (192 << 20) + 7);
}

#[test]
fn a_file_that_is_nearly_all_holes_takes_no_time() {
    let mail = indexed();
    for name in FILES {
        let file = fs::OpenOptions::new().write(true).open(mail.file(name)).expect("open it");
        file.set_len(1 << 40).expect("make it long");
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", "exec timeout 60 \"$0\" dump \"$1\""]).arg(maildex()).arg(mail.path());
    let lines = lines(&mail.finish(&mut limited).ok());
    let gaps: Vec<_> = lines.iter().filter(|line| line.part == "gap").map(|line| line.at + line.len).collect();
    assert_eq!(gaps, [1 << 40]);
    assert_eq!(lines.iter().filter(|line| line.field == "subject").count(), 3);
    assert_eq!(lines.iter().filter(|line| line.part.starts_with("slot ")).count(), 3 * 6);
}
