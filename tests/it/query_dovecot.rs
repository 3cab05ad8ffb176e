//! Every key beside `doveadm search`: the same messages, on mail that is odd and on mail that was made up.
//!
//! Dovecot gives its own UIDs, so messages are matched by their base names. Its command line has `or` between its keys and
//! not before them, and dates of IMAP alone; otherwise the words are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use maildex::sample;

use crate::dovecot::Dovecot;
use crate::mailbox::{Mailbox, figures, long};

/// A query, and as Dovecot has it where that is not the same.
type Pair = (&'static [&'static str], Option<&'static [&'static str]>);

macro_rules! same {
    ($($word:expr),*) => { (&[$($word),*] as &[&str], None) };
}
macro_rules! as_dovecot {
    ([$($word:expr),*], [$($other:expr),*]) => { (&[$($word),*] as &[&str], Some(&[$($other),*] as &[&str])) };
}

/// The keys of flags and words that join keys.
const FLAGS: &[Pair] = &[
    same!("all"),
    same!("answered"),
    same!("unanswered"),
    same!("deleted"),
    same!("undeleted"),
    same!("draft"),
    same!("undraft"),
    same!("flagged"),
    same!("unflagged"),
    same!("seen"),
    same!("unseen"),
    as_dovecot!(["trashed"], ["deleted"]),
    as_dovecot!(["unreplied"], ["unanswered"]),
    same!("keyword", "work"),
    same!("unkeyword", "WORK"),
    same!("keyword", "nobody-has-this"),
    same!("not", "seen", "flagged"),
    as_dovecot!(["or", "flagged", "answered"], ["(", "flagged", "or", "answered", ")"]),
    // Not `seen`: of what comes before the first unseen mail Dovecot finds none for `not (answered seen)`.
    as_dovecot!(
        ["not (or flagged (answered draft))"],
        ["not", "(", "flagged", "or", "(", "answered", "draft", ")", ")"]
    ),
    as_dovecot!(["zero"], ["not", "larger", "0"]),
];

const SAMPLE: &[Pair] = &[
    same!("from", "anna"),
    same!("from", "EXAMPLE.NET"),
    same!("from", "ü"),
    same!("from", "> "),
    same!("to", "bob"),
    same!("cc", "example.com"),
    same!("not", "cc", ""),
    same!("bcc", ""),
    same!("subject", "RE:"),
    same!("subject", "e"),
    same!("subject", "ß"),
    same!("subject", "é"),
    same!("subject", "日"),
    same!("subject", "при"),
    same!("header", "list-id", "lists"),
    same!("header", "List-Unsubscribe", ""),
    same!("header", "user-agent", "mutt"),
    same!("header", "received", "postfix"),
    same!("header", "references", "@"),
    same!("header", "in-reply-to", ".1"),
    same!("header", "message-id", "7@"),
    as_dovecot!(["before", "2023-11-15"], ["before", "15-Nov-2023"]),
    as_dovecot!(["on", "2023-11-15"], ["on", "15-Nov-2023"]),
    same!("since", "15-Nov-2023"),
    as_dovecot!(["sentbefore", "2023-11-15"], ["sentbefore", "15-Nov-2023"]),
    same!("senton", "15-Nov-2023"),
    same!("sentsince", "15-Nov-2023"),
    same!("body", "the"),
    same!("body", "über"),
    same!("body", "margin:0\">"),
    same!("body", "no such words"),
    same!("text", "example.org"),
    same!("text", "content-transfer-encoding"),
    same!("text", "x-mailer"),
    as_dovecot!(
        ["unseen", "or subject e (since 15-Nov-2023 not from anna)"],
        ["unseen", "(", "subject", "e", "or", "(", "since", "15-Nov-2023", "not", "from", "anna", ")", ")"]
    ),
];

