//! Dates as mailers write them, by RFC 5322 and otherwise.

use std::borrow::Cow;

use mail_parser::DateTime;
use memchr::memchr;

use super::addresses::closed_len;
use super::words::utf8;

/// A date as a mailer wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Unix seconds.
    pub unix: i64,
    /// What the clock on the writer's wall showed, as if it were UTC.
    pub local: i64,
}

/// The date in a line.
///
/// Dates in the wild lack seconds, zones or commas, name the month first, or hold comments anywhere. Their parts are
/// told apart by their looks and handed to the parser in the order of RFC 5322; years of two or three digits follow its
/// section 4.3. A zone that is missing or unknown is UTC; a day that its month does not have is no date.
pub(super) fn sent(line: &[u8]) -> Option<Sent> {
    let line = joined_time(without_comments(line));
    let (mut day, mut month, mut year) = (None, None, None);
    let (mut time, mut zone, mut half) = (None, None, None);
    for part in line.split([' ', '\t', ',']).filter(|part| !part.is_empty()) {
        if time.is_some() && part.starts_with(['+', '-']) {
            zone = zone.or(Some(part));
        } else if part.contains(':') && time.is_none() {
            let (clock, glued) = part.split_at(part.find(['+', '-']).unwrap_or(part.len()));
            time = Some(clock);
            zone = Some(glued).filter(|zone| !zone.is_empty());
        } else if part.eq_ignore_ascii_case("am") || part.eq_ignore_ascii_case("pm") {
            half = Some(part.as_bytes()[0].to_ascii_lowercase());
        } else {
            // RFC 850 joins day, month and year by `-`.
            for part in part.split('-') {
                if let Ok(number) = part.parse::<u16>() {
                    if day.is_none() && (1..=31).contains(&number) {
                        day = Some(part.trim_start_matches('0'));
                    } else {
                        year = year.or(Some(part));
                    }
                } else if month.is_none() && is_month(part) {
                    month = part.get(..3);
                } else if time.is_some() {
                    zone = zone.or(Some(part));
                }
            }
        }
    }
    let (day, month, year, time) = (day?, month?, year?, time?);
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    let mut text = [day, " ", month, " ", year, " ", time, seconds, " ", zone.unwrap_or("+0000")].concat();
    text.make_ascii_uppercase(); // the parser knows the zones' names by capitals only
    let mut date = DateTime::parse_rfc822(&text)?;
    if (100..1000).contains(&date.year) {
        date.year += 1900;
    }
    if date.second == 60 {
        date.second = 59; // a leap second, which Unix time does not know
    }
    match half {
        Some(b'p') if date.hour < 12 => date.hour += 12,
        Some(b'a') if date.hour == 12 => date.hour = 0,
        _ => {}
    }
    // Numbers out of range carry over: the date they make is not the one that was written.
    (DateTime::from_timestamp(date.to_timestamp_local())
        == DateTime { tz_hour: 0, tz_minute: 0, tz_before_gmt: false, ..date })
    .then(|| Sent { unix: date.to_timestamp(), local: date.to_timestamp_local() })
}

/// Whether a word begins with the English name of a month, as far as dates spell it out.
fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    word.get(..3).is_some_and(|start| MONTHS.iter().any(|month| start.eq_ignore_ascii_case(month)))
}

/// The line without blanks around colons, where RFC 5322 4.3 allows them.
fn joined_time(line: Cow<'_, str>) -> Cow<'_, str> {
    let is_blank = |c| matches!(c, ' ' | '\t');
    if !line.split(':').skip(1).any(|after| after.starts_with(is_blank))
        && !line.contains(" :")
        && !line.contains("\t:")
    {
        return line;
    }
    let parts: Vec<&str> = line.split(':').map(|part| part.trim_matches(is_blank)).collect();
    Cow::Owned(parts.join(":"))
}

fn without_comments(line: &[u8]) -> Cow<'_, str> {
    if memchr(b'(', line).is_none() {
        return utf8(line);
    }
    let mut rest = line;
    let mut plain = String::with_capacity(line.len());
    while let Some(open) = memchr(b'(', rest) {
        plain.push_str(&utf8(&rest[..open]));
        plain.push(' ');
        rest = &rest[open + closed_len(&rest[open..], b'(', b')')..];
    }
    plain.push_str(&utf8(rest));
    Cow::Owned(plain)
}
