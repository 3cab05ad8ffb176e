//! `maildex list`: what a line looks like, for scripts and for people.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::mailbox::{Mailbox, mail, maildex};

#[test]
fn columns_for_scripts_are_fixed() {
    let mail = Mailbox::new()
        .message("cur/1:2,FS", mail("mail 1"))
        .message("cur/2", "\n\nno header\n")
        .message("new/3", "From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\nSubject: =?utf-8?b?5Lya6K2w?=\n\n");
    mail.run(["build"]).ok();
    mail.run(["list"]).ok().silent().stdout(
        "1\tcur\tFS\t1997-11-21T15:55:06Z\t142\tAnn <ann@example.org>\tmail 1\n\
         2\tcur\t-\t-\t12\t-\t-\n\
         3\tnew\t-\t-\t71\tJürgen <j@x.org>\t会議\n",
    );
    mail.assert_sound();
}

#[test]
fn nothing_in_a_mail_breaks_the_columns() {
    // Encoded words bring in what a header line cannot hold.
    let subject = "=?utf-8?q?a=09b=0Ac=0Dd=1B[31me=5Cf=00g=C2=85?=";
    let mail = Mailbox::new().message("cur/1:2,", format!("Subject: {subject}\n\n"));
    mail.run(["build"]).ok();
    let run = mail.run(["list"]).ok();
    let line = run.text();
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    assert_eq!(line.matches('\t').count(), 6, "{line:?}");
    assert!(!line.trim_end().contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
    assert!(line.contains("a\\tb\\nc\\rd\\x1b[31me\\\\f"), "{line:?}");
    mail.assert_sound();
}

#[test]
fn json_has_every_key_of_the_manual_and_no_other() {
    let text = "From: Ann <ann@x.org>\nTo: bob@x.org, Carl <c@x.org>\nCc: d@x.org\nSubject: hello\n\
                Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <3@x.org>\nIn-Reply-To: <2@x.org>\n\
                References: <1@x.org> <2@x.org>\n\nbody\n";
    let mail = Mailbox::new().message("cur/1:2,FSab", text);
    let file = std::fs::File::options().write(true).open(mail.file("cur/1:2,FSab")).expect("open");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(86_400_500))
        .expect("utimes");
    std::fs::write(mail.file("dovecot-keywords"), "0 $Forwarded\n1 work\n").expect("write");
    mail.run(["build"]).ok();
    let run = mail.run(["list", "--json"]).ok().silent();
    let record = &run.json()[0];
    let expected = json!({
        "v": 1,
        "folder": mail.path(),
        "uidvalidity": record["uidvalidity"],
        "uid": 1,
        "path": mail.file("cur/1:2,FSab"),
        "base": "1",
        "dir": "cur",
        "flags": "FSab",
        "keywords": ["$Forwarded", "work"],
        "size": text.len(),
        "date": "1997-11-21T15:55:06Z",
        "received": "1970-01-02T00:00:00Z",
        "date_epoch": 880_127_706,
        "received_epoch": 86_400,
        "subject": "hello",
        "from": "Ann <ann@x.org>",
        "to": "bob@x.org, Carl <c@x.org>",
        "cc": "d@x.org",
        "message_id": "<3@x.org>",
        "in_reply_to": "<2@x.org>",
        "references": ["<1@x.org>", "<2@x.org>"],
        "change": record["change"],
        "truncated": [],
    });
    assert_eq!(*record, expected);
    assert!(record["uidvalidity"].as_u64().is_some_and(|n| n > 1_500_000_000) && record["change"].is_u64());
    let keys = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(record), keys(&expected), "in this order");
    assert_eq!(mail.run(["show", "1", "--json"]).ok().text(), run.text(), "show gives the same");
    mail.assert_sound();
}