const ODD: &[Pair] = &[
    same!("from", "jürgen"),
    same!("from", "JÜRGEN"),
    same!("from", "doe, j"),
    same!("from", "\"Doe"),
    same!("from", "second"),
    same!("from", ""),
    same!("from", "pete@silly.test"),
    same!("from", "pete <pete@silly.test>"),
    same!("from", "jdoe@machine.example"),
    same!("to", "mary@example.net"),
    same!("to", "undisclosed"),
    same!("to", "müller"),
    same!("to", "p899@"),
    same!("to", "p5@"),
    same!("cc", "one@"),
    same!("cc", "two@"),
    same!("bcc", "secret"),
    same!("subject", "grüße"),
    same!("subject", "GRÜ"),
    same!("subject", "gru"),
    same!("subject", "grus"),
    same!("subject", "привет"),
    same!("subject", "ПРИВЕТ"),
    same!("subject", "日本"),
    same!("subject", "a or all"),
    same!("subject", "ll -x"),
    same!("subject", "("),
    same!("subject", "\""),
    same!("subject", "\\"),
    same!("subject", "folded and long"),
    same!("subject", "first"),
    same!("subject", "again"),
    same!("subject", ""),
    same!("header", "subject", "again"),
    same!("header", "x-odd", "grüße"),
    same!("header", "X-ODD", ""),
    same!("header", "x-nothing", ""),
    same!("header", "content-type", "iso-8859-1"),
    same!("header", "message-id", "id@odd"),
    as_dovecot!(["messageid", "<id@odd.example>"], ["header", "message-id", "<id@odd.example>"]),
    as_dovecot!(["sentbefore", "1971-01-01"], ["sentbefore", "1-Jan-1971"]),
    as_dovecot!(["senton", "2026-01-01"], ["senton", "1-Jan-2026"]),
    as_dovecot!(["senton", "2025-12-31"], ["senton", "31-Dec-2025"]),
    as_dovecot!(["sentsince", "2026-01-01"], ["sentsince", "1-Jan-2026"]),
    as_dovecot!(["sentbefore", "2026-01-01"], ["sentbefore", "1-Jan-2026"]),
    as_dovecot!(["on", "2026-01-01"], ["on", "1-Jan-2026"]),
    as_dovecot!(["before", "2026-01-01"], ["before", "1-Jan-2026"]),
    as_dovecot!(["since", "2026-01-01"], ["since", "1-Jan-2026"]),
    as_dovecot!(["senton", "1997-11-21"], ["senton", "21-Nov-1997"]),
    same!("body", "needle"),
    same!("body", "misplaced"),
    same!("body", "behind the outer one"),
    same!("body", "longer boundary"),
    same!("body", "in a digest"),
    same!("body", "eight bits: grün"),
    same!("body", "within a line"),
    same!("text", "x-digest: yes"),
    same!("text", "a fold of nothing"),
    same!("from", "a fold of nothing"),
    same!("body", "grüße"),
    same!("body", "GRÜSSE"),
    same!("body", "softbreak"),
    same!("body", "<b>bold</b>"),
    same!("body", "boldness"),
    same!("body", "within"),
    same!("body", "inner subject"),
    same!("body", "attached"),
    same!("body", "c2Vj"),
    same!("body", "secret"),
    same!("body", "vcalendar"),
    same!("body", "reporting-mta"),
    same!("body", "preamble"),
    same!("body", "epilogue"),
    same!("body", "x-part"),
    same!("body", "привет"),
    same!("body", ""),
    same!("text", "x-part"),
    same!("text", "inner subject"),
    same!("text", "subject: again"),
    same!("text", "x-odd: gr"),
    same!("text", "needle"),
    same!("text", "привет"),
];

