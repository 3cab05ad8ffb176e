//! `maildex list --format`: fields, columns, escapes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::mailbox::{Mailbox, Run, mail};

/// One mail with every field.
fn complete() -> Mailbox {
    let text = "From: Ann <ann@x.org>\nTo: bob@x.org, Carl <c@x.org>\nCc: d@x.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\
                Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <3@x.org>\nIn-Reply-To: <2@x.org>\n\
                References: <1@x.org> <2@x.org>\n\nbody\n";
    let mail = Mailbox::new().message("cur/1:2,FSab", text);
    let file = std::fs::File::options().write(true).open(mail.file("cur/1:2,FSab")).expect("open");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(86_400_500))
        .expect("utimes");
    std::fs::write(mail.file("dovecot-keywords"), "0 $Forwarded\n1 work\n").expect("write");
    mail.run(["build"]).ok();
    mail
}

fn with(mail: &Mailbox, template: &str) -> Run {
    mail.run(["list", "--format", template])
}

#[test]
fn every_field_of_json_can_be_printed() {
    let mail = complete();
    let record = &mail.run(["list", "--json"]).ok().json()[0];
    for (key, value) in record.as_object().expect("an object") {
        let expected = match value {
            _ if key == "v" => continue,
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                items.iter().map(|item| item.as_str().expect("text")).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        with(&mail, &format!("<{{{key}}}>")).ok().silent().stdout(format!("<{expected}>\n"));
    }
    let unknown = with(&mail, "{uid} {colour}").fails_with(2).stdout("").stderr_has("there is no field \"colour\"");
    for key in record.as_object().expect("an object").keys().filter(|key| *key != "v") {
        unknown.stderr_shows(key);
    }
    mail.assert_sound();
}

#[test]
fn columns_are_filled_and_cut() {
    let mail = complete();
    for (template, expected) in [
        ("[{subject:8}]", "[Grüße   ]"),
        ("[{subject:>8}]", "[   Grüße]"),
        ("[{subject:^8}]", "[ Grüße  ]"),
        ("[{subject:4}]", "[Grü…]"),
        ("[{subject:.4}]", "[Grü…]"),
        ("[{subject:.40}]", "[Grüße]"),
        ("[{subject:6.40}]", "[Grüße ]"),
        ("[{subject:0}]", "[]"),
        ("[{uid:4}]", "[   1]"),
        ("[{uid:<4}]", "[1   ]"),
        ("[{flags:6}{dir:2}]", "[FSab  cur]"),
        ("[{date:4}]", "[1997-11-21T15:55:06Z]"),
        ("{date:%Y-%m-%d %H:%M}", "1997-11-21 15:55"),
        ("{received:%s}", "86400"),
        ("{{{uid}}}\\t\\\\\\n-", "{1}\t\\\n-"),
        ("", ""),
    ] {
        with(&mail, template).ok().silent().stdout(format!("{expected}\n"));
    }
    let mut tokyo = mail.command(["list", "--format", "{date:%H:%M} {date}"]);
    mail.finish(tokyo.env("TZ", "UTC-9")).ok().stdout("00:55 1997-11-21T15:55:06Z\n");
    mail.run(["list", "-0", "--format", "{uid}\\0{from}"]).ok().stdout("1\0Ann <ann@x.org>\0");
    mail.assert_sound();
}

#[test]
fn a_wrong_template_is_wrong_usage_and_what_is_wrong_is_said() {
    let mail = complete();
    for (template, said) in [
        ("{", "found { without }"),
        ("}", "found } without {"),
        ("{uid", "found { without }"),
        ("{}", "there is no field \"\""),
        ("{UID}", "there is no field \"UID\""),
        ("{uid:x}", "found \"x\" for uid"),
        ("{subject:}", "found \"\" for subject"),
        ("{subject:+3}", "found \"+3\" for subject"),
        ("{subject:20.10}", "found \"20.10\""),
        ("{subject:99999999999999999999}", "expected columns such as 40"),
        ("{subject:20000}", "expected columns such as 40"),
        ("{date:%!}", "the time \"%!\""),
        ("{subject:%Y}", "found \"%Y\" for subject"),
        ("\\x", "found \"\\\\x\", expected \\t, \\n, \\0"),
        ("a\\", "expected \\t"),
        ("{thread}", "go with --threads"),
    ] {
        with(&mail, template).fails_with(2).stdout("").stderr_has(said);
    }
    for wrong in [["--format", "{uid}", "--json"], ["--uids", "--format", "{uid}"]] {
        mail.run(["list"].iter().chain(&wrong)).fails_with(2).stdout("");
    }
    mail.assert_sound();
}

#[test]
fn nothing_in_a_mail_ends_a_record_early() {
    let nasty = "=?utf-8?q?a=09b=0Ac=0Dd=1B[31me=5Cf=00g=C2=85=E2=80=AE?=";
    let name = b"cur/1\n\t\xff\x1b[31m'\":2,";
    let text = format!("Subject: {nasty}\nFrom: {nasty} <a@x.org>\n\n");
    let mail = Mailbox::new().message(OsStr::from_bytes(name), text);
    mail.run(["build"]).ok();
    let run = with(&mail, "{subject}|{from}|{base}|{path}").ok().silent();
    let line = run.bytes();
    let controls = line.iter().filter(|byte| **byte < b' ').count();
    assert_eq!((controls, line.last()), (1, Some(&b'\n')), "{run}");
    let shown = "a\\tb\\nc\\rd\\x1b[31me\\\\f\\x00g\\u{85}\u{202e}|";
    assert!(line.starts_with(shown.as_bytes()), "{run}");
    let base = b"|1\\n\\t\xff\\x1b[31m'\"|";
    assert!(line.windows(base.len()).any(|bytes| bytes == base), "{run}");
    let Some(shown) = mail.on_terminal(80, "", ["list", "--format", "{subject} {base} {path}"]) else { return };
    assert!(!shown.trim_end_matches('\n').contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert!(shown.contains("\\u{202e} 1\\n\\t\\xff\\x1b[31m'\""), "{shown:?}");
    mail.assert_sound();
}

#[test]
fn a_field_that_is_not_there_is_empty() {
    let mail = Mailbox::new().message("cur/1", "\nno header\n");
    mail.run(["build"]).ok();
    let template = "<{subject}{from}{to}{cc}{date}{date:%Y}{date_epoch}{flags}{keywords}{references}{truncated}>";
    with(&mail, template).ok().silent().stdout("<>\n");
    with(&mail, "<{subject:3}{date:2}>").ok().silent().stdout("<     >\n");
    mail.assert_sound();
}

#[test]
fn orders_limits_and_queries_are_those_of_other_listings() {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok();
    let run = |arguments: &[&str]| mail.run(["list", "--format", "{uid} {dir}"].iter().chain(arguments)).ok().text();
    assert_eq!(run(&["--reverse", "--limit", "2"]), "4 new\n3 cur\n");
    assert_eq!(run(&["new"]), "4 new\n");
    mail.run(["list", "--format", "{uid}", "--exit-code", "seen"]).fails_with(1).stdout("");
    let root = mail.path().parent().expect("it has one").to_path_buf();
    let mut all = std::process::Command::new(crate::mailbox::maildex());
    all.arg("list").arg(&root).args(["-r", "--format", "{folder} {uid}", "1"]);
    mail.finish(&mut all).ok().stdout(format!("{} 1\n", mail.path().display()));
    mail.assert_sound();
}
