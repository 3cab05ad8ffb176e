//! What is written reads as it should, and what is printed as the same.

use jiff::tz::TimeZone;

use super::Query;
use super::key::{FLAGS, Key};
use super::parse::{KEYS, is_key, wants_text};
use super::uidset::UidSet;
use super::when::{Clock, Order, When};
use crate::error::{Error, Result};
use crate::maildir::Sub;
use crate::maildir::flags::Flags;

fn clock() -> Clock {
    Clock { now: "2026-11-24T12:00:00Z".parse().unwrap(), zone: TimeZone::UTC.into() }
}

fn parse(arguments: &[&str]) -> Result<Query> {
    Query::parse(arguments.iter().copied(), &clock())
}

/// As it is printed.
fn read(arguments: &[&str]) -> String {
    let query = parse(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let printed = query.to_string();
    assert_eq!(parse(&[&printed]).unwrap(), query, "{printed}");
    printed
}

#[test]
fn words_and_arguments_are_the_same() {
    assert_eq!(read(&["UNSEEN", "Flagged", "not", "uid 1:3"]), "unseen flagged not 1:3");
    assert_eq!(read(&["(or", "seen(new", "unkeyword b))", "subject", "x"]), "or seen (new unkeyword b) subject x");
    for all in [&[][..], &["", " \n"], &["all"], &["all all", "(all)"]] {
        assert_eq!(parse(all).unwrap(), Query::all(), "{all:?}");
    }
    let many = "not ".repeat(100_000) + "seen";
    assert_eq!(read(&[&many]), "seen");
    assert_eq!(read(&["not not not (from a)"]), "not from a");
}

#[test]
fn a_text_is_one_whole_argument() {
    for text in ["a or all", "\"", "-x", "(", ")", "", "\n", " ", "\\", "\\\"", "not", "--json", "ä\t\"\u{1}"] {
        for words in [&["subject", text, "unseen"][..], &["unseen subject", text]] {
            let query = parse(words).unwrap();
            let key = Key::Field { name: "subject".into(), text: text.into() };
            let Key::All(keys) = &query.key else { panic!("{query}") };
            assert!(keys.contains(&key), "{words:?}: {query}");
            read(words);
        }
    }
    assert_eq!(read(&["header", "X-A:", "-y"]), "header x-a -y");
}

#[test]
fn in_an_argument_a_text_is_a_word_or_in_quotes() {
    assert_eq!(read(&["subject foo unseen"]), "subject foo unseen");
    assert_eq!(read(&["(subject foo)(body \"a \\\"(b\\\\\")"]), "subject foo body \"a \\\"(b\\\\\"");
    assert_eq!(read(&["subject \"\" to o\"n"]), "subject \"\" to \"o\\\"n\"");
}

#[test]
fn or_takes_two_keys_and_comes_first() {
    assert_eq!(read(&["or larger 1M flagged seen"]), "or larger 1048576 flagged seen");
    assert_eq!(read(&["or or seen draft flagged"]), read(&["or seen or draft flagged"]));
    assert_eq!(read(&["not or seen (new 1)"]), "not or seen (new 1)");
    let many = "or from a ".repeat(100_000) + "seen";
    let query = parse(&[&many]).unwrap();
    let Key::Any(keys) = &query.key else { panic!() };
    assert_eq!(keys.len(), 100_001);
    assert_eq!(parse(&[&"or ".repeat(100_000), &"all ".repeat(100_001)]).unwrap().to_string().len(), 7 * 100_000 + 3);
    for infix in ["seen or flagged", "from a or from b or from c", "(seen or flagged)"] {
        let error = parse(&[infix]).unwrap_err();
        assert!(error.hint().unwrap().contains("or comes before its two keys"), "{infix}: {error}");
    }
}

#[test]
fn an_error_names_the_word_and_its_place() {
    for (query, word, place, expected) in [
        (&["seen frobnicated"][..], "frobnicated", 2, "a UID set or a search key"),
        (&["not"], "not", 1, "a key after it"),
        (&["seen not not"], "not", 3, "a key after it"),
        (&["seen (not) new"], "not", 3, "a key after it"),
        (&["uid"], "uid", 1, "a UID set after it"),
        (&["seen 1:x"], "1:x", 2, "a UID set or a search key"),
        (&["seen 1:0"], "1:0", 2, "UIDs from 1 to 4294967295"),
        (&["thread x"], "x", 2, "UIDs from 1 to"),
        (&["(seen", "(new)"], "(", 1, "a closing parenthesis"),
        (&["seen) new"], ")", 2, "an opening parenthesis"),
        (&["seen", "()"], ")", 3, "a key between the parentheses"),
        (&["subject"], "subject", 1, "a text after it"),
        (&["subject (a)"], "subject", 1, "a text after it"),
        (&["seen header X-Spam"], "X-Spam", 3, "a text after it"),
        (&["header"], "header", 1, "the name of a field"),
        (&["header", "a b", "c"], "a b", 2, "the name of a field"),
        (&["before soon"], "soon", 2, "a date such as"),
        (&["on 3h"], "3h", 2, "a day"),
        (&["larger", "-x"], "-x", 2, "a size"),
        (&["keyword", ""], "", 2, "a keyword"),
        (&["subject \"a b"], "\"a b", 2, "a closing quote"),
        (&["\"foo bar\""], "foo bar", 1, "a search key"),
    ] {
        match parse(query) {
            Err(Error::Query { word: found, number, expected: wanted, .. }) => {
                assert_eq!((found.as_str(), number), (word, place), "{query:?}");
                assert!(wanted.starts_with(expected), "{query:?}: {wanted}");
            }
            other => panic!("{query:?}: {other:?}"),
        }
    }
    let deep = "(not ".repeat(1000);
    assert!(parse(&[&deep]).unwrap_err().to_string().contains("at most"));
}

#[test]
fn a_key_that_was_misspelt_is_suggested() {
    for (word, near) in
        [("unsen", "unseen"), ("form", "from"), ("fron", "from"), ("subjcet", "subject"), ("sice", "since")]
    {
        let hint = parse(&[word]).unwrap_err().hint().unwrap();
        assert!(hint.contains(&format!("did you mean {near}?")), "{word}: {hint}");
    }
    assert!(!parse(&["meeting"]).unwrap_err().hint().unwrap().contains("did you mean"));
}

#[test]
fn the_list_of_keys_is_that_of_the_parser() {
    for key in KEYS {
        let fits = |after: &&str| parse(&[&format!("{key}{after}")]).is_ok();
        assert!(["", " 1", " today", " a b", " seen", " seen new"].iter().any(fits), "{key}");
        assert!(is_key(&key.to_uppercase()));
    }
    for (_, set, unset) in FLAGS {
        assert!(KEYS.contains(&set) && KEYS.contains(&unset));
    }
    assert!(is_key("1:9") && !is_key("inbox"));
}

#[test]
fn it_is_known_where_a_text_is_wanted() {
    let wants = |words: &[&str]| wants_text(words.iter().copied(), &clock());
    for words in [&["subject"][..], &["seen (header"], &["header", "X-A"], &["or", "from", "a", "to"], &["since"]] {
        assert!(wants(words), "{words:?}");
    }
    for words in [&[][..], &["seen"], &["subject", "a"], &["subject a"], &["header x y"], &["not"], &["subject \"a"]] {
        assert!(!wants(words), "{words:?}");
    }
}

/// Random keys, all kinds of them, and texts that are hard to quote.
#[test]
fn what_is_printed_is_read_as_the_same_query() {
    let mut seed = 1_u64;
    for round in 0..3000 {
        let mut maker = Maker(&mut seed);
        let query = Query { key: maker.key(4), zone: TimeZone::UTC.into() };
        let printed = query.to_string();
        let read = parse(&[&printed]).unwrap_or_else(|error| panic!("round {round}: {printed}: {error}"));
        assert_eq!(read, query, "round {round}: {printed}");
    }
}

struct Maker<'s>(&'s mut u64);

