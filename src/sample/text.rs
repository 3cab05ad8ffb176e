//! Header and body of the sample's messages.

use std::fmt::{self, Write as _};

use base64::Engine;
use jiff::tz::{Offset, TimeZone};

use super::random::Random;
use super::words::{AGENTS, DOMAINS, ENCODED, FIRST_NAMES, LAST_NAMES, LISTS, WORDS, WORDS_8BIT, ZONES};
use super::{Thread, message_id, purpose};

/// Body sizes in bytes at each sixteenth of the messages: half of them have less than 4 KiB, few have much more.
const SIZES: [usize; 17] =
    [300, 1200, 1630, 2010, 2390, 2770, 3170, 3610, 4100, 4640, 5290, 6060, 7030, 8330, 10_280, 13_980, 40_000];

/// Columns after which a header line is folded, if there is a space.
const FOLD_AT: usize = 62;

/// Bytes of text in one encoded word; RFC 2047 allows it 75 characters.
const ENCODED_LEN: usize = 36;

/// Text that bodies are cut from.
#[derive(Debug)]
pub(super) struct Blocks {
    plain: String,
    html: String,
    base64: String,
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        let mut random = Random::of(0, purpose::TEXT);
        let (mut plain, mut html, mut line) = (String::new(), String::new(), String::new());
        while plain.len() < 160 << 10 {
            let word = random.pick_skewed(&WORDS);
            if line.len() + word.len() < 72 {
                line.push_str(word);
                line.push(' ');
                continue;
            }
            let text = line.trim_end();
            plain.push_str(text);
            plain.push('\n');
            html.extend(["<p style=3D\"margin:0\">", text, "=\n</p>\n"]);
            line = word.to_string() + " ";
        }
        let bytes: Vec<u8> = (0..25_000).flat_map(|_| random.next().to_le_bytes()).collect();
        let base64 = bytes.chunks(57).fold(String::new(), |text, bytes| text + &BASE64.encode(bytes) + "\n");
        Blocks { plain, html, base64 }
    }

    /// Text of a message, and its subject decoded.
    pub(super) fn mail(&self, number: u32, received_s: i64, thread: &Thread) -> (Vec<u8>, String) {
        let mut random = Random::of(number, purpose::TEXT);
        let mut header = Header::default();
        let zone = random.pick(&ZONES);
        let sender = Person::pick(&mut random);
        let receiver = Person { first: "Bob", last: "Brown", domain: "example.org" };
        header.field("Return-Path", format_args!("<{sender}>"));
        header.field("Delivered-To", format_args!("{receiver}"));
        for hop in 0..=random.below(5) as i64 {
            let (from, by) = (random.pick(&DOMAINS), random.pick(&DOMAINS));
            let (id, time) = (random.next(), Date(received_s - 2 * hop, zone));
            header.field(
                "Received",
                format_args!(
                    "from mx{hop}.{from} (mx{hop}.{from} [192.0.2.{}])\n\tby mail.{by} (Postfix) with ESMTPS id {id:016X}\n\tfor <{receiver}>; {time}",
                    hop + 1
                ),
            );
        }
        if random.chance(600) {
            let signature = cut(&self.base64, 400, &mut random).replace('\n', "\n\t ");
            let domain = sender.domain;
            header.field(
                "DKIM-Signature",
                format_args!(
                    "v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=s1;\n\th=from:to:subject:date:message-id;\n\tb={}",
                    signature.trim_end()
                ),
            );
        }
        header.field("From", sender.with_name(&mut random));
        header.field("To", receiver.with_name(&mut random));
        let copies = match random.below(1000) {
            0..4 => 100 + random.below(400),
            4..300 => 1 + random.below(5),
            _ => 0,
        };
        if copies > 0 {
            let copies: Vec<String> = (0..copies).map(|_| Person::pick(&mut random).with_name(&mut random)).collect();
            header.field("Cc", copies.join(",\n\t"));
        }
        let list = Random::of(thread.root, purpose::SUBJECT).chance(400).then(|| {
            let mut random = Random::of(thread.root, purpose::ID);
            random.pick(&LISTS)
        });
        let (subject, encoded) = subject(thread, list);
        header.field("Subject", encoded);
        header.field("Date", Date(received_s - random.below(90) as i64, zone));
        header.field("Message-ID", message_id(number));
        if let Some(&parent) = thread.ancestors.first() {
            header.field("In-Reply-To", message_id(parent));
            header.field("References", thread.references().join("\n\t"));
        }
        if let Some(list) = list {
            header.field("List-Id", format_args!("<{list}.lists.example.org>"));
            header.field("List-Unsubscribe", format_args!("<mailto:{list}-leave@lists.example.org>"));
            header.field("Precedence", "list");
        }
        header.field("User-Agent", random.pick(&AGENTS));
        header.field("MIME-Version", "1.0");
        let text = self.body(header, &mut random);
        (text, subject)
    }

    fn body(&self, mut header: Header, random: &mut Random) -> Vec<u8> {
        let len = size(random);
        let boundary = format!("=_{:016x}", random.next());
        let typed = |kind: &str, encoding: &str| format!("{kind}\nContent-Transfer-Encoding: {encoding}");
        let (html, pdf) = ("text/html; charset=utf-8", "application/pdf; name=\"report.pdf\"");
        let kind = random.below(1000);
        let is_twofold = (10..350).contains(&kind);
        let mut text = cut(&self.plain, if is_twofold { len / 3 } else { len }, random).to_string();
        let (kind, encoding) = match kind {
            0..10 => {
                let data = cut(&self.base64, 70_000 + random.below(70_000), random);
                text = format!(
                    "--{boundary}\nContent-Type: text/plain\n\n{text}\n--{boundary}\nContent-Type: {}\n\n{data}\n--{boundary}--\n",
                    typed(pdf, "base64")
                );
                (format!("multipart/mixed; boundary=\"{boundary}\""), "7bit")
            }
            10..350 => {
                let markup = cut(&self.html, len - len / 3, random);
                text = format!(
                    "--{boundary}\nContent-Type: text/plain\n\n{text}\n--{boundary}\nContent-Type: {}\n\n{markup}\n--{boundary}--\n",
                    typed(html, "quoted-printable")
                );
                (format!("multipart/alternative; boundary=\"{boundary}\""), "7bit")
            }
            350..500 => {
                text.insert_str(0, "Grüße aus Köln, 会議は明日です。\n\n");
                ("text/plain; charset=utf-8".into(), "8bit")
            }
            500..550 => ("text/plain; charset=iso-8859-1".into(), "8bit"),
            _ => ("text/plain; charset=us-ascii".into(), "7bit"),
        };
        header.field("Content-Type", &kind);
        header.field("Content-Transfer-Encoding", encoding);
        let mut bytes = header.0.into_bytes();
        bytes.push(b'\n');
        if kind.ends_with("iso-8859-1") {
            bytes.extend_from_slice(b"Gr\xfc\xdfe aus K\xf6ln\n\n");
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }
}

