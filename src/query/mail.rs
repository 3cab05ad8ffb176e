//! A mail that a query had to be asked of, because the index does not know.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};

use crate::maildir::mime;
use crate::maildir::summary::{HEADER_MAX, PEOPLE, Sent, date_of, header_len, text_of, values_of};
use crate::query::fold::{Needle, fold, fold_field, fold_people};

/// Bytes read at a time while the header has not ended.
const PIECE: u64 = 16 << 10;

/// What was read of a mail; folded texts are made when they are asked for.
#[derive(Debug)]
pub(crate) struct Mail {
    bytes: Vec<u8>,
    header_len: usize,
    is_whole: bool,
    body: OnceCell<String>,
    text: OnceCell<String>,
}

impl Mail {
    /// Reads the header, and not much more.
    pub(crate) fn read_header(file: &mut File) -> io::Result<Mail> {
        let mut bytes = Vec::new();
        loop {
            let from = bytes.len();
            let read = file.by_ref().take(PIECE).read_to_end(&mut bytes)?;
            if read == 0 || bytes.len() >= HEADER_MAX || header_len(&bytes, from).is_some() {
                return Ok(Mail::new(bytes, false));
            }
        }
    }

    /// Reads the rest.
    pub(crate) fn read_on(self, file: &mut File) -> io::Result<Mail> {
        let mut bytes = self.bytes;
        file.read_to_end(&mut bytes)?;
        Ok(Mail::new(bytes, true))
    }

    fn new(bytes: Vec<u8>, is_whole: bool) -> Mail {
        let head = &bytes[..bytes.len().min(HEADER_MAX)];
        let header_len = header_len(head, 0).unwrap_or(head.len());
        Mail { bytes, header_len, is_whole, body: OnceCell::new(), text: OnceCell::new() }
    }

    fn header(&self) -> &[u8] {
        &self.bytes[..self.header_len]
    }

    /// Whether one of its fields with this name holds a text.
    pub(super) fn has(&self, name: &str, needle: &Needle) -> bool {
        let mut folded = String::new();
        values_of(self.header(), name).iter().any(|value| {
            folded.clear();
            if PEOPLE.contains(&name) {
                fold_people(value, &mut folded);
            } else {
                fold_field(value, &mut folded);
            }
            needle.is_in(&folded)
        })
    }

    /// Whether it has this id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        values_of(self.header(), "message-id").first().is_some_and(|found| super::plan::bare(found) == id)
    }

    /// Its date; without one it is of 1970.
    pub(super) fn sent(&self) -> Sent {
        date_of(self.header()).unwrap_or_default()
    }

    /// Whether its text holds a text; `None` if only the header was read.
    pub(super) fn says(&self, needle: &Needle) -> Option<bool> {
        self.is_whole.then(|| needle.is_in(self.texts().0))
    }

    /// Whether header or text hold a text.
    pub(super) fn holds(&self, needle: &Needle) -> Option<bool> {
        self.is_whole.then(|| {
            let (body, text) = self.texts();
            needle.is_in(text) || needle.is_in(body)
        })
    }

    /// Body, and headers.
    fn texts(&self) -> (&str, &str) {
        let body = self.body.get_or_init(|| {
            let texts = mime::texts(&self.bytes, self.header_len);
            let mut headers = String::new();
            fold(&text_of(self.header()), &mut headers);
            fold(&texts.headers, &mut headers);
            self.text.get_or_init(|| headers);
            let mut body = String::new();
            fold(&texts.body, &mut body);
            body
        });
        (body, self.text.get().map_or("", String::as_str))
    }
}
