//! Any field of a header, for whoever looks for one that the index does not keep, or not whole.

use std::borrow::Cow;

use memchr::memchr;

use super::addresses::addresses;
use super::date::{Sent, sent};
use super::words::{decode, utf8};
use super::{BOM, ids, is_blank, line_end, unfold};

/// Fields that hold people, and come out as the index has them.
pub const PEOPLE: [&str; 6] = ["from", "to", "cc", "bcc", "sender", "reply-to"];

/// Fields that hold message ids.
const IDS: [&str; 3] = ["message-id", "in-reply-to", "references"];

/// The values of all fields of a name, which is in lower case, in the header at the start of `bytes`; as the index keeps
/// them, but whole.
pub fn values_of(bytes: &[u8], name: &str) -> Vec<String> {
    let mut values = Vec::new();
    each_field(bytes, |found, raw| {
        if found.eq_ignore_ascii_case(name.as_bytes()) {
            let line = unfold(raw);
            values.push(if PEOPLE.contains(&name) {
                addresses(&line)
            } else if IDS.contains(&name) {
                ids(&line)
            } else {
                decode(&line)
            });
        }
    });
    values
}

/// The first value with a name, which is in lower case, as it was written but for its folds.
pub fn value_of<'b>(bytes: &'b [u8], name: &[u8]) -> Option<Cow<'b, [u8]>> {
    let mut first = None;
    each_field(bytes, |found, raw| {
        if first.is_none() && found.eq_ignore_ascii_case(name) {
            first = Some(unfold(raw));
        }
    });
    first
}

/// The date in the header at the start of `bytes`.
pub fn date_of(bytes: &[u8]) -> Option<Sent> {
    sent(&value_of(bytes, b"date")?)
}

/// The whole header at the start of `bytes` as text, decoded, a field a line. Lines that are no fields are in it, too.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    each_field(bytes, |name, raw| {
        if !name.is_empty() {
            text.extend([&utf8(name), ": "]);
        }
        text.extend([&decode(&unfold(raw)), "\n"]);
    });
    text
}

/// Calls `field` with name and raw value, folds included, of each field, in order; without a name for other lines.
fn each_field<'b>(bytes: &'b [u8], mut field: impl FnMut(&'b [u8], &'b [u8])) {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    // What a continuation line would belong to: its name, and where its value begins and ends.
    let mut open: Option<(&[u8], usize, usize)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let (text_end, next) = line_end(bytes, at);
        if text_end == at {
            break;
        }
        let line = &bytes[at..text_end];
        // A fold of nothing, with which some headers begin, is a line that is no field.
        if let (true, Some((_, _, end))) = (is_blank(line[0]), &mut open) {
            *end = text_end;
        } else {
            if let Some((name, from, to)) = open.take() {
                field(name, &bytes[from..to]);
            }
            // With blanks in its name it is no field, but for those before the colon.
            open = memchr(b':', line).and_then(|colon| {
                let name = line[..colon].trim_ascii_end();
                let is_name = !name.is_empty() && !name.iter().copied().any(is_blank);
                is_name.then_some((name, at + colon + 1, text_end))
            });
            open = open.or(Some((b"", at, text_end)));
        }
        at = next;
    }
    if let Some((name, from, to)) = open {
        field(name, &bytes[from..to]);
    }
}
