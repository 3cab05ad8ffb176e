//! Whether a message is meant, by as little as possible.
//!
//! Each stage of what is known of a message (the status word, its UID, its entry, the header of the mail, all of it) can
//! settle a query: a key that needs more is open until then, and `not`, lists and `or` count with that. Only what is still
//! open leads to the next stage. So the mails that are read are those about which the index could not tell.

use std::cell::OnceCell;

use crate::error::{Error, Result};
use crate::format::entry::Entry;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::Snapshot;
use crate::maildir::Sub;
use crate::maildir::keywords::Keywords;
use crate::maildir::summary::{Fields, PEOPLE};
use crate::query::Query;
use crate::query::fold::{Needle, fold_field, fold_people};
use crate::query::key::Key;
use crate::query::mail::Mail;
use crate::query::thread::SomeThreads;
use crate::query::uidset::UidSet;
use crate::query::when::Span2;

/// Fields of the header by their place in [`Fields`].
const INDEXED: [&str; 7] = ["subject", "from", "to", "cc", "message-id", "in-reply-to", "references"];

/// Place of the Message-ID among them.
const ID: usize = 4;

/// No zone is farther from UTC than a day.
const DAY_S: i64 = 86_400;

/// What it takes to settle a key; the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    Status,
    Slot,
    Entry,
    Header,
    Mail,
}

/// A query for one folder as it is now.
#[derive(Debug)]
pub(crate) struct Plan {
    test: Test,
    needs: Needs,
}

#[derive(Debug)]
enum Test {
    /// Among the bits in the mask, the status has these.
    Status {
        mask: u64,
        bits: u64,
    },
    Uids(UidSet, Option<Uid>),
    Threads(SomeThreads),
    Received(Span2),
    Sent {
        seconds: Span2,
        is_day: bool,
    },
    Larger(u64),
    Smaller(u64),
    MessageId(String),
    /// A field by its place in the index.
    Indexed(usize, Needle),
    Field(String, Needle),
    Body(Needle),
    Text(Needle),
    Not(Box<Test>),
    All(Vec<Test>),
    Any(Vec<Test>),
}

/// What is known of a message.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    pub status: Status,
    pub slot: Option<(SlotNo, Uid)>,
    pub entry: Option<&'k Read<'k>>,
    pub mail: Option<&'k Mail>,
}

/// An entry, with the fields that were looked at in the form in which they are compared.
pub(crate) struct Read<'e> {
    entry: Entry<'e>,
    folded: [OnceCell<String>; 7],
}

impl<'e> Read<'e> {
    pub(crate) fn new(entry: Entry<'e>) -> Read<'e> {
        Read { entry, folded: Default::default() }
    }

    fn field(&self, number: usize) -> &'e str {
        let Entry { subject, from, to, cc, message_id, in_reply_to, references, .. } = self.entry;
        [subject, from, to, cc, message_id, in_reply_to, references][number]
    }

    /// Whether the index has all there is of a field.
    fn is_whole(&self, number: usize) -> bool {
        !self.entry.unreadable && !self.entry.cut.contains(Fields(1 << number))
    }

    fn has(&self, number: usize, needle: &Needle) -> Option<bool> {
        let folded = self.folded[number].get_or_init(|| {
            let mut folded = String::new();
            let fold = if PEOPLE.contains(&INDEXED[number]) { fold_people } else { fold_field };
            fold(self.field(number), &mut folded);
            folded
        });
        if needle.is_empty() {
            // The field is to be there. The index does not tell one that is empty from one that is missing.
            let nothing = self.entry.size == 0 && !self.entry.unreadable;
            return if folded.is_empty() { nothing.then_some(false) } else { Some(true) };
        }
        if needle.is_in(folded) { Some(true) } else { self.is_whole(number).then_some(false) }
    }
}

/// An id without its brackets.
pub(super) fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