/// Mail as it comes, whole enough for two readers to agree on what it says.
fn odd_mails() -> Vec<Vec<u8>> {
    let to = (0..900).map(|n| format!("p{n}@example.org")).collect::<Vec<_>>().join(",\n\t");
    let mut mails: Vec<Vec<u8>> = [
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nFrom: \"Doe, J.\" <Ann@Example.org>\nDate: Thu, 1 Jan 2026 00:30:00 +1400\n\nneedle\n",
        "Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nDate: Wed, 31 Dec 2025 23:30:00 -0900\n\nhay\n",
        "Subject: =?koi8-r?B?8NLJ18XU?=\nTo: undisclosed-recipients:;\nDate: Thu, 1 Jan 2026 12:00:00 +0000\n\nx\n",
        "Subject: =?utf-8?b?5pel5pys?=\nTo: =?iso-8859-1?q?M=FCller?= <m@example.org>\nDate: some day\n\nx\n",
        "Subject: cut in two: =?utf-8?q?=C3?= =?utf-8?q?=BC?=\n\nx\n",
        "Subject: a or all -x\n\nx\n",
        "Subject: ( \" \\\n\nx\n",
        "Subject: folded\n and\n\tlong\n\nx\n",
        "Subject: first\nSubject: again\nFrom: first@example.org\nFrom: second@example.org\nCc: one@example.org\nCc: two@example.org\n\nx\n",
        "Subject:\nBcc: Secret <s@example.org>\n\nx\n",
        "From: a@example.org\nX-Odd: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n folded\nMessage-ID: <id@odd.example>\n\nx\n",
        "Subject: crlf\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n\r\nneedle\r\nand more\r\n",
        "",
        "Content-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8NLJ18XU\n",
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe soft=\nbreak\n",
        "Subject: mixed\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\npreamble\n--B\n\
            Content-Type: text/plain; charset=utf-8\nX-Part: ph\n\nGrüße\n--B\n\
            Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+Ym9sZDwvYj5uZXNz\n--B\n\
            Content-Type: application/octet-stream; name=attached\nContent-Transfer-Encoding: base64\n\nc2VjcmV0\n--B\n\
            Content-Type: message/rfc822\n\nSubject: inner subject\n\nwithin\n--B\n\
            Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n--B\n\
            Content-Type: message/delivery-status\n\nReporting-MTA: dns; far.example\n\n--B--\nepilogue\n",
        // RFC 5322 still lets it be read so.
        "From : Pete (a \\) chap) <pete(his account)@silly.test(his host)>\n\nx\n",
        "From : John Doe <jdoe@machine(comment).  example>\nTo : Mary Smith\n  <mary@example.net>\n\
            Date : Fri, 21 Nov 1997 09(comment):   55  :  06 -0600\n\nx\n",
        "Content-Type: multipart/mixed; boundary=B\n\n--B\n\nwithin a line --B\nis nothing misplaced\n--B\n\
            Content-Type: multipart/mixed; boundary=I\n\n--I\n\ncut short\n--B\n\nbehind the outer one\n--B\n\
            Content-Type: multipart/mixed; boundary=BB\n\n--BB\n\nlonger boundary\n--BB--\n--B--\n",
        "Content-Type: multipart/digest; boundary=B\n\n--B\n\nX-Digest: yes\n\nin a digest\n--B--\n",
        "Content-Type: text/plain; charset=us-ascii\n\neight bits: grün\n",
        " From: a fold of nothing\nSubject: x\n\nx\n",
        "Subject: alternative\nContent-Type: multipart/alternative; boundary=\"a b\"\n\n--a b\n\n\
            needle\n--a b\nContent-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n<p>x</p>\n--a b--\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    mails.push(format!("Subject: many\nTo: {to}\n\nx\n").into_bytes());
    mails.push(b"Subject: raw latin \xfc\nContent-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe\n".to_vec());
    mails
}

/// Runs all queries, and names those about which the two disagree.
fn compare(mail: &Mailbox, dovecot: &Dovecot<'_>, pairs: &[Pair], zones: &[&str]) -> (usize, Vec<String>) {
    let bases = dovecot.bases();
    let ours: BTreeMap<u32, String> = mail
        .run(["list", "--json", "--no-refresh"])
        .ok()
        .json()
        .iter()
        .map(|record| {
            let base = record["base"].as_str().expect("a base name");
            (record["uid"].as_u64().expect("a UID") as u32, base.to_string())
        })
        .collect();
    assert_eq!(ours.len(), bases.len());
    let (mut asked, mut differ) = (0, Vec::new());
    for (words, other) in pairs {
        for zone in zones {
            let mut command = mail.command([&["list", "--uids", "--no-refresh"], *words].concat());
            let run = mail.finish(command.env("TZ", zone)).ok().silent();
            let mine: BTreeSet<_> = run.text().lines().map(|uid| &ours[&uid.parse().expect("a UID")]).collect();
            let search = dovecot.search(other.unwrap_or(words), zone);
            let theirs: BTreeSet<_> = search.iter().map(|uid| &bases[uid]).collect();
            asked += 1;
            if mine != theirs {
                let names = |names: Vec<&&String>| {
                    names.into_iter().take(5).map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
                };
                differ.push(format!(
                    "{words:?} ({zone}): {} and {}; only maildex: {}; only Dovecot: {}",
                    mine.len(),
                    theirs.len(),
                    names(mine.difference(&theirs).collect()),
                    names(theirs.difference(&mine).collect())
                ));
            }
        }
    }
    (asked, differ)
}

#[test]
fn odd_mail_is_found_as_dovecot_finds_it() {
    let mail = Mailbox::new();
    let flags = ["", "S", "F", "FS", "R", "T", "D", "a", "Sa", "PS"];
    for (n, text) in odd_mails().into_iter().enumerate() {
        let name = format!("cur/{n:03}.host:2,{}", flags[n % flags.len()]);
        mail.deliver(&name, text);
        // Around the beginning of 2026, in steps of seven hours.
        let file = fs::File::options().write(true).open(mail.file(&name)).expect("open");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 - 60_000 + 25_200 * n as u64);
        file.set_times(fs::FileTimes::new().set_modified(time)).expect("set the time");
    }
    fs::write(mail.file("dovecot-keywords"), "0 work\n").expect("write");
    mail.run(["build"]).ok();
    let Some(dovecot) = Dovecot::new(&mail, "search beside Dovecot") else { return };
    dovecot.search(&["all"], "UTC");
    let (_, differ) = compare(&mail, &dovecot, FLAGS, &["UTC"]);
    assert!(differ.is_empty(), "{differ:#?}");
    let (_, differ) = compare(&mail, &dovecot, ODD, &["UTC"]);
    assert!(differ.is_empty(), "{differ:#?}");
    let is_date = |pair: &&Pair| ["on", "since", "before"].iter().any(|end| pair.0[0].ends_with(end));
    let dates: Vec<Pair> = ODD.iter().filter(is_date).copied().collect();
    let (asked, differ) = compare(&mail, &dovecot, &dates, &["<+14>-14", "EST5"]);
    assert!(asked >= 14 && differ.is_empty(), "{differ:#?}");
    known_differences(&mail, &dovecot);
}

