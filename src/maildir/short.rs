//! Short forms of header fields: what is left of a subject without reply marks, of an address list its first name.

use std::borrow::Cow;

/// Marks of replies and forwards: those of RFC 5256, and what German and Scandinavian programs write.
const MARKS: [&str; 6] = ["re", "fw", "fwd", "aw", "wg", "sv"];

/// The base subject (RFC 5256, 2.1): without reply and forward marks, list names in brackets, and runs of blanks.
pub fn base_subject(subject: &str) -> Cow<'_, str> {
    let subject = single_blanks(subject);
    match subject {
        Cow::Borrowed(subject) => Cow::Borrowed(stripped(subject)),
        Cow::Owned(subject) => Cow::Owned(stripped(&subject).to_string()),
    }
}

/// Tabs and line ends as blanks, and no two blanks in a row.
fn single_blanks(text: &str) -> Cow<'_, str> {
    let is_single = !text.contains(['\t', '\r', '\n']) && !text.contains("  ");
    if is_single {
        return Cow::Borrowed(text);
    }
    let words = text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

/// Steps 2 to 6 of the RFC.
fn stripped(mut text: &str) -> &str {
    loop {
        text = text.trim_matches(' ');
        while let Some(rest) = strip_end(text, "(fwd)") {
            text = rest.trim_end_matches(' ');
        }
        loop {
            let before = text;
            text = text.trim_start_matches(' ');
            text = after_mark(text).unwrap_or(text);
            if let Some(rest) = after_blob(text).filter(|rest| !rest.is_empty()) {
                text = rest;
            }
            if text.len() == before.len() {
                break;
            }
        }
        match strip_start(text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => text = inner,
            None => return text,
        }
    }
}

fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.get(..start.len()).filter(|head| head.eq_ignore_ascii_case(start)).map(|_| &text[start.len()..])
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(end.len())?;
    text.get(at..).filter(|tail| tail.eq_ignore_ascii_case(end)).map(|_| &text[..at])
}

/// What follows `[blob] `.
fn after_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    Some(inner[end..].strip_prefix(']')?.trim_start_matches(' '))
}

/// What follows `[blob] Re [blob]: `.
fn after_mark(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(after) = after_blob(rest) {
        rest = after;
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic())?;
    let (mark, rest) = rest.split_at(end);
    if !MARKS.iter().any(|known| known.eq_ignore_ascii_case(mark)) {
        return None;
    }
    let rest = rest.trim_start_matches(' ');
    Some(after_blob(rest).unwrap_or(rest).strip_prefix(':')?.trim_start_matches(' '))
}

/// Of an address list, as the index keeps it, the name in its first address; the address itself where it has no name.
pub fn name(list: &str) -> Cow<'_, str> {
    if let Some(quoted) = list.trim_start().strip_prefix('"') {
        let mut name = String::new();
        let mut letters = quoted.chars();
        while let Some(c) = letters.next().filter(|&c| c != '"') {
            name.extend(if c == '\\' { letters.next() } else { Some(c) });
        }
        if !name.trim().is_empty() {
            return Cow::Owned(name.trim().to_string());
        }
    }
    let first = first(list);
    let name = first.split_once('<').map_or(first, |(name, _)| name).trim();
    Cow::Borrowed(if name.is_empty() || name == "\"\"" { address(list) } else { name })
}

/// Of an address list the first address, without its name.
pub fn address(list: &str) -> &str {
    let first = first(list);
    match first.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(address, _)| address).trim(),
        None => first.trim(),
    }
}

/// The first address with its name. Names with commas are quoted.
fn first(list: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = list.find(|c| {
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = is_quoted && c == '\\' && !is_escaped;
        c == ',' && !is_quoted
    });
    &list[..end.unwrap_or(list.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_lists_and_blanks_do_not_count() {
        for (subject, base) in [
            ("lunch: when?", "lunch: when?"),
            (" Re: AW:Fwd: lunch: when?", "lunch: when?"),
            ("Re:", ""),
            ("re : [list] RE [2]: a  b\tc (fwd) (FWD) ", "a b c"),
            ("[list] Re: [list] a", "a"),
            ("[only a list]", "[only a list]"),
            ("[a] [b]", "[b]"),
            ("[Fwd: Re: a (fwd)]", "a"),
            ("[fwd: [fwd: x]]", "x"),
            ("Reply: no mark", "Reply: no mark"),
            ("Über: Re: x", "Über: Re: x"),
            ("[über] Re: x", "x"),
            ("re", "re"),
            ("[", "["),
            ("(fwd)", ""),
            ("", ""),
        ] {
            assert_eq!(base_subject(subject), base, "{subject:?}");
        }
    }

    /// Each mark is passed once.
    #[test]
    fn long_subjects_cost_their_length() {
        for part in ["Re: ", "[a] ", "[fwd: ", "[", "(fwd)", " ", "re"] {
            let long = part.repeat(4096 / part.len());
            for _ in 0..200 {
                let _ = base_subject(&long);
            }
        }
    }

    #[test]
    fn a_sender_is_a_name_or_an_address() {
        for (list, expected, its_address) in [
            ("Anna <a@b>", "Anna", "a@b"),
            ("\"Doe, J.\" <a@b>, Anna <c@d>", "Doe, J.", "a@b"),
            ("\"The \\\"one\\\", he\" <a@b>", "The \"one\", he", "a@b"),
            ("<a@b>", "a@b", "a@b"),
            ("a@b", "a@b", "a@b"),
            ("a@b, c@d", "a@b", "a@b"),
            ("\"\" <a@b>", "a@b", "a@b"),
            ("Anna <a@b", "Anna", "a@b"),
            ("\"open", "open", "\"open"),
            ("", "", ""),
        ] {
            assert_eq!((&*name(list), address(list)), (expected, its_address), "{list:?}");
        }
    }
}
