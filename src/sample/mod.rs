//! A made-up Maildir: the same bytes, names and times each time, and as motley as mail is.
//!
//! For the demonstration, for tests, and for measuring. Message number n is the same in every sample that has one, so a
//! larger sample continues a smaller one, and any message can be made without those before it. It has the names of
//! several delivery agents and synchronising programs, flags and keywords in the proportions of a real mailbox,
//! threads, subjects in many charsets, unencoded 8-bit text, headers of a hundred bytes to many kilobytes, and a few
//! large attachments. Nothing of it comes from a real person.

mod folder;
mod name;
mod random;
mod text;
mod words;

pub use folder::{MARKER, MESSAGES_MAX, Made, Progress, make, write};

use crate::maildir::Sub;
use crate::maildir::name::base_of;
use random::Random;
use text::Blocks;

/// Of what is made: another number means other bytes. A folder made by another version is never touched.
pub const VERSION: u32 = 1;

/// When the first message was delivered, in seconds since 1970.
const START_S: i64 = 1_700_000_000;

/// Seconds between messages; the exact second within that is drawn.
const SPACING_S: i64 = 90;

/// The contents of `dovecot-keywords`: names for the letters a to c.
pub const KEYWORDS: &str = "0 $Forwarded\n1 work\n2 $Junk\n";

/// What a number is drawn for; see [`Random::of`].
mod purpose {
    pub const PARENT: u64 = 1;
    pub const ID: u64 = 2;
    pub const TIME: u64 = 3;
    pub const SUBJECT: u64 = 4;
    pub const TEXT: u64 = 5;
    pub const NAME: u64 = 6;
    pub const INFO: u64 = 7;
}

/// A message of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where it lies.
    pub sub: Sub,
    /// Its file name.
    pub name: Vec<u8>,
    /// Header and body.
    pub text: Vec<u8>,
    /// When it was delivered, in seconds since 1970: the file's mtime.
    pub received_s: i64,
    /// What its `Subject:` says, decoded.
    pub subject: String,
    /// Message-IDs of those that it answers, the nearest last.
    pub references: Vec<String>,
}

/// Makes messages.
#[derive(Debug)]
pub struct Sample {
    blocks: Blocks,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample::new()
    }
}

impl Sample {
    /// Makes the text that bodies are cut from.
    pub fn new() -> Sample {
        Sample { blocks: Blocks::new() }
    }

    /// Message `number`, from 0 on.
    pub fn mail(&self, number: u32) -> Mail {
        let received_s = received_s(number);
        let thread = Thread::of(number);
        let (text, subject) = self.blocks.mail(number, received_s, &thread);
        let mut name = name::base(number, received_s, &text, &mut Random::of(number, purpose::NAME));
        let mut random = Random::of(number, purpose::INFO);
        let sub = if random.chance(20) { Sub::New } else { Sub::Cur };
        if sub == Sub::Cur {
            name.extend_from_slice(name::info(&mut random).as_bytes());
        }
        Mail { sub, name, text, received_s, subject, references: thread.references() }
    }

    /// The number of the message with this file name, whatever flags it has by now, and the message as it was made.
    pub fn find(&self, name: &[u8]) -> Option<(u32, Mail)> {
        let base = base_of(name);
        let number = name::number_of(base)?;
        let mail = self.mail(number);
        (base_of(&mail.name) == base).then_some((number, mail))
    }
}

fn received_s(number: u32) -> i64 {
    START_S + i64::from(number) * SPACING_S + Random::of(number, purpose::TIME).below(60) as i64
}

/// The `Message-ID:` of a message.
fn message_id(number: u32) -> String {
    let mut random = Random::of(number, purpose::ID);
    format!("<{:016x}.{number}@{}>", random.next(), random.pick(&words::DOMAINS))
}

/// What a message answers.
#[derive(Debug)]
struct Thread {
    /// The nearest first; the last one began it. Empty if this one did.
    ancestors: Vec<u32>,
    root: u32,
}

impl Thread {
    /// `References:` holds no more than so many.
    const REFERENCES: usize = 12;

    fn of(number: u32) -> Thread {
        let mut ancestors = Vec::new();
        let mut root = number;
        while let Some(parent) = parent(root) {
            ancestors.push(parent);
            root = parent;
        }
        Thread { ancestors, root }
    }