#[test]
fn json_tells_what_is_not_there_apart() {
    let mail = Mailbox::new().message("cur/1:2,a", "\nno header\n");
    mail.run(["build"]).ok();
    let record = &mail.run(["list", "--json"]).ok().json()[0];
    assert_eq!((&record["date"], &record["date_epoch"]), (&json!(null), &json!(null)));
    assert_eq!((&record["references"], &record["subject"], &record["flags"]), (&json!([]), &json!(""), &json!("a")));
    assert!(record["keywords"].is_array());
    assert!(record.get("path_bytes").is_none() && record.get("base_bytes").is_none());
    mail.assert_sound();
}

#[test]
fn json_gives_names_that_are_no_text_in_base64_too() {
    let name = b"cur/1\xff.host:2,S";
    let mail = Mailbox::new().message(OsStr::from_bytes(name), mail("x"));
    mail.run(["build"]).ok();
    let record = &mail.run(["list", "--json"]).ok().json()[0];
    assert_eq!(record["base"], "1\u{fffd}.host");
    assert_eq!(record["base_bytes"], BASE64_STANDARD.encode(b"1\xff.host"));
    let path = mail.file(OsStr::from_bytes(name));
    assert_eq!(record["path_bytes"], BASE64_STANDARD.encode(path.as_os_str().as_bytes()));
    mail.assert_sound();
}

#[test]
fn json_names_the_fields_that_were_cut() {
    let references = (0..400).map(|n| format!("<{n}.0123456789@x.org>")).collect::<Vec<_>>().join("\n ");
    let text = format!("Subject: {}\nReferences: {references}\n\n", "long ".repeat(2000));
    let mail = Mailbox::new().message("cur/1:2,", text);
    mail.run(["build"]).ok();
    let record = &mail.run(["list", "--json"]).ok().json()[0];
    assert_eq!(record["truncated"], json!(["subject", "references"]));
    assert_eq!(record["subject"].as_str().map(str::len), Some(4096));
    let references = record["references"].as_array().expect("a list");
    assert_eq!(references.last(), Some(&json!("<399.0123456789@x.org>")), "the nearest parents stay");
    assert!(references.iter().all(|id| id.as_str().is_some_and(|id| id.starts_with('<') && id.ends_with('>'))));
    mail.assert_sound();
}

#[test]
fn paths_lead_to_the_files() {
    let mail = Mailbox::new()
        .message("cur/1:2,SF", mail("odd"))
        .message("cur/2:2,S", mail("even"))
        .message("new/3", mail("3"));
    mail.run(["build"]).ok();
    let run = mail.run(["list", "--paths"]).ok().silent();
    let expected: String =
        ["cur/1:2,SF", "cur/2:2,S", "new/3"].map(|name| format!("{}\n", mail.file(name).display())).concat();
    let run = run.stdout(expected);
    assert!(run.text().lines().all(|path| std::path::Path::new(path).is_file()));
    // Relative as FOLDER was.
    let mut command = Command::new(maildex());
    command.current_dir(mail.path().parent().expect("it has one")).args(["list", "inbox", "--paths", "2"]);
    mail.finish(&mut command).ok().stdout("inbox/cur/2:2,S\n");
    mail.assert_sound();
}

#[test]
fn a_path_with_a_newline_needs_nul() {
    let mail =
        Mailbox::new().message("cur/1:2,", mail("1")).message("cur/2\nx:2,", mail("2")).message("cur/3:2,", mail("3"));
    mail.run(["build"]).ok();
    let paths = |end: &str, names: &[&str]| -> String {
        names.iter().flat_map(|name| [mail.file(name).display().to_string(), end.to_string()]).collect()
    };
    let refused = mail.run(["list", "--paths"]).fails_with(4).stdout(paths("\n", &["cur/1:2,", "cur/3:2,"]));
    refused.stderr_has("UID 2: its path holds a newline; use --paths -0");
    mail.run(["list", "--paths", "-0"]).ok().silent().stdout(paths("\0", &["cur/1:2,", "cur/2\nx:2,", "cur/3:2,"]));
    mail.assert_sound();
}

