//! Keys about which the index cannot tell, so that mails are read: other fields, days of the sender, body and text.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::mailbox::{Mailbox, mail, skipped};

/// UIDs that a query means.
#[track_caller]
fn uids(mail: &Mailbox, words: &[&str]) -> String {
    mail.run([&["list", "--uids", "--no-refresh"], words].concat())
        .ok()
        .silent()
        .text()
        .replace('\n', " ")
        .trim()
        .into()
}

/// Mails with these texts, as UIDs 1, 2 and so on.
fn mails(texts: &[&str]) -> Mailbox {
    let mail = unbuilt(texts);
    mail.run(["build"]).ok();
    mail
}

fn unbuilt(texts: &[&str]) -> Mailbox {
    let add = |mail: Mailbox, (n, text): (usize, &&str)| mail.message(format!("cur/{n:03}.host:2,"), text);
    texts.iter().enumerate().fold(Mailbox::new(), add)
}

const PARTS: &str = "Subject: parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n\
    preamble\n--B\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\nX-Part: one\n\n\
    Gr=FC=DFe mit soft=\nbreak\n--B\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+Ym9sZDwvYj5uZXNz\n\
    --B\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nc2VjcmV0\n\
    --B\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?innerer_Gru=C3=9F?=\n\nwithin\n\
    --B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; far.example\n\n--B--\nepilogue\n";

#[test]
fn the_text_of_all_parts_is_searched_decoded() {
    let plain =
        "Subject: plain\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nX-A: b\n\nHello World\r\nsecond line\r\n";
    let koi8 = "Subject: k\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8NLJ18XU\n";
    let mail = mails(&[plain, PARTS, koi8, "no header at all", ""]);
    for (words, found) in [
        (&["body", "hello world"][..], "1"),
        (&["body", "world\nsecond"], "1"),
        (&["body", "GRÜẞE MIT"], "2"),
        (&["body", "softbreak"], "2"),
        (&["body", "<b>bold</b>ness"], "2"),
        (&["body", "within"], "2"),
        (&["body", "far.example"], "2"),
        (&["body", "ПРИВЕТ"], "3"),
        (&["body", "secret"], ""),
        (&["body", "preamble"], ""),
        (&["body", "innerer"], ""),
        (&["body", "parts"], ""),
        (&["body", "x-part"], ""),
        (&["text", "x-part: one"], "2"),
        (&["text", "innerer gruß"], "2"),
        (&["text", "jürgen <j"], "1"),
        (&["text", "subject: p"], "1 2"),
        (&["text", "second"], "1"),
        (&["text", "header at"], "4"),
        (&["body", ""], "1 2 3 4 5"),
        (&["not body hello not zero"], "2 3 4"),
        (&["or", "body", "hello", "body", "within"], "1 2"),
        (&["body", "hello", "subject", "other"], ""),
    ] {
        assert_eq!(uids(&mail, words), found, "{words:?}");
    }
    mail.assert_sound();
}

#[test]
fn only_the_mails_that_the_rest_has_left_are_read() {
    let mail = mails(&["Subject: a\n\nneedle\n", "Subject: b\n\nneedle\n", "Subject: c\n\nneedle\n"]);
    // Of what is not read nobody notices that it is gone.
    mail.remove("cur/000.host:2,");
    for words in [
        &["body needle subject b"][..],
        &["subject b", "text", "needle"],
        &["body needle 2"],
        &["not or subject a not body needle 2:3 larger 1 subject b"],
    ] {
        assert_eq!(uids(&mail, words), "2", "{words:?}");
    }
    assert_eq!(uids(&mail, &["or subject a body nothing"]), "1");
    assert_eq!(uids(&mail, &["flagged", "body", "needle"]), "");
    let run = mail.run(["list", "--uids", "--no-refresh", "body", "needle"]).fails_with(4).stdout("2\n3\n");
    run.stderr_has("no message with the base name 000.host");
    mail.run(["count", "--no-refresh", "body", "needle"]).fails_with(4).stdout("2\n");
}

#[test]
fn mail_that_cannot_be_read_is_reported_one_by_one() {
    use std::os::unix::fs::PermissionsExt;
    let mail = mails(&["Subject: a\n\nneedle\n", "Subject: b\n\nneedle\n", "Subject: c\n\nneedle\n"]);
    for name in ["cur/000.host:2,", "cur/002.host:2,"] {
        fs::set_permissions(mail.file(name), fs::Permissions::from_mode(0o000)).expect("chmod");
    }
    let Some(run) = mail.run_unprivileged(["list", "--uids", "--no-refresh", "body", "needle"]) else { return };
    let run = run.fails_with(4).stdout("2\n");
    let told: Vec<_> = run.errors().lines().filter(|line| line.contains("cannot open")).map(String::from).collect();
    assert!(told.len() == 2 && told[0].contains("000.host") && told[1].contains("002.host"), "{told:?}");
}