impl Maker<'_> {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64
        *self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 16] =
            ["a", "B", "\"", "\\", " ", "(", ")", "\n", "\t", "-x", "ä", "or", "not", "\u{1}", "\u{feff}", "1:3"];
        (0..self.below(5)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }

    fn uids(&mut self) -> UidSet {
        const SETS: [&str; 6] = ["3", "1:9,12", "100:*", "*", "7,7,3:1", "4294967295,2:*,*"];
        UidSet::parse(SETS[self.below(SETS.len())]).unwrap()
    }

    fn date(&mut self) -> (Order, When) {
        const DATES: [&str; 5] = ["2026-11-24", "1-Jan-1970", "3w", "9999-12-31", "0001-01-01"];
        let order = [Order::Before, Order::Since, Order::On][self.below(3)];
        let hour = order != Order::On && self.below(4) == 0;
        let text = if hour { "5h" } else { DATES[self.below(DATES.len())] };
        (order, When::parse(text, &clock()).unwrap())
    }

    fn key(&mut self, depth: usize) -> Key {
        let kinds = if depth == 0 { 14 } else { 17 };
        match self.below(kinds) {
            0 => Key::Flag { letter: Flags::letter(b"ABDFPRSTZabz"[self.below(12)]).unwrap(), set: self.below(2) == 0 },
            1 => Key::Keyword { name: format!("${}x", self.text()), set: self.below(2) == 0 },
            2 => Key::In([Sub::New, Sub::Cur][self.below(2)]),
            3 => Key::Zero,
            4 => Key::Uids(self.uids()),
            5 => Key::Thread(self.uids()),
            6 | 7 => Key::Field {
                name: ["from", "to", "cc", "bcc", "subject", "x-a(b", "list-id"][self.below(7)].into(),
                text: self.text(),
            },
            8 => Key::MessageId(["a@b", "", "a b", "\"q\"@x"][self.below(4)].into()),
            9 => {
                let (order, when) = self.date();
                Key::Received { order, when }
            }
            10 => {
                let (order, when) = self.date();
                Key::Sent { order, when }
            }
            11 => Key::Larger(self.below(1 << 40) as u64),
            12 => Key::Smaller(self.below(3) as u64),
            13 => match self.below(2) {
                0 => Key::Body(self.text()),
                _ => Key::Text(self.text()),
            },
            14 => self.key(depth - 1).negated(),
            15 => Key::all_of((0..self.below(4)).map(|_| self.key(depth - 1)).collect()),
            _ => Key::any_of((0..=self.below(3)).map(|_| self.key(depth - 1)).collect()),
        }
    }
}
