//! From the arguments of a command to a query.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::maildir::Sub;
use crate::maildir::flags::Flags;
use crate::query::Query;
use crate::query::key::{FIELDS, FLAGS, Key};
use crate::query::uidset::UidSet;
use crate::query::when::{Clock, Order, When, size};
use crate::query::words::{Word, Words};

/// Parentheses, `not` and `or` within each other; far more than people write, and little enough for any stack.
const DEPTH_MAX: usize = 200;

/// Every word that is a key, or joins keys; for whoever completes or corrects words.
pub const KEYS: [&str; 43] = [
    "all",
    "answered",
    "bcc",
    "before",
    "body",
    "cc",
    "deleted",
    "draft",
    "flagged",
    "from",
    "header",
    "keyword",
    "larger",
    "messageid",
    "new",
    "not",
    "old",
    "on",
    "or",
    "passed",
    "replied",
    "seen",
    "sentbefore",
    "senton",
    "sentsince",
    "since",
    "smaller",
    "subject",
    "text",
    "thread",
    "to",
    "trashed",
    "uid",
    "unanswered",
    "undeleted",
    "undraft",
    "unflagged",
    "unkeyword",
    "unpassed",
    "unreplied",
    "unseen",
    "untrashed",
    "zero",
];

const OR_HINT: &str = "or comes before its two keys: or seen flagged";

impl Query {
    /// Reads a query; no word at all means every message.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>, clock: &Clock) -> Result<Query> {
        let key = Parser { words: Words::new(arguments), clock, open: Vec::new() }.read()?;
        Ok(Query { key, zone: clock.zone.clone() })
    }
}

/// Whether these arguments end where a text is expected, so that the next one is a text, even if it looks like an option.
pub fn wants_text<'a>(arguments: impl IntoIterator<Item = &'a str>, clock: &Clock) -> bool {
    let mut parser = Parser { words: Words::new(arguments), clock, open: Vec::new() };
    let _ = parser.read();
    parser.words.ran_out
}

/// Whether a query can begin with this word.
pub fn is_key(word: &str) -> bool {
    KEYS.iter().any(|key| key.eq_ignore_ascii_case(word)) || UidSet::looks_like(word.as_bytes())
}

struct Parser<'a, 'c> {
    words: Words<'a>,
    clock: &'c Clock,
    /// What has begun and not ended. A stack of our own, for a script may chain thousands of `or`.
    open: Vec<Open<'a>>,
}