impl Query {
    /// Makes a plan of a query. `last` is the largest UID of the folder, which `*` stands for.
    pub(crate) fn plan(
        &self,
        snapshot: &Snapshot<'_>,
        last: Option<Uid>,
        keywords: &Keywords,
        bad: &mut dyn FnMut(Error),
    ) -> Result<Plan> {
        let test = Maker { snapshot, last, keywords, query: self, bad }.test(&self.key)?;
        Ok(Plan { needs: test.needs(), test })
    }

    /// Whether it asks for names of keywords.
    pub(crate) fn has_keywords(&self) -> bool {
        fn has(key: &Key) -> bool {
            match key {
                Key::Keyword { .. } => true,
                Key::Not(key) => has(key),
                Key::All(keys) | Key::Any(keys) => keys.iter().any(has),
                _ => false,
            }
        }
        has(&self.key)
    }
}

struct Maker<'m> {
    snapshot: &'m Snapshot<'m>,
    last: Option<Uid>,
    keywords: &'m Keywords,
    query: &'m Query,
    bad: &'m mut dyn FnMut(Error),
}

impl Maker<'_> {
    fn test(&mut self, key: &Key) -> Result<Test> {
        let bits = |bits: u64, set: bool| Test::Status { mask: bits, bits: if set { bits } else { 0 } };
        let mut tests = |keys: &[Key]| {
            let mut tests = keys.iter().map(|key| self.test(key)).collect::<Result<Vec<_>>>()?;
            tests.sort_by_key(Test::needs);
            Ok::<_, Error>(tests)
        };
        Ok(match key {
            Key::Flag { letter, set } => bits(letter.bits(), *set),
            // No message has a keyword that the folder does not know.
            Key::Keyword { name, set } => match self.keywords.letter_of(name) {
                Some(letter) => bits(letter.bits(), *set),
                None => Test::constant(!set),
            },
            Key::In(sub) => bits(Status::NEW.bits(), *sub == Sub::New),
            Key::Zero => bits(Status::EMPTY.bits(), true),
            Key::Uids(set) => Test::Uids(set.clone(), self.last),
            Key::Thread(set) => Test::Threads(SomeThreads::of(set, self.last, self.snapshot, self.bad)?),
            Key::Field { name, text } => {
                let needle = Needle::in_field(text);
                match INDEXED.iter().position(|indexed| indexed == name) {
                    Some(number) => Test::Indexed(number, needle),
                    None => Test::Field(name.clone(), needle),
                }
            }
            Key::MessageId(id) => Test::MessageId(id.clone()),
            Key::Received { order, when } => Test::Received(when.received_ns(*order, self.query.zone.get())),
            Key::Sent { order, when } => Test::Sent { seconds: when.sent_s(*order), is_day: when.is_day() },
            Key::Larger(bytes) => Test::Larger(*bytes),
            Key::Smaller(bytes) => Test::Smaller(*bytes),
            Key::Body(text) if text.is_empty() => Test::constant(true),
            Key::Text(text) if text.is_empty() => Test::constant(true),
            Key::Body(text) => Test::Body(Needle::in_text(text)),
            Key::Text(text) => Test::Text(Needle::in_text(text)),
            Key::Not(key) => Test::Not(Box::new(self.test(key)?)),
            Key::All(keys) => Test::All(tests(keys)?),
            Key::Any(keys) => Test::Any(tests(keys)?),
        })
    }
}

impl Plan {
    /// What has to be known at most.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// The least and the largest UID that can be meant; the least is the larger one if none can.
    pub(crate) fn span(&self) -> (Uid, Uid) {
        self.test.span()
    }

    /// Whether a message is meant; `None` if more has to be known.
    #[inline]
    pub(crate) fn holds(&self, known: &Known<'_>) -> Option<bool> {
        self.test.holds(known)
    }
}

impl Test {
    /// Always, or never.
    fn constant(holds: bool) -> Test {
        let always = Test::Status { mask: 0, bits: 0 };
        if holds { always } else { Test::Not(Box::new(always)) }
    }

    fn span(&self) -> (Uid, Uid) {
        let all = (Uid::FIRST, Uid::LAST);
        match self {
            Test::Uids(set, _) => (set.first().unwrap_or(Uid::FIRST), set.last().unwrap_or(Uid::LAST)),
            Test::All(tests) => tests.iter().map(Test::span).fold(all, |a, b| (a.0.max(b.0), a.1.min(b.1))),
            _ => all,
        }
    }

