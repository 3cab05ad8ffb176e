//! Random queries on random mails: what is found is what a naive reading of both says.

use std::fs;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maildex::folder::Folder;
use maildex::ops::select::select;
use maildex::query::{Clock, Query};

use crate::mailbox::Mailbox;

const MAILS: u32 = 80;
const QUERIES: usize = 1500;
const DAY: i64 = 86_400;
/// 1 January 2026.
const START: i64 = 1_767_225_600;

/// Words of mails, as they are and as a header and a body of quoted-printable write them.
const WORDS: [(&str, &str); 6] = [
    ("alpha", "alpha"),
    ("Beta", "Beta"),
    ("Größe", "Gr=C3=B6=C3=9Fe"),
    ("привет", "=D0=BF=D1=80=D0=B8=D0=B2=D0=B5=D1=82"),
    ("a or all", "a=20or=20all"),
    ("(\"\\", "=28=22=5C"),
];

/// What may be looked for: in any case, and parts of words.
const NEEDLES: [&str; 10] = ["ALPHA", "eta", "grö", "ößE", "ПРИ", "or al", "\"", "(", "\\", "nowhere"];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A mail as it was meant.
struct Meant {
    uid: u32,
    is_new: bool,
    flags: String,
    subject: String,
    from: String,
    tag: String,
    body: String,
    size: usize,
    received: i64,
    /// The clock of its sender.
    sent: i64,
}

