//! IMAP UID sets: `3`, `1:9,12`, `100:*` (RFC 9051, 9, `sequence-set`).

use crate::error::{Error, Result};
use crate::format::Uid;

/// A set of UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(Bound, Bound)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Uid(Uid),
    /// `*`, the largest UID there is.
    Last,
}

impl UidSet {
    /// Whether a word has the characters of a UID set and no others.
    pub fn looks_like(word: &[u8]) -> bool {
        !word.is_empty() && word.iter().all(|b| matches!(b, b'0'..=b'9' | b',' | b':' | b'*'))
    }

    /// Reads a set.
    pub fn parse(text: &str) -> Result<UidSet> {
        let wrong = |expected: &str| Error::Query { word: text.into(), expected: expected.into() };
        let bound = |text: &str| match text {
            "*" => Ok(Bound::Last),
            "" => Err(wrong("a UID set such as 3 or 1:9,12 or 100:*")),
            digits => {
                digits.parse().ok().and_then(Uid::new).map(Bound::Uid).ok_or_else(|| wrong("UIDs from 1 to 4294967295"))
            }
        };
        let range = |part: &str| match part.split_once(':') {
            Some((from, to)) => Ok((bound(from)?, bound(to)?)),
            None => bound(part).map(|one| (one, one)),
        };
        Ok(UidSet { ranges: text.split(',').map(range).collect::<Result<_>>()? })
    }

    /// Whether a UID is in the set, where `last` is the largest UID there is.
    ///
    /// `9:3` is `3:9`, as in IMAP. Other than there, `100:*` never goes below 100: a script that asks for what came
    /// after 99 does not want the last message again and again.
    pub fn contains(&self, uid: Uid, last: Option<Uid>) -> bool {
        self.ranges.iter().any(|range| match *range {
            (Bound::Uid(a), Bound::Uid(b)) => a.min(b) <= uid && uid <= a.max(b),
            (Bound::Uid(from), Bound::Last) | (Bound::Last, Bound::Uid(from)) => from <= uid,
            (Bound::Last, Bound::Last) => Some(uid) == last,
        })
    }

    /// The UIDs that are named one by one: that one of them is missing is worth a message.
    pub fn singles(&self) -> impl Iterator<Item = Uid> {
        self.ranges.iter().filter_map(|range| match *range {
            (Bound::Uid(a), Bound::Uid(b)) if a == b => Some(a),
            _ => None,
        })
    }

    /// The least UID in the set; `None` if that depends on which is the last.
    pub fn first(&self) -> Option<Uid> {
        self.ranges.iter().map(|&(a, b)| least(a, b)).reduce(|a, b| a.zip(b).map(|(a, b)| a.min(b))).flatten()
    }

    /// The largest UID in the set; `None` if that depends on which is the last.
    pub fn last(&self) -> Option<Uid> {
        self.ranges
            .iter()
            .map(|&range| match range {
                (Bound::Uid(a), Bound::Uid(b)) => Some(a.max(b)),
                _ => None,
            })
            .reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b)))
            .flatten()
    }
}

fn least(a: Bound, b: Bound) -> Option<Uid> {
    match (a, b) {
        (Bound::Uid(a), Bound::Uid(b)) => Some(a.min(b)),
        (Bound::Uid(a), Bound::Last) | (Bound::Last, Bound::Uid(a)) => Some(a),
        (Bound::Last, Bound::Last) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<u32> {
        let set = UidSet::parse(text).unwrap();
        (1..=20).filter(|&uid| set.contains(Uid::new(uid).unwrap(), Uid::new(15))).collect()
    }

    #[test]
    fn sets_mean_what_imap_says() {
        assert_eq!(members("3"), [3]);
        assert_eq!(members("1:3,12"), [1, 2, 3, 12]);
        assert_eq!(members("5:2"), [2, 3, 4, 5]);
        assert_eq!(members("*"), [15]);
        assert_eq!(members("18:*"), [18, 19, 20], "never below 18");
        assert_eq!(members("*:18"), [18, 19, 20]);
        assert_eq!(UidSet::parse("7,2:4,9").unwrap().first(), Uid::new(2));
        assert_eq!(UidSet::parse("7,*").unwrap().first(), None);
        assert_eq!(UidSet::parse("7,12:4,9").unwrap().last(), Uid::new(12));
        assert_eq!(UidSet::parse("7,9:*").unwrap().last(), None);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["0", "", ",", "1,", "1:", ":", "1:2:3", "4294967296", "0:*", "1:0", "99999999999999999999"] {
            assert!(UidSet::parse(text).is_err(), "{text:?}");
        }
    }
}