/// The keys that mean something else, each with what maildex.query(7) gives as the reason. If one of these ceases to
/// differ, the page has to change.
fn known_differences(mail: &Mailbox, dovecot: &Dovecot<'_>) {
    let differs: &[Pair] = &[
        // Where the file is, not whether another session has met it.
        same!("new"),
        same!("old"),
        // Bytes of the file: IMAP counts two for each end of a line.
        same!("larger", "75"),
        same!("smaller", "75"),
    ];
    let (asked, differ) = compare(mail, dovecot, differs, &["UTC"]);
    assert_eq!(differ.len(), asked, "{differ:#?}");
}

#[test]
fn made_up_mail_is_found_as_dovecot_finds_it() {
    let count = if long() { 20_000 } else { 400 };
    let mail = Mailbox::in_memory();
    sample::write(&mail.path(), 0..count).expect("write");
    fs::write(mail.file("dovecot-keywords"), sample::KEYWORDS).expect("write");
    mail.run(["build"]).ok();
    let Some(dovecot) = Dovecot::new(&mail, "search beside Dovecot") else { return };
    let begun = Instant::now();
    dovecot.search(&["all"], "UTC");
    let mut differ = Vec::new();
    let mut asked = 0;
    for pairs in [FLAGS, SAMPLE] {
        let (number, found) = compare(&mail, &dovecot, pairs, &["UTC"]);
        asked += number;
        differ.extend(found);
    }
    if long() {
        let seconds = begun.elapsed().as_secs();
        figures(&format!("{asked} queries on {count} mails beside Dovecot: {} differ, {seconds} s", differ.len()));
    }
    assert!(differ.is_empty(), "{differ:#?}");
}