/// What waits for keys.
enum Open<'a> {
    /// The whole query.
    Query(Vec<Key>),
    /// A parenthesis, and which word it was.
    Parenthesis(Vec<Key>, usize),
    /// `not`, as it was written, or several; of two nothing is left.
    Not(&'a str, usize, bool),
    /// One `or`, or several that belong together; how many keys are still wanted.
    Or(&'a str, usize, Vec<Key>, usize),
}

impl<'a> Parser<'a, '_> {
    fn read(&mut self) -> Result<Key> {
        self.open.push(Open::Query(Vec::new()));
        while let Some(word) = self.words.key()? {
            let number = self.words.number;
            match word {
                Word::Open => self.open.push(Open::Parenthesis(Vec::new(), number)),
                Word::Close => {
                    let keys = match self.open.pop() {
                        Some(Open::Parenthesis(keys, _)) if keys.is_empty() => {
                            return Err(wrong(")", number, "a key between the parentheses"));
                        }
                        Some(Open::Parenthesis(keys, _)) => keys,
                        Some(Open::Query(_)) | None => {
                            return Err(wrong(")", number, "an opening parenthesis before it"));
                        }
                        Some(open) => return Err(open.unfinished()),
                    };
                    self.add(Key::all_of(keys));
                }
                Word::Plain(word) if word.eq_ignore_ascii_case("not") => match self.open.pop() {
                    Some(Open::Not(.., negates)) => self.open.push(Open::Not(word, number, !negates)),
                    before => {
                        self.open.extend(before);
                        self.open.push(Open::Not(word, number, true));
                    }
                },
                Word::Plain(word) if word.eq_ignore_ascii_case("or") => match self.open.last_mut() {
                    // One key of the first `or` becomes two.
                    Some(Open::Or(.., wanted)) => *wanted += 1,
                    _ => self.open.push(Open::Or(word, number, Vec::new(), 2)),
                },
                Word::Plain(word) => {
                    let key = self.simple(word)?;
                    self.add(key);
                }
                Word::Quoted(text) => {
                    let advice = "a text needs a key before it: subject, from, to, header FIELD, body, text";
                    return Err(wrong(&text, number, "a search key").advised(advice));
                }
            }
            if self.open.len() > DEPTH_MAX {
                let expected = format!("at most {DEPTH_MAX} parentheses, not and or within each other");
                return Err(wrong("(", self.words.number, expected));
            }
        }
        match self.open.pop() {
            Some(Open::Query(keys)) => Ok(Key::all_of(keys)),
            open => Err(open.map_or_else(|| wrong("", 0, "a query"), |open| open.unfinished())),
        }
    }

    /// A key is complete, and perhaps what waited for it.
    fn add(&mut self, mut key: Key) {
        loop {
            match self.open.pop() {
                Some(Open::Not(.., negates)) => key = if negates { key.negated() } else { key },
                Some(Open::Or(.., mut keys, 1)) => {
                    keys.push(key);
                    key = Key::any_of(keys);
                }
                Some(Open::Or(word, number, mut keys, wanted)) => {
                    keys.push(key);
                    self.open.push(Open::Or(word, number, keys, wanted - 1));
                    return;
                }
                Some(Open::Parenthesis(mut keys, number)) => {
                    keys.push(key);
                    self.open.push(Open::Parenthesis(keys, number));
                    return;
                }
                Some(Open::Query(mut keys)) => {
                    keys.push(key);
                    self.open.push(Open::Query(keys));
                    return;
                }
                None => return,
            }
        }
    }

    fn simple(&mut self, word: &'a str) -> Result<Key> {
        if UidSet::looks_like(word.as_bytes()) {
            return Ok(Key::Uids(self.uids(word)?));
        }
        let name = word.to_ascii_lowercase();
        if let Some((letter, set, _)) = FLAGS.iter().find(|(_, set, unset)| [*set, *unset].contains(&name.as_str())) {
            return Ok(Key::Flag { letter: *letter, set: *set == name });
        }
        if FIELDS.contains(&name.as_str()) {
            let text = self.text(word, "a text")?.into_owned();
            return Ok(Key::Field { name, text });
        }
        Ok(match name.as_str() {
            "all" => Key::ALL,
            "new" => Key::In(Sub::New),
            "old" => Key::In(Sub::Cur),
            "zero" => Key::Zero,
            "keyword" | "unkeyword" => {
                let text = self.text(word, "a keyword")?;
                self.keyword(&text, name == "keyword")?
            }
            "header" => {
                let field = self.text(word, "the name of a field, and a text")?;
                let name = field.strip_suffix(':').unwrap_or(&field);
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
                    return Err(self.wrong(&field, "the name of a field, such as List-Id"));
                }
                let text = self.text(&field, "a text")?.into_owned();
                Key::Field { name: name.to_ascii_lowercase(), text }
            }
            "messageid" => {
                let id = self.text(word, "a Message-ID")?;
                Key::MessageId(id.trim().trim_start_matches('<').trim_end_matches('>').to_string())
            }
            "before" => self.date(word, Order::Before, false)?,
            "on" => self.date(word, Order::On, false)?,
            "since" => self.date(word, Order::Since, false)?,
            "sentbefore" => self.date(word, Order::Before, true)?,
            "senton" => self.date(word, Order::On, true)?,
            "sentsince" => self.date(word, Order::Since, true)?,
            "larger" => Key::Larger(self.size(word)?),
            "smaller" => Key::Smaller(self.size(word)?),
            "uid" => {
                let set = self.text(word, "a UID set")?;
                Key::Uids(self.uids(&set)?)
            }
            "thread" => {
                let set = self.text(word, "the UID of a message")?;
                Key::Thread(self.uids(&set)?)
            }
            "body" => Key::Body(self.text(word, "a text")?.into_owned()),
            "text" => Key::Text(self.text(word, "a text")?.into_owned()),
            _ => {
                let error = self.wrong(word, "a UID set or a search key");
                return Err(match nearest(&name) {
                    Some(near) => error.advised(&format!("did you mean {near}? all keys: maildex help query")),
                    None => error,
                });
            }
        })
    }

    /// The text after a word.
    fn text(&mut self, word: &str, what: &str) -> Result<Cow<'a, str>> {
        let number = self.words.number;
        match self.words.text()? {
            Some(text) => Ok(text),
            None => Err(wrong(word, number, format!("{what} after it"))),
        }
    }

    fn keyword(&self, text: &str, set: bool) -> Result<Key> {
        let letter = match *text.as_bytes() {
            [letter] => Flags::letter(letter),
            _ => None,
        };
        match letter {
            Some(letter) => Ok(Key::Flag { letter, set }),
            None if text.is_empty() => Err(self.wrong(text, "a keyword: a letter, or a name from dovecot-keywords")),
            None => Ok(Key::Keyword { name: text.to_string(), set }),
        }
    }

    fn date(&mut self, word: &str, order: Order, sent: bool) -> Result<Key> {
        const EXPECTED: &str = "a date such as 2026-11-24, 24-Nov-2026, 7d or today";
        let text = self.text(word, "a date")?;
        let when = When::parse(&text, self.clock).ok_or_else(|| self.wrong(&text, EXPECTED))?;
        if order == Order::On && !when.is_day() {
            return Err(self.wrong(&text, "a day, and not a time"));
        }
        Ok(if sent { Key::Sent { order, when } } else { Key::Received { order, when } })
    }

    fn size(&mut self, word: &str) -> Result<u64> {
        let text = self.text(word, "a size")?;
        size(&text).ok_or_else(|| self.wrong(&text, "a size in bytes, or with K, M or G: 2000, 10K, 1M"))
    }

    fn uids(&self, text: &str) -> Result<UidSet> {
        UidSet::parse(text).map_err(|error| match error {
            Error::Query { word, expected, .. } => self.wrong(&word, expected),
            error => error,
        })
    }

    fn wrong(&self, word: &str, expected: impl Into<String>) -> Error {
        wrong(word, self.words.number, expected)
    }
}

impl Open<'_> {
    /// Nothing follows, and a key is missing.
    fn unfinished(&self) -> Error {
        match self {
            Open::Query(_) => wrong("", 0, "a key"),
            Open::Parenthesis(_, number) => wrong("(", *number, "a closing parenthesis after it"),
            Open::Not(word, number, _) => wrong(word, *number, "a key after it"),
            Open::Or(word, number, ..) => wrong(word, *number, "two keys after it").advised(OR_HINT),
        }
    }
}

impl Error {
    fn advised(mut self, text: &str) -> Error {
        if let Error::Query { advice, .. } = &mut self {
            *advice = Some(text.into());
        }
        self
    }
}

fn wrong(word: &str, number: usize, expected: impl Into<String>) -> Error {
    Error::Query { word: word.into(), number, expected: expected.into(), advice: None }
}

/// The key that is most like a word, if one is.
fn nearest(word: &str) -> Option<&'static str> {
    let alike = KEYS.iter().map(|key| (distance(word, key), *key)).min()?;
    let limit = if word.len() < 4 { 1 } else { 2 };
    Some(alike).filter(|(distance, _)| *distance <= limit).map(|(_, key)| key)
}

/// Letters to put in, take out, change, or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