/// About so many bytes of whole lines of a block, from anywhere.
fn cut<'t>(block: &'t str, len: usize, random: &mut Random) -> &'t str {
    let line_from = |at: usize| block[at..].find('\n').map_or(block.len(), |end| at + end + 1);
    let start = line_from(random.below(block.len() - len));
    &block[start..line_from((start + len).min(block.len()))]
}

const BASE64: base64::engine::GeneralPurpose = base64::prelude::BASE64_STANDARD;

fn size(random: &mut Random) -> usize {
    let sixteenth = random.below(16);
    let (from, to) = (SIZES[sixteenth], SIZES[sixteenth + 1]);
    from + random.below(to - from)
}

/// The lines of a header.
#[derive(Default)]
struct Header(String);

impl Header {
    fn field(&mut self, name: &str, value: impl fmt::Display) {
        writeln!(self.0, "{name}: {value}").expect("a String takes everything");
    }
}

/// A time as in `Date:`, and the zone in minutes.
struct Date(i64, i32);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = Offset::from_seconds(self.1 * 60).expect("zones are less than a day");
        let time = jiff::Timestamp::from_second(self.0).expect("the sample ends long before the year 9999");
        write!(f, "{}", time.to_zoned(TimeZone::fixed(zone)).strftime("%a, %-d %b %Y %H:%M:%S %z"))
    }
}