/// A query, as a tree of what it means.
enum Tree {
    Flag(char, &'static str, bool),
    New(bool),
    Uids(u32, u32),
    Subject(&'static str),
    From(&'static str),
    Tag(&'static str),
    Body(&'static str),
    Larger(usize),
    Since(i64),
    On(i64),
    SentBefore(i64),
    SentOn(i64),
    Not(Box<Tree>),
    All(Vec<Tree>),
    Any(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn random(random: &mut Random, depth: usize) -> Tree {
        let deeper = |random: &mut Random| Tree::random(random, depth - 1);
        match random.below(if depth == 0 { 12 } else { 16 }) {
            0 => {
                let (letter, name) =
                    random.pick(&[('S', "seen"), ('F', "flagged"), ('R', "answered"), ('T', "deleted")]);
                Tree::Flag(letter, name, random.below(2) == 0)
            }
            1 => Tree::New(random.below(2) == 0),
            2 => Tree::Uids(1 + random.below(MAILS as usize) as u32, 1 + random.below(MAILS as usize) as u32),
            3 => Tree::Subject(random.pick(&NEEDLES)),
            4 => Tree::From(random.pick(&NEEDLES)),
            5 => Tree::Tag(random.pick(&NEEDLES)),
            6 => Tree::Body(random.pick(&NEEDLES)),
            7 => Tree::Larger(200 + random.below(100)),
            8 => Tree::Since(random.below(6) as i64),
            9 => Tree::On(random.below(6) as i64),
            10 => Tree::SentBefore(random.below(6) as i64),
            11 => Tree::SentOn(random.below(6) as i64),
            12 => Tree::Not(Box::new(deeper(random))),
            13 => Tree::Any(Box::new(deeper(random)), Box::new(deeper(random))),
            _ => Tree::All((0..2 + random.below(2)).map(|_| deeper(random)).collect()),
        }
    }

    /// The words of a command line: some texts as arguments of their own, others in quotes.
    fn words(&self, random: &mut Random, words: &mut Vec<String>) {
        let mut text = |key: &str, text: &str| {
            if random.below(2) == 0 {
                words.extend([key.to_string(), text.to_string()]);
            } else {
                words.push(format!("{key} \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
            }
        };
        let day = |number: &i64| format!("2026-01-{:02}", number + 1);
        match self {
            Tree::Flag(_, name, true) => words.push((*name).to_string()),
            Tree::Flag(_, name, false) => words.push(format!("un{name}")),
            Tree::New(is_new) => words.push(if *is_new { "NEW" } else { "Old" }.to_string()),
            Tree::Uids(from, to) => words.push(format!("uid {from}:{to}")),
            Tree::Subject(needle) => text("subject", needle),
            Tree::From(needle) => text("from", needle),
            Tree::Tag(needle) => text("header X-Tag", needle),
            Tree::Body(needle) => text("body", needle),
            Tree::Larger(size) => words.push(format!("larger {size}")),
            Tree::Since(number) => words.push(format!("since {}", day(number))),
            Tree::On(number) => words.push(format!("on {}", day(number))),
            Tree::SentBefore(number) => words.push(format!("sentbefore {}", day(number))),
            Tree::SentOn(number) => words.push(format!("senton {}", day(number))),
            Tree::Not(tree) => {
                words.push("not".into());
                tree.words(random, words);
            }
            Tree::All(trees) => {
                words.push("(".into());
                for tree in trees {
                    tree.words(random, words);
                }
                words.push(")".into());
            }
            Tree::Any(one, other) => {
                words.push("or".into());
                one.words(random, words);
                other.words(random, words);
            }
        }
    }

    fn means(&self, mail: &Meant) -> bool {
        let has = |text: &str, needle: &str| text.to_lowercase().contains(&needle.to_lowercase());
        let day = |seconds: i64| (seconds - START).div_euclid(DAY);
        match self {
            Tree::Flag(letter, _, set) => mail.flags.contains(*letter) == *set,
            Tree::New(is_new) => mail.is_new == *is_new,
            Tree::Uids(from, to) => (*from.min(to)..=*from.max(to)).contains(&mail.uid),
            Tree::Subject(needle) => has(&mail.subject, needle),
            Tree::From(needle) => has(&mail.from, needle),
            Tree::Tag(needle) => has(&mail.tag, needle),
            Tree::Body(needle) => has(&mail.body, needle),
            Tree::Larger(size) => mail.size > *size,
            Tree::Since(number) => day(mail.received) >= *number,
            Tree::On(number) => day(mail.received) == *number,
            Tree::SentBefore(number) => day(mail.sent) < *number,
            Tree::SentOn(number) => day(mail.sent) == *number,
            Tree::Not(tree) => !tree.means(mail),
            Tree::All(trees) => trees.iter().all(|tree| tree.means(mail)),
            Tree::Any(one, other) => one.means(mail) || other.means(mail),
        }
    }
}

/// Writes a random mail, and says what it means.
fn deliver(mailbox: &Mailbox, uid: u32, random: &mut Random) -> Meant {
    let mut text = |many: usize| {
        let words: Vec<_> = (0..random.below(many)).map(|_| random.pick(&WORDS)).collect();
        let plain: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let encoded: Vec<_> = words.iter().map(|(_, word)| *word).collect();
        (plain.join(" "), encoded.join("=20"))
    };
    let (subject, encoded_subject) = text(4);
    let (tag, encoded_tag) = text(3);
    let (body, encoded_body) = text(6);
    // A name of these would be quoted, and what is compared is how it is shown.
    let sender = random.pick(&WORDS[..4]);
    let header = |name: &str, encoded: &str| match encoded {
        "" => String::new(),
        encoded => format!("{name}: =?utf-8?q?{encoded}?=\n"),
    };
    let (hours, clock) = (random.pick(&[-11, -3, 0, 5, 14]), random.below(6 * DAY as usize) as i64);
    let zone = format!("{}{:02}00", if hours < 0 { '-' } else { '+' }, i64::abs(hours));
    let date = Timestamp::from_second(START + clock).expect("a time").strftime("%a, %d %b %Y %H:%M:%S").to_string();
    let mail = format!(
        "{}{}From: =?utf-8?q?{}?= <x@example.org>\nDate: {date} {zone}\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{encoded_body}\n",
        header("Subject", &encoded_subject),
        header("X-Tag", &encoded_tag),
        sender.1,
    );
    let is_new = random.below(4) == 0;
    let flags: String = "FRST".chars().filter(|_| !is_new && random.below(2) == 0).collect();
    let name = if is_new { format!("new/{uid:03}.host") } else { format!("cur/{uid:03}.host:2,{flags}") };
    mailbox.deliver(&name, &mail);
    let received = START + random.below(6 * DAY as usize) as i64;
    let file = fs::File::options().write(true).open(mailbox.file(&name)).expect("open");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(received as u64);
    file.set_times(fs::FileTimes::new().set_modified(time)).expect("set the time");
    let from = format!("{} <x@example.org>", sender.0);
    Meant { uid, is_new, flags, subject, from, tag, body, size: mail.len(), received, sent: START + clock }
}

#[test]
fn random_queries_find_what_a_naive_reading_finds() {
    let mailbox = Mailbox::in_memory();
    let mut random = Random(0x5eed);
    let mut mails: Vec<Meant> = (1..=MAILS).map(|uid| deliver(&mailbox, uid, &mut random)).collect();
    mailbox.run(["build"]).ok();
    // UIDs are given in the order of the index.
    for (uid, path) in mailbox.listed() {
        let number: u32 = path[4..7].parse().expect("the number of a mail");
        mails[number as usize - 1].uid = uid as u32;
    }
    mails.sort_by_key(|mail| mail.uid);
    let mut folder = Folder::open(&mailbox.path()).expect("open");
    let maildir = std::sync::Arc::clone(folder.maildir());
    let snapshot = folder.complete_index().expect("an index").snapshot().expect("a snapshot");
    let clock = Clock { now: Timestamp::from_second(START).expect("a time"), zone: TimeZone::UTC.into() };
    let (mut some, mut all) = (0, 0);
    for round in 0..QUERIES {
        let tree = Tree::random(&mut random, 3);
        let mut words = Vec::new();
        tree.words(&mut random, &mut words);
        let query = Query::parse(words.iter().map(String::as_str), &clock)
            .unwrap_or_else(|error| panic!("round {round}: {words:?}: {error}"));
        let mut found = Vec::new();
        select(
            &maildir,
            &snapshot,
            &query,
            &mut |slot, _| {
                found.push(slot.uid()?.get());
                Ok(true)
            },
            &mut |error| panic!("round {round}: {words:?}: {error}"),
        )
        .expect("select");
        let expected: Vec<u32> = mails.iter().filter(|mail| tree.means(mail)).map(|mail| mail.uid).collect();
        assert_eq!(found, expected, "round {round}: {words:?}, read as {query}");
        some += usize::from(!found.is_empty());
        all += usize::from(found.len() == mails.len());
    }
    // Queries that find nothing, or everything, would prove little.
    assert!(some > QUERIES / 2 && all < QUERIES / 4, "{some} of {QUERIES} found some, {all} found all");
}
