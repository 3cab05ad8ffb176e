//! Dates and sizes of a query.

use std::fmt;
use std::sync::OnceLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What "now" and "today" are, for dates such as `7d`, and where days begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// The time.
    pub now: Timestamp,
    /// The zone of whoever asks.
    pub zone: Zone,
}

/// A time zone that is looked up when it is needed first: that means reading a file, and most queries know no days.
#[derive(Debug, Clone)]
pub struct Zone {
    found: OnceLock<TimeZone>,
    find: fn() -> TimeZone,
}

impl Zone {
    /// By this function, which is called once.
    pub fn found_by(find: fn() -> TimeZone) -> Zone {
        Zone { found: OnceLock::new(), find }
    }

    pub(super) fn get(&self) -> &TimeZone {
        self.found.get_or_init(self.find)
    }
}

impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Zone {
        Zone { found: zone.into(), find: || TimeZone::UTC }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.get() == other.get()
    }
}

/// A point in time as a query names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// A day, wherever.
    Day(Date),
    /// A moment.
    Moment(Timestamp),
}

/// On which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Before,
    On,
    Since,
}

/// From here on, and before there; `None` for no end.
pub(super) type Span2 = (Option<i64>, Option<i64>);

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl When {
    /// Reads `2026-11-24`, `24-Nov-2026`, `today`, `yesterday`, `7d`, `2w`, `3m`, `1y`, `12h`, `2026-11-24T08:00`.
    pub(super) fn parse(text: &str, clock: &Clock) -> Option<When> {
        if !text.is_ascii() {
            return None;
        }
        let today = || clock.now.to_zoned(clock.zone.get().clone()).date();
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "today" => return Some(When::Day(today())),
            "yesterday" => return today().yesterday().ok().map(When::Day),
            _ => {}
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && digits + 1 == text.len() {
            let count: i64 = text[..digits].parse().ok()?;
            let span = Span::new();
            let ago = match lower.as_bytes()[digits] {
                b'h' => {
                    let ago = span.try_hours(count).ok()?;
                    return clock.now.checked_sub(ago).ok().map(When::Moment);
                }
                b'd' => span.try_days(count),
                b'w' => span.try_weeks(count),
                b'm' => span.try_months(count),
                b'y' => span.try_years(count),
                _ => return None,
            };
            return today().checked_sub(ago.ok()?).ok().map(When::Day);
        }
        // Behind a digit, for October has a T, too.
        let has_time = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1] == b't';
        if text.contains(':') || lower.as_bytes().windows(2).any(has_time) {
            let moment = text.parse::<Timestamp>().ok();
            let local = || text.parse::<DateTime>().ok()?.to_zoned(clock.zone.get().clone()).ok();
            return moment.or_else(|| Some(local()?.timestamp())).map(When::Moment);
        }
        let parts: Vec<&str> = lower.split('-').collect();
        let &[first, month, last] = parts.as_slice() else { return None };
        let number = |text: &str, lens: std::ops::RangeInclusive<usize>| {
            let is_number = lens.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i16>().ok().filter(|_| is_number)
        };
        let (year, month, day) = match MONTHS.iter().position(|name| *name == month) {
            Some(at) => (number(last, 4..=4)?, at as i16 + 1, number(first, 1..=2)?),
            None => (number(first, 4..=4)?, number(month, 1..=2)?, number(last, 1..=2)?),
        };
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok().map(When::Day)
    }

    /// The nanoseconds since 1970 that are meant, in a zone.
    pub(super) fn received_ns(self, order: Order, zone: &TimeZone) -> Span2 {
        let ns = |moment: Timestamp| {
            i64::try_from(moment.as_nanosecond()).unwrap_or(if moment < Timestamp::UNIX_EPOCH {
                i64::MIN
            } else {
                i64::MAX
            })
        };
        let start = |day: Date| Some(ns(day.to_zoned(zone.clone()).ok()?.timestamp()));
        self.span(order, start, ns)
    }

    /// The seconds since 1970 that are meant: of a day those of a clock on the wall, wherever that hangs.
    pub(super) fn sent_s(self, order: Order) -> Span2 {
        let start = |day: Date| Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second());
        self.span(order, start, Timestamp::as_second)
    }

    fn span(self, order: Order, start: impl Fn(Date) -> Option<i64>, at: impl Fn(Timestamp) -> i64) -> Span2 {
        // What no clock can show is at one of the ends of time.
        let start = |day: Date| start(day).unwrap_or(if day.year() < 1970 { i64::MIN } else { i64::MAX });
        let from = match self {
            When::Day(day) => start(day),
            When::Moment(moment) => at(moment),
        };
        match (order, self) {
            (Order::Before, _) => (None, Some(from)),
            (Order::Since, _) => (Some(from), None),
            (Order::On, When::Day(day)) => (Some(from), Some(day.tomorrow().map_or(i64::MAX, start))),
            (Order::On, When::Moment(_)) => (Some(from), Some(from.saturating_add(1))),
        }
    }

    /// Whether it is a day, which `on` needs.
    pub(super) fn is_day(self) -> bool {
        matches!(self, When::Day(_))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Day(day) => day.fmt(f),
            When::Moment(moment) => moment.fmt(f),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Before => "before",
            Order::On => "on",
            Order::Since => "since",
        })
    }
}