/// Who sends or gets mail.
struct Person {
    first: &'static str,
    last: &'static str,
    domain: &'static str,
}

impl Person {
    fn pick(random: &mut Random) -> Person {
        Person {
            first: random.pick_skewed(&FIRST_NAMES),
            last: random.pick_skewed(&LAST_NAMES),
            domain: random.pick(&DOMAINS),
        }
    }

    /// Name and address as other programs write them: plain, quoted, or encoded.
    fn with_name(&self, random: &mut Random) -> String {
        let Person { first, last, .. } = self;
        let name = format!("{first} {last}");
        let name = match random.below(10) {
            _ if !name.is_ascii() => encoded(&name, random),
            0..3 => format!("\"{last}, {first}\""),
            _ => name,
        };
        format!("{name} <{self}>")
    }
}

impl fmt::Display for Person {
    /// The address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
        write!(f, "{}.{}@{}", plain(self.first), plain(self.last), self.domain)
    }
}

/// The subject of a thread, decoded, and as the header has it.
fn subject(thread: &Thread, list: Option<&str>) -> (String, String) {
    let mut random = Random::of(thread.root, purpose::SUBJECT);
    let reply = if thread.ancestors.is_empty() { "" } else { "Re: " };
    let tag = list.map(|list| format!("[{list}] ")).unwrap_or_default();
    let prefix = format!("{reply}{tag}");
    random.next();
    if random.chance(80) {
        let (text, encoded) = random.pick(&ENCODED);
        return (prefix.clone() + text, prefix + encoded);
    }
    let mut words: Vec<&str> = (0..2 + random.below(8)).map(|_| random.pick(&WORDS)).collect();
    let is_ascii = random.chance(750);
    if !is_ascii {
        words.insert(random.below(words.len()), random.pick(&WORDS_8BIT));
    }
    let mut text = words.join(" ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let encoded = match random.below(10) {
        _ if is_ascii => folded(&(prefix.clone() + &text)),
        // As it is, in UTF-8, as RFC 6532 allows.
        0 => prefix.clone() + &text,
        _ => prefix.clone() + &encoded(&text, &mut random),
    };
    (prefix + &text, encoded)
}

/// The text over several lines if it is long.
fn folded(text: &str) -> String {
    match text.get(FOLD_AT..).and_then(|rest| rest.find(' ')) {
        Some(space) => {
            let (line, rest) = text.split_at(FOLD_AT + space);
            format!("{line}\n{rest}")
        }
        None => text.into(),
    }
}

/// The text in encoded words (RFC 2047), as one of three kinds of mail program makes them.
fn encoded(text: &str, random: &mut Random) -> String {
    let latin1 = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>();
    let quoted = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |text, &b| match b {
            b' ' => text + "_",
            b if b.is_ascii_alphanumeric() => text + char::from(b).encode_utf8(&mut [0; 4]),
            b => text + &format!("={b:02X}"),
        })
    };
    match (random.below(3), latin1) {
        (0, Ok(latin1)) => {
            let words = latin1.chunks(ENCODED_LEN / 2).map(|bytes| format!("=?ISO-8859-1?Q?{}?=", quoted(bytes)));
            words.collect::<Vec<_>>().join("\n ")
        }
        (1, _) => {
            let words = pieces(text, ENCODED_LEN / 2).map(|text| format!("=?utf-8?Q?{}?=", quoted(text.as_bytes())));
            words.collect::<Vec<_>>().join("\n ")
        }
        _ => {
            let words = pieces(text, ENCODED_LEN).map(|text| format!("=?UTF-8?B?{}?=", BASE64.encode(text)));
            words.collect::<Vec<_>>().join("\n ")
        }
    }
}

/// The text in pieces of at most so many bytes, whole characters each.
fn pieces(mut text: &str, max: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(max));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
