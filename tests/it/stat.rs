//! `maildex stat`: what is counted, and how it is shown.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::mailbox::Mailbox;

/// A mail of this sender that was sent so many days and a half ago, padded to this size.
fn mail(from: &str, days: i64, size: usize) -> String {
    let sent = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days + 12);
    let date = jiff::fmt::rfc2822::to_string(&sent.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date");
    let mut text = format!("From: {from}\nSubject: {days} days\nDate: {date}\n\n");
    text.push_str(&"x".repeat(size - text.len()));
    text
}

/// Five mails of all kinds.
fn mixed() -> Mailbox {
    let mail = Mailbox::new()
        .message("cur/1:2,S", mail("Ann <ann@x.org>", 0, 1000))
        .message("cur/2:2,FSa", mail("ANN@X.ORG", 3, 5000))
        .message("cur/3:2,RT", mail("\"Doe, J.\" <joe@x.org>", 100, 2_000_000))
        .message("new/4", mail("Ann B <ann@x.org>", 5000, 1024))
        .message("cur/5:2,", "");
    let file = std::fs::File::options().write(true).open(mail.file("cur/5:2,")).expect("open");
    file.set_modified(SystemTime::now() - Duration::from_hours(40 * 24)).expect("set its mtime");
    std::fs::write(mail.file("dovecot-keywords"), "0 work\n").expect("write");
    mail.run(["build"]).ok();
    mail
}

#[test]
fn lines_for_scripts_say_what_and_how_much() {
    let mail = mixed();
    let run = mail.run(["stat"]).ok().silent();
    let text = run.text();
    let counted: Vec<&str> =
        text.lines().filter(|line| !line.contains("\t0\t0\t") && !line.starts_with("index")).collect();
    assert_eq!(
        counted,
        [
            "all\t-\t5\t2007024\t-",
            "state\tunseen\t3\t2001024\t-",
            "state\tnew\t1\t1024\t-",
            "state\tempty\t1\t0\t-",
            "state\tdateless\t1\t0\t-",
            "flag\tF\t1\t5000\t-",
            "flag\tR\t1\t2000000\t-",
            "flag\tS\t2\t6000\t-",
            "flag\tT\t1\t2000000\t-",
            "flag\ta\t1\t5000\twork",
            "size\t1024\t2\t1000\t-",
            "size\t4096\t1\t1024\t-",
            "size\t16384\t1\t5000\t-",
            "size\t4194304\t1\t2000000\t-",
            "age\t1\t1\t1000\t-",
            "age\t7\t1\t5000\t-",
            "age\t91\t1\t0\t-",
            "age\t365\t1\t2000000\t-",
            "age\t-\t1\t1024\t-",
            "sender\tjoe@x.org\t1\t2000000\tDoe, J.",
            "sender\tann@x.org\t3\t7024\tAnn B",
            "sender\t-\t1\t0\t-",
            "message\t3\t1\t2000000\t100 days",
            "message\t2\t1\t5000\t3 days",
            "message\t4\t1\t1024\t5000 days",
            "message\t1\t1\t1000\t0 days",
            "message\t5\t1\t0\t-",
        ],
        "{run}"
    );
    let top = mail.run(["stat", "--top", "1"]).ok().text();
    assert_eq!(top.lines().filter(|line| line.starts_with("sender\t") || line.starts_with("message\t")).count(), 2);
    assert!(!mail.run(["stat", "--top", "0"]).ok().text().contains("\nsender"));
    mail.assert_sound();
}

#[test]
fn json_has_the_same() {
    let mail = mixed();
    let record = &mail.run(["stat", "--json"]).ok().silent().json()[0];
    for (key, expected) in [
        ("v", json!(1)),
        ("folder", json!(mail.path())),
        ("messages", json!(5)),
        ("bytes", json!(2_007_024)),
        ("unseen", json!(3)),
        ("new", json!(1)),
        ("empty", json!(1)),
        ("unreadable", json!(0)),
        ("dateless", json!(1)),
        ("flags", json!({"F": 1, "R": 1, "S": 2, "T": 1, "a": 1})),
        ("keywords", json!({"work": 1})),
        ("senders", json!(3)),
        ("dead", json!(0)),
        ("dead_percent", json!(0)),
    ] {
        assert_eq!(record[key], expected, "{key}");
    }
    let sum =
        |list: &str| record[list].as_array().expect("a list").iter().map(|range| range["messages"].as_u64()).sum();
    assert_eq!((sum("sizes"), sum("ages")), (Some(5), Some(5)));
    assert_eq!(record["sizes"][9]["below_bytes"], json!(null));
    assert_eq!(record["largest"][0]["uid"], json!(3));
    let files: u64 = mail.own_files().values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!((record["index_bytes"].as_u64(), record["bytes_per_message"].as_u64()), (Some(files), Some(files / 5)));
    mail.assert_sound();
}

#[test]
fn what_is_dead_is_told_until_it_is_compacted() {
    let mail = Mailbox::new().messages(4);
    mail.run(["build"]).ok();
    mail.remove("cur/1.host:2,");
    mail.remove("cur/2.host:2,");
    let record = &mail.run(["stat", "--json"]).ok().json()[0];
    let percent = record["dead_percent"].as_u64().expect("a number");
    assert!(record["dead"] == 2 && (40..60).contains(&percent), "{record}");
    assert!(record["dead_bytes"].as_u64().expect("a number") > 0);
    mail.run(["compact"]).ok();
    let record = &mail.run(["stat", "--json"]).ok().json()[0];
    assert!(record["dead"] == 0 && record["dead_bytes"] == 0 && record["dead_percent"] == 0, "{record}");
    mail.assert_sound();
}

#[test]
fn an_empty_folder_has_nothing_in_it() {
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    mail.run(["stat"]).ok().silent().stdout_has("all\t-\t0\t0\t-\n");
    assert_eq!(mail.run(["stat", "--json"]).ok().json()[0]["bytes_per_message"], json!(null));
    let Some(shown) = mail.on_terminal(80, "", ["stat"]) else { return };
    assert!(shown.contains(": 0 messages, 0 B\n") && !shown.contains("Size"), "{shown:?}");
    mail.assert_sound();
}

#[test]
fn people_get_histograms_that_fit_and_nothing_raw() {
    let mail = mixed();
    let nasty = "=?utf-8?q?red=1B[31m=E2=80=AE_turned=0A?=";
    mail.deliver("new/6", format!("From: {nasty} <x@x.org>\nSubject: {nasty}\n\n"));
    for width in [30, 60, 100] {
        let Some(shown) = mail.on_terminal(width, "", ["stat"]) else { return };
        for line in shown.lines().filter(|line| !line.contains(": 6 messages") && !line.starts_with("Index")) {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
        assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
    }
    let shown = mail.on_terminal(80, "", ["stat"]).expect("as before");
    for line in ["  unseen ", "  flagged ", "  work ", "  1-4 KiB ", "  last week ", "Doe, J. joe@x.org", "Index: "] {
        assert!(shown.contains(line), "{line:?} in\n{shown}");
    }
    let bars = |shown: &str, c: char| shown.lines().filter(|line| line.ends_with(c)).count();
    assert!(bars(&shown, '█') >= 2, "{shown}");
    let plain = mail.on_terminal(80, "LC_ALL=C", ["stat"]).expect("as before");
    assert!(bars(&plain, '#') >= 2 && !plain.contains('█'), "{plain}");
    mail.assert_sound();
}
