//! Messages in columns, for people at a terminal.

use std::fmt::Write;

use jiff::Zoned;
use maildex::format::Uid;
use maildex::maildir::flags::Flags;
use maildex::maildir::{Sub, short};
use maildex::ops::Message;
use maildex::ops::list::InThread;
use maildex::ops::order;

use crate::cli::terminal::{self, Align, Columns};
use crate::cli::zone;

/// `Tue 09:12`
const DATE_WIDTH: usize = 9;

/// A mark for what is in new/, and four letters.
const FLAGS_WIDTH: usize = 5;

/// A date of this many days ago or older is shown with its year: by then day and month could be those of either year.
const OLD_DAYS: i64 = 330;

/// How messages look on a terminal of some width.
#[derive(Debug, Clone)]
pub struct View {
    width: usize,
    uid_width: usize,
    now: Zoned,
    has_colour: bool,
    tree: Tree,
}

impl View {
    /// UIDs up to `last` fit into their column.
    pub fn new(width: usize, last: Option<Uid>, has_colour: bool) -> View {
        let uid_width = last.map_or(5, |last| last.to_string().len().max(3));
        let now = jiff::Timestamp::now().to_zoned(zone::local());
        View { width, uid_width, now, has_colour, tree: Tree::new(terminal::draws_boxes()) }
    }

    /// With so many columns less.
    #[must_use]
    pub fn narrower(self, by: usize) -> View {
        View { width: self.width.saturating_sub(by), ..self }
    }

    /// A line; no longer than the terminal is wide, and without blanks at its end.
    pub fn line(&mut self, message: &Message<'_>, place: Option<&InThread>) -> String {
        let entry = &message.entry;
        let flags = message.status.flags();
        let mark = if message.status.sub() == Sub::New { "+" } else { " " };
        let mut text = String::with_capacity(self.width + 32);
        let _ = write!(text, "{:>1$} ", message.uid, self.uid_width);
        let used = text.len() + FLAGS_WIDTH + 1 + DATE_WIDTH + 1;
        Columns::exactly(FLAGS_WIDTH).add(&mut text, &format!("{mark}{flags}"));
        text.push(' ');
        let date = when(order::date(message), &self.now);
        Columns { align: Align::Right, ..Columns::exactly(DATE_WIDTH) }.add(&mut text, &date);
        text.push(' ');
        let rest = self.width.saturating_sub(used);
        let from_width = (rest / 3).min(28);
        text += &terminal::fit(&short::name(entry.from), from_width);
        text.push(' ');
        let mut subject = place.map(|place| self.tree.branch(place, rest / 6)).unwrap_or_default();
        subject += &terminal::escaped(entry.subject);
        Columns::exactly(rest.saturating_sub(from_width + 1)).add(&mut text, &subject);
        let mut line = String::with_capacity(text.len() + 16);
        let style = if self.has_colour { style(flags) } else { String::new() };
        line.push_str(&style);
        // On a terminal that is narrower than what cannot be cut.
        Columns { least: 0, ..Columns::exactly(self.width) }.add(&mut line, text.trim_end());
        line.truncate(line.trim_end().len());
        if !style.is_empty() {
            line.push_str("\x1b[0m");
        }
        line
    }
}

/// What has not been read is bold, what is flagged yellow, what is to be removed faint.
fn style(flags: Flags) -> String {
    let states = [(!flags.contains(Flags::SEEN), "1"), (flags.contains(Flags::FLAGGED), "33")];
    let mut codes: Vec<_> = states.iter().filter(|(is_so, _)| *is_so).map(|(_, code)| *code).collect();
    if flags.contains(Flags::TRASHED) {
        codes = vec!["2"];
    }
    if codes.is_empty() { String::new() } else { format!("\x1b[{}m", codes.join(";")) }
}

/// A time as near as it needs to be: `14:05` of today, `Tue 09:12` of the last six days, `12 Mar` of the last eleven
/// months, `2019-03` of others. Empty for a time that is beyond all calendars.
fn when(seconds: i64, now: &Zoned) -> String {
    let Ok(time) = jiff::Timestamp::from_second(seconds) else { return String::new() };
    let time = time.to_zoned(now.time_zone().clone());
    let days = time.date().duration_until(now.date()).as_hours() / 24;
    let format = match days {
        0 => "%H:%M",
        1..=6 => "%a %H:%M",
        7..OLD_DAYS => "%-d %b",
        _ => "%Y-%m",
    };
    time.strftime(format).to_string()
}

/// Draws threads: each message gets its branch, in the order in which they are listed.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Of each branch that the last message hung on whether it goes on below.
    goes_on: Vec<bool>,
    /// The first message of the thread is missing, and what answers it is held together by a branch of its own.
    has_no_top: bool,
    draws_boxes: bool,
}