#[test]
fn an_odd_name_that_changed_since_the_refresh_is_found_or_reported() {
    let mail = Mailbox::new().message("cur/1:2,SF", mail("1")).message("cur/2:2,SF", mail("2"));
    mail.run(["build"]).ok();
    mail.rename("cur/1:2,SF", "cur/1:2,F");
    let first = format!("{}\n", mail.file("cur/1:2,F").display());
    let second = format!("{}\n", mail.file("cur/2:2,SF").display());
    mail.run(["list", "--paths", "--no-refresh"]).ok().silent().stdout(format!("{first}{second}"));
    mail.remove("cur/2:2,SF");
    mail.run(["list", "--paths", "--no-refresh"]).fails_with(4).stdout(first).stderr_has("UID 2: its file is gone");
    mail.assert_sound();
}

#[test]
fn uids_come_alone_for_xargs() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
    mail.run(["list", "--uids", "-0", "2:3"]).ok().stdout("2\x003\0");
    for wrong in [
        vec!["list", "-0"],
        vec!["list", "--json", "-0"],
        vec!["list", "--uids", "--paths"],
        vec!["list", "--json", "--uids"],
    ] {
        mail.run(wrong).fails_with(2).stdout("");
    }
    mail.assert_sound();
}

#[test]
fn the_environment_does_not_change_the_data() {
    let mail =
        Mailbox::new().message("cur/1:2,S", "Subject: =?utf-8?b?5Lya6K2w?=\nDate: Fri, 21 Nov 1997 09:55:06 -0600\n\n");
    mail.run(["build"]).ok();
    for format in [&["list"][..], &["list", "--json"], &["list", "--paths"], &["show", "1"]] {
        let usual = mail.run(format).ok().text();
        let mut bare = mail.command(format);
        bare.env_clear().env("LC_ALL", "C").env("TZ", "Asia/Tokyo").env("COLUMNS", "20");
        mail.finish(&mut bare).ok().silent().stdout(usual);
    }
    mail.assert_sound();
}

#[test]
fn a_terminal_gets_columns_that_fit_and_nothing_raw() {
    let nasty = "=?utf-8?q?red=1B[31m=C2=9B_and=E2=80=AE_turned=0A=07?=";
    let wide = "=?utf-8?b?5Lya6K2w5Lya6K2w5Lya6K2w5Lya6K2w5Lya6K2w5Lya6K2w5Lya6K2w5Lya6K2w?=";
    let with = |from: &str, subject: &str| {
        format!("From: {from} <x@x.org>\nSubject: {subject}\nDate: Fri, 21 Nov 1997 09:55:06 +0000\n\n")
    };
    let mail = Mailbox::new()
        .message("cur/1:2,S", with("Ann", "plain"))
        .message("cur/2:2,DFPRST", with(wide, wide))
        .message("new/3", with(nasty, nasty))
        .message("cur/4:2,abcdefghi", with("Ann", &"long ".repeat(100)));
    mail.run(["build"]).ok();
    for width in [40, 60, 80, 200] {
        let Some(shown) = mail.on_terminal(width, "NO_COLOR=1", ["list"]) else { return };
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown:?}");
        for line in &lines {
            assert!(columns(line) <= width, "{} columns of {width}: {line:?}", columns(line));
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
        assert!(lines[0].starts_with("  1  S      1997-11 Ann "), "{shown:?}");
        assert!(lines[2].contains('+') && lines[2].contains("red\\u"), "{shown:?}");
        // The subject starts in one column, whatever stands before it.
        let start = |line: &str, word: &str| columns(line.split(word).next().expect("a first part"));
        let subject = start(lines[0], "plain");
        assert_eq!(start(lines[3], "long"), subject, "{shown}");
        let second = lines[1].rsplit(' ').next().expect("a subject");
        assert_eq!(columns(lines[1]) - columns(second), subject, "{shown}");
    }
    mail.assert_sound();
}