    fn references(&self) -> Vec<String> {
        let nearest = &self.ancestors[..self.ancestors.len().min(Thread::REFERENCES)];
        nearest.iter().rev().map(|&number| message_id(number)).collect()
    }
}

/// More than half of all mail answers one of the last 150.
fn parent(number: u32) -> Option<u32> {
    let mut random = Random::of(number, purpose::PARENT);
    let back = random.below(number.clamp(1, 150) as usize) as u32 + 1;
    (number > 0 && random.chance(550)).then(|| number - back)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::maildir::name::Name;

    #[test]
    fn the_same_version_is_the_same_mail_for_ever() {
        let sample = Sample::new();
        let mut crc = 0;
        for number in 0..2000 {
            let mail = sample.mail(number);
            crc = crc32c::crc32c_append(crc, &mail.name);
            crc = crc32c::crc32c_append(crc, &mail.text);
            crc = crc32c::crc32c_append(crc, &mail.received_s.to_le_bytes());
        }
        assert_eq!((VERSION, crc), (1, 2_190_812_220), "other bytes need another VERSION");
    }

    #[test]
    fn every_message_is_found_by_its_name_and_no_two_have_one() {
        let sample = Sample::new();
        let mut bases = HashSet::new();
        for number in (0..3000).chain(999_000..1_000_000) {
            let mail = sample.mail(number);
            assert_eq!(sample.find(&mail.name), Some((number, mail.clone())), "{}", mail.name.escape_ascii());
            assert!(!mail.name.contains(&b'/') && !mail.name.contains(&0) && mail.name.len() < 200);
            assert!(bases.insert(base_of(&mail.name).to_vec()), "{}", mail.name.escape_ascii());
        }
        for strange in [&b""[..], b"x", b"mail-", b"mail-000017", b"1700000000.1.host", b"99999999999999999999.host"] {
            assert_eq!(sample.find(strange), None, "{}", strange.escape_ascii());
        }
    }

    #[test]
    fn it_is_as_motley_as_mail_is() {
        let sample = Sample::new();
        let mails: Vec<Mail> = (0..5000).map(|number| sample.mail(number)).collect();
        let share = |what: &dyn Fn(&Mail) -> bool| mails.iter().filter(|mail| what(mail)).count();
        let has = |text: &'static str| move |mail: &Mail| memchr::memmem::find(&mail.text, text.as_bytes()).is_some();
        assert!((50..200).contains(&share(&|mail| mail.sub == Sub::New)));
        assert!((2000..3500).contains(&share(&|mail| !mail.references.is_empty())));
        assert!(share(&|mail| mail.references.len() > 6) > 10);
        assert!(share(&|mail| !Name::parse(&mail.name).is_canonical()) > 5);
        assert!(share(&|mail| std::str::from_utf8(&mail.name).is_err()) > 2);
        assert!(share(&|mail| std::str::from_utf8(&mail.text).is_err()) > 10);
        assert!(share(&|mail| !mail.subject.is_ascii()) > 500);
        assert!(share(&|mail| mail.text.len() > 70_000) > 20);
        for text in [
            "=?UTF-8?B?",
            "=?utf-8?Q?",
            "=?ISO-8859-1?Q?",
            "=?ISO-2022-JP?B?",
            "\nContent-Type: multipart/alternative",
            "\nContent-Transfer-Encoding: quoted-printable",
            "\nList-Id: ",
            "\nDKIM-Signature: ",
        ] {
            assert!(share(&has(text)) > 20, "{text}");
        }
        for style in [",S=", ",W=", ",U=", "V000000000000FE01I", ",FMD5=", "_0.", "Gr"] {
            let of_style = |mail: &Mail| memchr::memmem::find(&mail.name, style.as_bytes()).is_some();
            assert!(share(&of_style) > 10, "{style}");
        }
        for letter in "DFPRSTabc".bytes() {
            let flag = crate::maildir::flags::Flags::letter(letter).expect("a letter");
            assert!(share(&|mail| Name::parse(&mail.name).flags.contains(flag)) > 5, "{letter}");
        }
    }
}
