//! Mail that is made to hurt: whatever it is, little memory is needed, and every message has its line.

use std::fmt::Write as _;
use std::fs::{self, File};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::mailbox::{Mailbox, figures, installed, skipped};
use crate::tally::Tally;

const MIB: usize = 1 << 20;

/// Names and contents.
fn mails() -> Vec<(&'static str, Vec<u8>)> {
    let mut nested = "hello".to_string();
    while nested.len() < MIB {
        nested = format!("=?utf-8?b?{}?=", BASE64_STANDARD.encode(&nested));
    }
    let mut words = String::new();
    while words.len() < MIB {
        words.push_str("=?utf-8?q?=C3=A9?= =?iso-8859-1?b?6Q==?=\n ");
    }
    let fields = (0..200_000).fold(String::new(), |mut all, n| {
        let _ = writeln!(all, "X-{n}: {n}");
        all
    });
    let references = "<a@b> ".repeat(MIB / 6);
    let parts = (0..20_000).fold(String::new(), |mut all, n| {
        let _ = writeln!(all, "Content-Type: multipart/mixed; boundary={n}\n\n--{n}");
        all
    });
    vec![
        ("empty", Vec::new()),
        ("line", format!("Subject: {}\n\nx\n", "x".repeat(MIB)).into_bytes()),
        ("name", format!("{}: x\n\nx\n", "x".repeat(MIB)).into_bytes()),
        ("fields", format!("{fields}Subject: late\n\nx\n").into_bytes()),
        ("folded", format!("Subject: a\n{}\n\nx\n", " b\n".repeat(MIB / 3)).into_bytes()),
        ("nul", [b"Subject: a\0b\n".to_vec(), vec![0; MIB], b"\n\nx\n".to_vec()].concat()),
        ("cr", b"Subject: a\rFrom: b@c\r\rhello\r".to_vec()),
        ("bom", b"\xef\xbb\xbfSubject: a\n\nx\n".to_vec()),
        ("no-blank-line", "Subject: a\nTo: b\n".repeat(MIB / 17).into_bytes()),
        ("colons", vec![b':'; MIB]),
        ("nested", format!("Subject: {nested}\n\nx\n").into_bytes()),
        ("words", format!("Subject: {words}\nFrom: {words}\n\nx\n").into_bytes()),
        ("comments", format!("From: {}a@b\nDate: {}\n\nx\n", "(".repeat(MIB / 2), "(".repeat(MIB / 2)).into_bytes()),
        ("references", format!("References: {references}\nIn-Reply-To: {references}\n\nx\n").into_bytes()),
        ("addresses", format!("To: {}\nCc: {}\n\nx\n", "a:b;,<".repeat(MIB / 6), "\"".repeat(MIB)).into_bytes()),
        ("parts", parts.into_bytes()),
        ("high", vec![0xff; MIB]),
    ]
}

/// Memory that is enough for anything that is not in proportion to a mail. (Address space says nothing: for each thread
/// much of it is set aside.)
const ROOM: usize = 96 * MIB;

#[test]
fn mail_that_is_made_to_hurt_needs_little_memory() {
    if !installed("prlimit") {
        return skipped("hostile mail", "install util-linux");
    }
    let mails = mails();
    let count = mails.len() + 1;
    let mailbox =
        mails.iter().fold(Mailbox::new(), |mailbox, (name, text)| mailbox.message(format!("cur/{name}:2,"), text));
    let sparse = File::create(mailbox.file("cur/sparse:2,")).expect("make a file");
    sparse.set_len(2 << 30).expect("2 GiB of nothing");
    let limited = |words: &[&str]| {
        let bare = mailbox.command(words);
        let mut command = std::process::Command::new("timeout");
        command
            .args(["-s", "KILL", "300", "prlimit", &format!("--data={ROOM}")])
            .arg(bare.get_program())
            .args(bare.get_args());
        mailbox.finish(command.env("TZ", "UTC"))
    };
    limited(&["build"]).ok();
    let lines = |run: &str| run.lines().count();
    for words in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--threads"],
        &["list", "--sort", "subject"],
        &["list", "--no-refresh", "not", "subject", "never there"],
    ] {
        let run = limited(words).ok();
        assert_eq!(lines(&run.text()), count, "{run}");
        assert!(run.bytes().len() < 64 * 1024 * count, "{} bytes: {}", run.bytes().len(), words.join(" "));
    }
    for words in [&["show", "1:*"][..], &["stat"], &["check", "--deep"], &["dedupe", "--dry-run"], &["build", "--full"]]
    {
        limited(words).ok();
    }
    for words in [&["flag", "+S", "1:*"][..], &["compact"]] {
        limited(words).ok();
    }
    // In a mail of 1 MiB a search reads all of it, and no more at a time than it must.
    limited(&["count", "smaller", "100M", "body", "never there"]).ok().stdout("0\n");
    let index = fs::metadata(mailbox.file("maildex.index.2")).expect("stat").len();
    assert!(index < 64 * 1024 * count as u64, "{index} bytes");
    Tally::Damages.add(count);
    figures(&format!("hostile mail: {count} mails in {} MiB, an index of {index} bytes", ROOM / MIB));
}
