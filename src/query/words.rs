//! The words of a query, whose arguments come from a shell.
//!
//! Where a key is expected an argument is split into words: at white space, and at parentheses, which are words of their
//! own. In there a text may stand in double quotes, with `\"` and `\\` for these two characters. Where a text is
//! expected at the end of an argument, the next argument is the text, whole, whatever it holds: so a script can pass on
//! what it was given.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// A word where a key is expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Open,
    Close,
    Plain(&'a str),
    /// In quotes, which no key is.
    Quoted(Cow<'a, str>),
}

/// What is left of a query's arguments.
#[derive(Debug)]
pub(super) struct Words<'a> {
    arguments: std::vec::IntoIter<&'a str>,
    /// Of the argument in hand.
    rest: &'a str,
    /// Words so far.
    pub(super) number: usize,
    /// A text was expected and there was nothing.
    pub(super) ran_out: bool,
}

impl<'a> Words<'a> {
    pub(super) fn new(arguments: impl IntoIterator<Item = &'a str>) -> Words<'a> {
        let arguments = arguments.into_iter().collect::<Vec<_>>().into_iter();
        Words { arguments, rest: "", number: 0, ran_out: false }
    }

    /// The next word where a key is expected.
    pub(super) fn key(&mut self) -> Result<Option<Word<'a>>> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.is_empty() {
                break;
            }
            let Some(next) = self.arguments.next() else { return Ok(None) };
            self.rest = next;
        }
        self.number += 1;
        Ok(Some(match self.rest.as_bytes()[0] {
            b'(' => {
                self.rest = &self.rest[1..];
                Word::Open
            }
            b')' => {
                self.rest = &self.rest[1..];
                Word::Close
            }
            b'"' => Word::Quoted(self.quoted()?),
            _ => Word::Plain(self.plain()),
        }))
    }

    /// The next text: in the argument in hand one word, or what is in quotes; else the next argument as it is.
    pub(super) fn text(&mut self) -> Result<Option<Cow<'a, str>>> {
        self.rest = self.rest.trim_start();
        let text = match self.rest.as_bytes().first() {
            Some(b'(' | b')') => None,
            Some(b'"') => {
                self.number += 1;
                return self.quoted().map(Some);
            }
            Some(_) => Some(self.plain()),
            None => self.arguments.next(),
        };
        self.ran_out |= text.is_none();
        self.number += usize::from(text.is_some());
        Ok(text.map(Cow::Borrowed))
    }

    fn plain(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>> {
        let inner = &self.rest[1..];
        let mut escaped = false;
        let closing = |&(_, c): &(usize, char)| {
            let is_closing = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_closing
        };
        let Some((end, _)) = inner.char_indices().find(closing) else {
            let advice = "what one argument opens it must close; an argument of its own after its key needs no quotes";
            return Err(Error::Query {
                word: self.rest.into(),
                number: self.number,
                expected: "a closing quote".into(),
                advice: Some(advice.into()),
            });
        };
        self.rest = &inner[end + 1..];
        let text = &inner[..end];
        if !text.contains('\\') {
            return Ok(Cow::Borrowed(text));
        }
        let mut plain = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some(&next @ ('"' | '\\'))) => {
                    plain.push(next);
                    chars.next();
                }
                (c, _) => plain.push(c),
            }
        }
        Ok(Cow::Owned(plain))
    }
}