impl Tree {
    /// With lines and corners, or with the like in ASCII.
    pub fn new(draws_boxes: bool) -> Tree {
        Tree { goes_on: Vec::new(), has_no_top: false, draws_boxes }
    }

    /// What stands before a message: nothing, or `│ └─ `. No more than so many levels are drawn, the nearest ones.
    pub fn branch(&mut self, place: &InThread, levels: usize) -> String {
        if place.begins {
            self.has_no_top = place.has_next;
        }
        let level = place.depth as usize + usize::from(self.has_no_top);
        if level == 0 {
            self.goes_on.clear();
            return String::new();
        }
        self.goes_on.truncate(level - 1);
        let [line, gap, first, middle, last, more] = if self.draws_boxes {
            ["│ ", "  ", "┌─ ", "├─ ", "└─ ", "…"]
        } else {
            ["| ", "  ", ",- ", "|- ", "`- ", "..."]
        };
        let mut branch = String::new();
        let skipped = level.saturating_sub(levels.max(1));
        if skipped > 0 {
            branch.push_str(more);
        }
        for &goes_on in &self.goes_on[skipped.min(self.goes_on.len())..] {
            branch.push_str(if goes_on { line } else { gap });
        }
        branch.push_str(match (place.begins, place.has_next) {
            (true, _) => first,
            (false, true) => middle,
            (false, false) => last,
        });
        self.goes_on.push(place.has_next);
        branch
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_date_is_as_near_as_it_needs_to_be() {
        let now = "2026-03-17T15:00:00Z".parse::<jiff::Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        for (time, expected) in [
            ("2026-03-17T14:05:00Z", "14:05"),
            ("2026-03-17T00:00:00Z", "00:00"),
            ("2026-03-17T23:59:00Z", "23:59"),
            ("2026-03-16T23:59:00Z", "Mon 23:59"),
            ("2026-03-11T09:12:00Z", "Wed 09:12"),
            ("2026-03-10T09:12:00Z", "10 Mar"),
            ("2025-04-22T09:12:00Z", "22 Apr"),
            ("2025-04-20T09:12:00Z", "2025-04"),
            ("2019-03-12T09:12:00Z", "2019-03"),
            ("2026-03-18T00:00:00Z", "2026-03"),
            ("2038-01-19T00:00:00Z", "2038-01"),
        ] {
            let seconds = time.parse::<jiff::Timestamp>().unwrap().as_second();
            assert_eq!(when(seconds, &now), expected, "{time}");
        }
        assert_eq!(when(i64::MAX, &now), "");
        // Of today is what is of today where the reader is.
        let kiritimati = jiff::tz::Offset::from_hours(14).unwrap().to_time_zone();
        let now = now.with_time_zone(kiritimati);
        let seconds = "2026-03-17T09:59:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(when(seconds, &now), "Tue 23:59");
        assert_eq!(when(seconds + 60, &now), "00:00");
    }

    #[test]
    fn colours_tell_the_state() {
        let flags = |letters: &str| letters.bytes().filter_map(Flags::letter).fold(Flags::NONE, Flags::union);
        for (letters, expected) in
            [("", "\x1b[1m"), ("S", ""), ("FS", "\x1b[33m"), ("F", "\x1b[1;33m"), ("FST", "\x1b[2m"), ("T", "\x1b[2m")]
        {
            assert_eq!(style(flags(letters)), expected, "{letters}");
        }
    }

    #[test]
    fn branches_show_who_answers_whom() {
        let places = |list: &[(u32, bool, bool)]| {
            let place = |&(depth, has_next, begins)| InThread { first: Uid::FIRST, depth, has_next, begins };
            list.iter().map(place).collect::<Vec<_>>()
        };
        let draw = |draws_boxes, levels, list: &[(u32, bool, bool)]| {
            let mut tree = Tree::new(draws_boxes);
            places(list).iter().map(|place| tree.branch(place, levels)).collect::<Vec<_>>()
        };
        let thread = [
            (0, false, true),
            (1, true, false),
            (2, false, false),
            (1, false, false),
            (2, false, false),
            (0, false, true),
        ];
        assert_eq!(draw(true, 9, &thread), ["", "├─ ", "│ └─ ", "└─ ", "  └─ ", ""]);
        assert_eq!(draw(false, 9, &thread), ["", "|- ", "| `- ", "`- ", "  `- ", ""]);
        let without_top = [(0, true, true), (1, false, false), (0, true, false), (0, false, false), (0, false, true)];
        assert_eq!(draw(true, 9, &without_top), ["┌─ ", "│ └─ ", "├─ ", "└─ ", ""]);
        let deep: Vec<_> = (0..5).map(|depth| (depth, false, depth == 0)).collect();
        assert_eq!(draw(true, 2, &deep), ["", "└─ ", "  └─ ", "…  └─ ", "…  └─ "]);
    }
}
