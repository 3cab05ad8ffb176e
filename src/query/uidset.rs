//! IMAP UID sets: `3`, `1:9,12`, `100:*` (RFC 9051, 9, `sequence-set`).

use std::fmt;

use crate::error::{Error, Result};
use crate::format::Uid;

/// A set of UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidSet {
    /// UIDs that were named one by one, as they were written.
    singles: Vec<Uid>,
    /// All with two ends, rising and apart: a list of all the UIDs there are is looked through for each message.
    ranges: Vec<(Uid, Uid)>,
    /// The least `n` of `n:*`.
    open: Option<Uid>,
    /// `*` alone.
    has_last: bool,
}

impl UidSet {
    /// Whether a word has the characters of a UID set and no others.
    pub fn looks_like(word: &[u8]) -> bool {
        !word.is_empty() && word.iter().all(|b| matches!(b, b'0'..=b'9' | b',' | b':' | b'*'))
    }

    /// Reads a set.
    pub fn parse(text: &str) -> Result<UidSet> {
        let wrong = |expected: &str| Error::query(text, expected);
        // `None` is `*`.
        let bound = |text: &str| match text {
            "*" => Ok(None),
            "" => Err(wrong("a UID set such as 3 or 1:9,12 or 100:*")),
            digits => {
                digits.parse().ok().and_then(Uid::new).map(Some).ok_or_else(|| wrong("UIDs from 1 to 4294967295"))
            }
        };
        let mut set = UidSet { singles: Vec::new(), ranges: Vec::new(), open: None, has_last: false };
        for part in text.split(',') {
            let (from, to) = part.split_once(':').unwrap_or((part, part));
            match (bound(from)?, bound(to)?) {
                (Some(a), Some(b)) => {
                    set.ranges.push((a.min(b), a.max(b)));
                    set.singles.extend(Some(a).filter(|_| a == b));
                }
                (None, None) => set.has_last = true,
                (Some(from), None) | (None, Some(from)) => {
                    set.open = Some(set.open.map_or(from, |open| from.min(open)));
                }
            }
        }
        set.ranges.sort_unstable();
        set.ranges.dedup_by(|next, range| {
            let overlaps = next.0 <= range.1;
            if overlaps {
                range.1 = range.1.max(next.1);
            }
            overlaps
        });
        Ok(set)
    }

    /// Whether a UID is in the set, where `last` is the largest UID there is.
    ///
    /// `9:3` is `3:9`, as in IMAP. Other than there, `100:*` never goes below 100: a script that asks for what came
    /// after 99 does not want the last message again and again.
    pub fn contains(&self, uid: Uid, last: Option<Uid>) -> bool {
        let begun = self.ranges.partition_point(|&(from, _)| from <= uid);
        let is_within = begun.checked_sub(1).is_some_and(|at| uid <= self.ranges[at].1);
        is_within || self.open.is_some_and(|from| from <= uid) || (self.has_last && Some(uid) == last)
    }

    /// The UIDs that are named one by one: that one of them is missing is worth a message.
    pub fn singles(&self) -> impl Iterator<Item = Uid> {
        self.singles.iter().copied()
    }

    /// Whether it has `*` alone, which stands for the largest UID of a live message.
    pub fn has_last(&self) -> bool {
        self.has_last
    }

    /// The least UID in the set; `None` if that depends on which is the last.
    pub fn first(&self) -> Option<Uid> {
        let least = self.ranges.first().map(|&(from, _)| from).into_iter().chain(self.open).min();
        least.filter(|_| !self.has_last)
    }

    /// The largest UID in the set; `None` if that depends on which is the last.
    pub fn last(&self) -> Option<Uid> {
        let is_fixed = self.open.is_none() && !self.has_last;
        self.ranges.last().map(|&(_, to)| to).filter(|_| is_fixed)
    }
}

/// So that reading it again gives the same set.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |part: fmt::Arguments<'_>| write!(f, "{}{part}", std::mem::replace(&mut separator, ","));
        for uid in &self.singles {
            part(format_args!("{uid}"))?;
        }
        for (from, to) in self.ranges.iter().filter(|(from, to)| from != to) {
            part(format_args!("{from}:{to}"))?;
        }
        if let Some(from) = self.open {
            part(format_args!("{from}:*"))?;
        }
        if self.has_last { part(format_args!("*")) } else { Ok(()) }
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
        assert_eq!(members("9,2:4,3:6,1,9,*,19:*"), [1, 2, 3, 4, 5, 6, 9, 15, 19, 20]);
        assert_eq!(UidSet::parse("7,2:4,9").unwrap().first(), Uid::new(2));
        assert_eq!(UidSet::parse("7,*").unwrap().first(), None);
        assert_eq!(UidSet::parse("7,3:*").unwrap().first(), Uid::new(3));
        assert_eq!(UidSet::parse("7:12,4:20,9").unwrap().last(), Uid::new(20));
        assert_eq!(UidSet::parse("7,12:4,9").unwrap().last(), Uid::new(12));
        assert_eq!(UidSet::parse("7,9:*").unwrap().last(), None);
    }

    #[test]
    fn what_is_printed_reads_as_the_same_set() {
        for text in ["3", "*", "7,3,7,4:4,1:9", "5:2,9:*,*,*:4", "4294967295", "1:3,3:5,2"] {
            let set = UidSet::parse(text).unwrap();
            assert_eq!(UidSet::parse(&set.to_string()).unwrap(), set, "{text} is printed as {set}");
        }
    }

    /// The whole list was gone through for each message: with 100,000 that took minutes.
    #[test]
    fn a_long_list_is_not_gone_through_for_each_message() {
        const COUNT: u32 = 200_000;
        let text = (1..=COUNT).rev().map(|uid| uid.to_string()).collect::<Vec<_>>().join(",");
        let begun = std::time::Instant::now();
        let set = UidSet::parse(&text).unwrap();
        assert!((1..=COUNT).all(|uid| set.contains(Uid::new(uid).unwrap(), None)));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["0", "", ",", "1,", "1:", ":", "1:2:3", "4294967296", "0:*", "1:0", "99999999999999999999"] {
            assert!(UidSet::parse(text).is_err(), "{text:?}");
        }
    }
}