/// Reads `2000`, `10K`, `1M`, `2g`; a K has 1024 bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text.as_bytes()[digits..].to_ascii_lowercase().as_slice() {
        b"" => 1,
        b"k" => 1 << 10,
        b"m" => 1 << 20,
        b"g" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: TimeZone) -> Clock {
        Clock { now: "2026-03-31T12:30:00Z".parse().unwrap(), zone: zone.into() }
    }

    fn read(text: &str) -> Option<String> {
        When::parse(text, &clock(TimeZone::UTC)).map(|when| when.to_string())
    }

    #[test]
    fn dates_are_written_in_many_ways() {
        for (text, day) in [
            ("2026-11-24", "2026-11-24"),
            ("2026-1-2", "2026-01-02"),
            ("1-Feb-2026", "2026-02-01"),
            ("01-FEB-2026", "2026-02-01"),
            ("1-Oct-2026", "2026-10-01"),
            ("01-OCT-2026", "2026-10-01"),
            ("today", "2026-03-31"),
            ("Yesterday", "2026-03-30"),
            ("0d", "2026-03-31"),
            ("7d", "2026-03-24"),
            ("2W", "2026-03-17"),
            ("1m", "2026-02-28"),
            ("1y", "2025-03-31"),
            ("12h", "2026-03-31T00:30:00Z"),
            ("2026-11-24T08:00", "2026-11-24T08:00:00Z"),
            ("2026-11-24T08:00:01+02:00", "2026-11-24T06:00:01Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(day), "{text}");
            assert_eq!(read(day).as_deref(), Some(day), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "d",
            "7",
            "7x",
            "-7d",
            "2026-02-30",
            "30-Feb-2026",
            "1-Foo-2026",
            "26-1-1",
            "2026-11",
            "1-Feb-26",
            "20261124",
            "999999999999999999999d",
            "99999y",
            "2026-11-24T25:00",
            "2026-+1-01",
            "7\u{e4}",
            "+1d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn days_begin_where_the_asker_is() {
        let far = clock(TimeZone::fixed(jiff::tz::offset(14)));
        assert_eq!(When::parse("today", &far), Some(When::Day("2026-04-01".parse().unwrap())));
        let day = When::Day("1970-01-02".parse().unwrap());
        let hour = 3_600_000_000_000;
        assert_eq!(day.received_ns(Order::On, far.zone.get()), (Some(10 * hour), Some(34 * hour)));
        assert_eq!(day.received_ns(Order::Before, &TimeZone::UTC), (None, Some(24 * hour)));
        assert_eq!(day.sent_s(Order::Since), (Some(86400), None));
        assert_eq!(When::Day(Date::MAX).received_ns(Order::On, &TimeZone::UTC), (Some(i64::MAX), Some(i64::MAX)));
        assert_eq!(When::Day(Date::MIN).received_ns(Order::Before, &TimeZone::UTC), (None, Some(i64::MIN)));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(["0", "10k", "1M", "2G"].map(size), [Some(0), Some(10240), Some(1 << 20), Some(2 << 30)]);
        for text in ["", "k", "1T", "-1", "1.5M", "99999999999999999999", "18446744073709551615k", "1 k", "1\u{e4}"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