#[test]
fn any_field_can_be_asked_for() {
    let long = format!(
        "To: {}\nSubject: x\n\n",
        (0..900).map(|n| format!("p{n}@example.org")).collect::<Vec<_>>().join(",\n ")
    );
    let mail = mails(&[
        "Subject: one\nSubject: two\nX-Spam-Flag: YES\nList-Id: Bugs\n <bugs.example.org>\n\n",
        "Subject:\nBcc: =?utf-8?q?M=C3=BCller?= <m@example.org>\nX-Spam-Flag: no\n\nX-Spam-Flag: YES\n",
        "From: a@example.org\nMessage-ID: <A.1@example.org>\nReferences: <x@y> <z@y>\nIn-Reply-To: <z@y>\n\n",
        &long,
        "",
    ]);
    for (words, found) in [
        (&["header", "x-spam-flag", "yes"][..], "1"),
        (&["header", "X-Spam-Flag", ""], "1 2"),
        (&["header list-id \"bugs <bugs\""], "1"),
        (&["bcc", "MÜLLER <"], "2"),
        (&["subject two"], "1"),
        (&["header subject one subject two"], "1"),
        (&["subject", ""], "1 2 4"),
        (&["not", "subject", ""], "3 5"),
        (&["to p899@example"], "4"),
        (&["to p1@example"], "4"),
        (&["not to p950@example"], "1 2 3 4 5"),
        (&["messageid", "<A.1@example.org>"], "3"),
        (&["messageid A.1@example.org"], "3"),
        (&["messageid a.1@example.org"], ""),
        (&["messageid A.1@example"], ""),
        (&["header message-id a.1@EX"], "3"),
        (&["header references \"<x@y> <z\""], "3"),
        (&["header in-reply-to z@"], "3"),
        (&["zero"], "5"),
        (&["not zero"], "1 2 3 4"),
    ] {
        assert_eq!(uids(&mail, words), found, "{words:?}");
    }
    mail.assert_sound();
}

/// 1 January 2026, 00:00 UTC, in seconds.
const YEAR: u64 = 1_767_225_600;

#[test]
fn a_day_is_that_of_the_asker_or_of_the_sender() {
    let sent = |date: &str| format!("Date: {date}\n\n");
    let mail = unbuilt(&[
        &sent("Thu, 1 Jan 2026 00:30:00 +1400"),  // 31 December, 10:30 UTC
        &sent("Wed, 31 Dec 2025 23:30:00 -0900"), // 1 January, 08:30 UTC
        &sent("Thu, 1 Jan 2026 12:00:00 +0000"),
        &sent("some day"),
        "",
    ]);
    let received = |n: usize, seconds: u64| {
        let file = fs::File::options().write(true).open(mail.file(format!("cur/{n:03}.host:2,"))).expect("open");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_times(fs::FileTimes::new().set_modified(time)).expect("set the time");
    };
    for (n, seconds) in [(0, YEAR - 50_400), (1, YEAR - 50_401), (2, YEAR), (3, YEAR + 35_999), (4, YEAR + 86_400)] {
        received(n, seconds);
    }
    mail.run(["build"]).ok();
    let found = |zone: &str, words: &str| {
        let mut command = mail.command(["list", "--uids", words]);
        let run = mail.finish(command.env("TZ", zone).env_remove("HOME").env("LC_ALL", "tr_TR.UTF-8")).ok();
        run.text().replace('\n', " ").trim().to_string()
    };
    // 14 hours ahead, with and without the data base of zones.
    let mut ahead = vec!["<+14>-14"];
    if Path::new("/usr/share/zoneinfo/Pacific/Kiritimati").exists() {
        ahead.push("Pacific/Kiritimati");
    } else {
        skipped("days in Pacific/Kiritimati", "install tzdata");
    }
    for zone in ["UTC", "EST5"].iter().chain(&ahead) {
        assert_eq!(found(zone, "senton 2026-01-01"), "1 3", "{zone}");
        assert_eq!(found(zone, "senton 31-dec-2025"), "2", "{zone}");
        assert_eq!(found(zone, "sentbefore 2026-01-01"), "2 4 5", "{zone}");
        assert_eq!(found(zone, "sentsince 2026-01-01"), "1 3", "{zone}");
        assert_eq!(found(zone, "sentsince 2025-12-31T10:30Z sentbefore 2026-01-01T08:30:00Z"), "1", "{zone}");
        assert_eq!(found(zone, "since 2026-01-01T00:00Z"), "3 4 5", "{zone}");
    }
    assert_eq!(found("UTC", "on 2026-01-01"), "3 4");
    assert_eq!(found("UTC", "before 2026-01-01"), "1 2");
    assert_eq!(found("UTC", "since 2026-01-02"), "5");
    // There the day begins at 10:00 UTC of the day before.
    for zone in &ahead {
        assert_eq!(found(zone, "on 2026-01-01"), "1 3 4", "{zone}");
        assert_eq!(found(zone, "before 2026-01-01"), "2", "{zone}");
        assert_eq!(found(zone, "since 2026-01-02"), "5", "{zone}");
        assert_eq!(found(zone, "since 2026-01-01T23:59:59"), "4 5", "{zone}");
    }
    assert_eq!(found("UTC", "since 1d"), "");
    mail.deliver("new/now.host", self::mail("now"));
    for words in ["since 1d", "since 1h", "since 1m before 2100-01-01"] {
        assert_eq!(found("UTC", words), "6", "{words}");
    }
    assert_eq!(found("UTC", "before 10y"), "");
}