    fn needs(&self) -> Needs {
        match self {
            Test::Status { .. } => Needs::Status,
            Test::Uids(..) | Test::Threads(_) => Needs::Slot,
            Test::Received(_) | Test::Larger(_) | Test::Smaller(_) => Needs::Entry,
            Test::Sent { .. } | Test::MessageId(_) | Test::Indexed(..) | Test::Field(..) => Needs::Header,
            Test::Body(_) | Test::Text(_) => Needs::Mail,
            Test::Not(test) => test.needs(),
            Test::All(tests) | Test::Any(tests) => tests.iter().map(Test::needs).max().unwrap_or(Needs::Status),
        }
    }

    fn holds(&self, known: &Known<'_>) -> Option<bool> {
        let entry = || known.entry;
        match self {
            Test::Status { mask, bits } => Some(known.status.bits() & mask == *bits),
            Test::Uids(set, last) => known.slot.map(|(_, uid)| set.contains(uid, *last)),
            Test::Threads(threads) => known.slot.map(|(no, _)| threads.contains(no)),
            Test::Received(span) => entry().map(|read| is_in(read.entry.received_ns, *span)),
            Test::Larger(bytes) => entry().map(|read| read.entry.size > *bytes),
            Test::Smaller(bytes) => entry().map(|read| read.entry.size < *bytes),
            Test::Sent { seconds, is_day } => match known.mail {
                Some(mail) if *is_day => Some(is_in(mail.sent().local, *seconds)),
                Some(mail) => Some(is_in(mail.sent().unix, *seconds)),
                None => sent(&entry()?.entry, *seconds, *is_day),
            },
            Test::MessageId(id) => {
                if let Some(mail) = known.mail {
                    return Some(mail.has_id(id));
                }
                let read = entry()?;
                read.is_whole(ID).then(|| bare(read.entry.message_id) == id)
            }
            Test::Indexed(number, needle) => match known.mail {
                Some(mail) => Some(mail.has(INDEXED[*number], needle)),
                None => entry()?.has(*number, needle),
            },
            Test::Field(name, needle) => known.mail.map(|mail| mail.has(name, needle)),
            Test::Body(needle) => known.mail?.says(needle),
            Test::Text(needle) => known.mail?.holds(needle),
            Test::Not(test) => test.holds(known).map(|holds| !holds),
            Test::All(tests) => settle(tests, known, false),
            Test::Any(tests) => settle(tests, known, true),
        }
    }
}

/// The first test with the answer that settles it does; one that is open leaves it open, and otherwise it is the other.
fn settle(tests: &[Test], known: &Known<'_>, settles: bool) -> Option<bool> {
    let mut answer = Some(!settles);
    for test in tests {
        match test.holds(known) {
            Some(holds) if holds == settles => return Some(settles),
            Some(_) => {}
            None => answer = None,
        }
    }
    answer
}

fn is_in(number: i64, (from, before): Span2) -> bool {
    from.is_none_or(|from| from <= number) && before.is_none_or(|before| number < before)
}

/// By the seconds in the index. Of a day only those count that are on it, or off it, in every zone.
fn sent(entry: &Entry<'_>, span: Span2, is_day: bool) -> Option<bool> {
    let Some(seconds) = entry.date else {
        return (!entry.unreadable).then(|| is_in(0, span));
    };
    if !is_day {
        return Some(is_in(seconds, span));
    }
    let (earliest, latest) = (is_in(seconds - DAY_S, span), is_in(seconds + DAY_S, span));
    // A span has no holes: with both ends of a time in it all between is. Both ends out of it may lie around it.
    let is_over = span.0.is_some_and(|from| seconds + DAY_S < from) || span.1.is_some_and(|to| seconds - DAY_S >= to);
    match (earliest, latest) {
        (true, true) => Some(true),
        (false, false) if is_over => Some(false),
        _ => None,
    }
}
