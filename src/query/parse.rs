//! From words to a query. An argument may hold several words.

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::maildir::flags::Flags;
use crate::query::uidset::UidSet;
use crate::query::{Key, Query};

impl Query {
    /// Reads the words of a query; none at all means every message.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Query> {
        let mut words = arguments.into_iter().flat_map(str::split_whitespace);
        let mut query = Query::all();
        while let Some(word) = words.next() {
            query.keys.extend(key(word, &mut words)?);
        }
        Ok(query)
    }
}

/// One key, with the `not`s before it; `None` for `all`, which asks for nothing.
fn key<'a>(mut word: &'a str, words: &mut impl Iterator<Item = &'a str>) -> Result<Option<Key>> {
    let mut negated = false;
    while word.eq_ignore_ascii_case("not") {
        negated = !negated;
        let missing = || Error::Query { word: word.into(), expected: "a key after it".into() };
        word = words.next().ok_or_else(missing)?;
    }
    Ok(match (plain_key(word, words)?, negated) {
        (key, false) => key,
        (Some(key), true) => Some(Key::Not(Box::new(key))),
        (None, true) => Some(Key::Not(Box::new(Key::Status { mask: 0, bits: 0 }))), // not all: nothing
    })
}

fn plain_key<'a>(word: &'a str, words: &mut impl Iterator<Item = &'a str>) -> Result<Option<Key>> {
    let mut after = |what: &str| {
        let missing = || Error::Query { word: word.into(), expected: format!("{what} after it") };
        words.next().ok_or_else(missing)
    };
    Ok(Some(match word.to_ascii_lowercase().as_str() {
        "all" => return Ok(None),
        "answered" => Key::flag(Flags::REPLIED, true),
        "unanswered" => Key::flag(Flags::REPLIED, false),
        "deleted" => Key::flag(Flags::TRASHED, true),
        "undeleted" => Key::flag(Flags::TRASHED, false),
        "draft" => Key::flag(Flags::DRAFT, true),
        "undraft" => Key::flag(Flags::DRAFT, false),
        "flagged" => Key::flag(Flags::FLAGGED, true),
        "unflagged" => Key::flag(Flags::FLAGGED, false),
        "seen" => Key::flag(Flags::SEEN, true),
        "unseen" => Key::flag(Flags::SEEN, false),
        "new" => Key::state(Status::NEW, true),
        "old" => Key::state(Status::NEW, false),
        "uid" => Key::Uids(UidSet::parse(after("a UID set")?)?),
        _ if UidSet::looks_like(word.as_bytes()) => Key::Uids(UidSet::parse(word)?),
        _ => return Err(Error::Query { word: word.into(), expected: "a UID set or a search key".into() }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_arguments_are_the_same() {
        let one = Query::parse(["unseen flagged not 1:3"]).unwrap();
        assert_eq!(one, Query::parse(["UNSEEN", "Flagged", "not", "uid 1:3"]).unwrap());
        assert_eq!(Query::parse(["all"]).unwrap(), Query::all());
        let many = "not ".repeat(100_000) + "seen";
        assert_eq!(Query::parse([many.as_str()]).unwrap(), Query::parse(["seen"]).unwrap());
    }

    #[test]
    fn an_error_names_the_word() {
        for (query, wrong) in [("seen frobnicated", "frobnicated"), ("not", "not"), ("uid", "uid"), ("seen 1:x", "1:x")]
        {
            match Query::parse([query]) {
                Err(Error::Query { word, .. }) => assert_eq!(word, wrong, "{query}"),
                other => panic!("{query}: {other:?}"),
            }
        }
    }
}