#[test]
fn a_thread_is_found_from_any_of_its_mails() {
    let reply = |id: &str, to: &str| format!("Message-ID: <{id}@x>\nReferences: {to}\nSubject: s\n\n");
    let mail = mails(&[
        "Message-ID: <a@x>\n\n",
        &reply("b", "<a@x>"),
        "Message-ID: <other@x>\n\n",
        "Message-ID: <c@x>\nIn-Reply-To: <b@x>\n\n",
        &reply("d", "<gone@x>"),
        &reply("e", "<gone@x>"),
    ]);
    for (words, found) in [
        (&["thread", "1"][..], "1 2 4"),
        (&["thread", "4"], "1 2 4"),
        (&["thread 2 not 2"], "1 4"),
        (&["thread 3"], "3"),
        (&["thread 3,5"], "3 5 6"),
        (&["thread *"], "5 6"),
        (&["thread 99"], ""),
        (&["not thread 1"], "3 5 6"),
        (&["thread 1 subject s"], "2"),
    ] {
        assert_eq!(uids(&mail, words), found, "{words:?}");
    }
    mail.remove("cur/001.host:2,");
    mail.run(["build"]).ok();
    assert_eq!(uids(&mail, &["thread 1"]), "1", "what tied them together is gone");
    assert_eq!(uids(&mail, &["thread 2"]), "");
}

#[test]
fn keywords_have_names_where_the_folder_gives_them_some() {
    let mail = Mailbox::new();
    for (n, letters) in ["", "Sa", "b", "Pab", "Q"].into_iter().enumerate() {
        mail.deliver(format!("cur/{n}.host:2,{letters}"), self::mail("m"));
    }
    fs::write(mail.file("dovecot-keywords"), "0 $Work\n1 two words\n").expect("write");
    mail.run(["build"]).ok();
    for (words, found) in [
        (&["keyword", "$work"][..], "2 4"),
        (&["unkeyword", "$WORK"], "1 3 5"),
        (&["keyword", "two words"], "3 4"),
        (&["keyword \"two words\" keyword a"], "4"),
        (&["keyword a"], "2 4"),
        (&["keyword unknown"], ""),
        (&["unkeyword unknown"], "1 2 3 4 5"),
        (&["passed"], "4"),
        (&["keyword Q"], "5"),
        (&["keyword S"], "2"),
        (&["not keyword $work seen"], ""),
    ] {
        assert_eq!(uids(&mail, words), found, "{words:?}");
    }
}

/// More mails than a batch, with `--limit`, and in every order.
#[test]
fn batches_keep_the_order_and_end_when_it_is_enough() {
    const COUNT: usize = 700;
    let mail = Mailbox::in_memory();
    for n in 0..COUNT {
        let word = if n % 3 == 0 { "needle" } else { "hay" };
        mail.deliver(format!("cur/{n:04}.host:2,"), format!("Subject: {}\n\n{word} {n}\n", n % 7));
    }
    mail.run(["build"]).ok();
    let meant = |is_meant: &dyn Fn(usize) -> bool| -> Vec<usize> {
        (0..COUNT).filter(|&n| is_meant(n)).map(|n| n + 1).collect()
    };
    let lines = |uids: &[usize]| uids.iter().fold(String::new(), |lines, uid| format!("{lines}{uid}\n"));
    let third = meant(&|n| n % 3 == 0);
    let list = |words: &[&str]| mail.run([&["list", "--uids"], words].concat()).ok().silent();
    list(&["body", "needle"]).stdout(lines(&third));
    list(&["or body needle subject 1"]).stdout(lines(&meant(&|n| n % 3 == 0 || n % 7 == 1)));
    list(&["--limit", "40", "body", "needle"]).stdout(lines(&third[..40]));
    let last: Vec<usize> = third.iter().rev().take(2).copied().collect();
    list(&["--reverse", "--limit", "2", "body", "needle"]).stdout(lines(&last));
}