#[test]
fn show_on_a_terminal_sends_nothing_raw() {
    let mail = Mailbox::new().message("cur/1:2,S", "Subject: =?utf-8?q?red=1B[31m=E2=80=AE=0A?=\nTo: bob@x.org\n\n");
    mail.run(["build"]).ok();
    let Some(shown) = mail.on_terminal(80, "", ["show", "1"]) else { return };
    assert!(shown.contains("bob@x.org") && shown.contains("red\\u{1b}[31m"), "{shown:?}");
    assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
    mail.assert_sound();
}

#[test]
fn build_says_on_a_terminal_what_it_did() {
    let mail = Mailbox::new().messages(2);
    let Some(shown) = mail.on_terminal(80, "", ["build", "--quiet"]) else { return };
    assert!(shown.contains("2 messages, 2 added"), "{shown:?}");
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    mail.remove("cur/2.host:2,");
    let shown = mail.on_terminal(80, "", ["build"]).expect("as before");
    assert!(shown.contains("1 message, 1 removed, 1 with new flags"), "{shown:?}");
    let shown = mail.on_terminal(80, "", ["build"]).expect("as before");
    assert!(shown.contains("1 message, nothing new"), "{shown:?}");
    mail.assert_sound();
}

/// Columns that the text takes: two for a wide character.
fn columns(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1100}'..'\u{ffff}').contains(&c) && c != '…' { 2 } else { 1 }).sum()
}

#[test]
fn colours_show_the_state_where_they_are_wanted() {
    let mail = Mailbox::new().message("cur/1:2,S", mail("1")).message("cur/2:2,", mail("2")).message("cur/3:2,FST", "");
    mail.run(["build"]).ok();
    let Some(shown) = mail.on_terminal(60, "", ["list"]) else { return };
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("  1 ") && !lines[0].contains('\u{1b}'), "{shown:?}");
    assert!(lines[1].starts_with("\u{1b}[1m  2 ") && lines[1].ends_with("\u{1b}[0m"), "{shown:?}");
    assert!(lines[2].starts_with("\u{1b}[2m  3 ") && lines[2].ends_with("\u{1b}[0m"), "{shown:?}");
    for (settings, arguments) in
        [("NO_COLOR=1", &["list"][..]), ("TERM=dumb", &["list"]), ("", &["list", "--color", "never"])]
    {
        let plain = mail.on_terminal(60, settings, arguments).expect("as before");
        assert!(!plain.contains('\u{1b}') && plain.starts_with("  1  S      1997-11 "), "{settings}: {plain:?}");
    }
    // For less -R; NO_COLOR is for who says nothing.
    for arguments in [&["list", "--color", "always"][..], &["list", "--color=always"]] {
        let mut command = mail.command(arguments);
        mail.finish(command.env("NO_COLOR", "1")).ok().stdout_has("\u{1b}[1m  2 ");
    }
    let mut flag = Command::new(maildex());
    flag.args(["flag", "--color", "never"]).arg(mail.path()).args(["+F", "1"]);
    mail.finish(&mut flag).ok().stdout_has("1:2,FS");
    mail.assert_sound();
}

#[test]
fn a_mail_of_now_is_shown_with_its_time() {
    let mail = Mailbox::new().message("new/1", "Subject: no date\n\n");
    mail.run(["build"]).ok();
    let Some(shown) = mail.on_terminal(60, "NO_COLOR=1", ["list"]) else { return };
    // Of today; or of yesterday, if midnight has passed since.
    let date = shown.get(10..19).unwrap_or_default();
    let is_time = |text: &str| text.len() == 5 && text.as_bytes()[2] == b':';
    assert!(is_time(date.trim_start().split(' ').next_back().unwrap_or_default()), "{shown:?}");
    mail.assert_sound();
}
