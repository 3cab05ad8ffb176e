//! What all writing verbs have: how long to wait for the lock, and telling whom we wait for.

use std::path::Path;
use std::time::Duration;

use maildex::lock::{Owner, Wait};

use crate::cli::output::Output;
use crate::cli::signals;

/// The option of verbs that write; to be flattened into theirs.
#[derive(clap::Args)]
pub struct Waiting {
    /// How long to wait for the lock: 0, 0.5, 2m, forever
    #[arg(long = "wait", value_name = "TIME", default_value = "30", value_parser = parse_wait)]
    pub time: Wait,
}

impl Waiting {
    /// The value of the option, for another process.
    pub fn text(&self) -> String {
        match self.time {
            Wait::For(time) => time.as_secs_f64().to_string(),
            Wait::Forever => "forever".into(),
        }
    }
}

/// Says once on stderr who has the lock. Meanwhile signals end the program at once, also where it held the lock before
/// and gave way.
pub fn tell<'o>(folder: &'o Path, out: &'o mut Output) -> impl FnMut(Option<&Owner>) + use<'o> {
    let mut told = false;
    move |owner| tell_once(folder, owner, &mut told, out)
}

/// The same for who also has other things to tell.
pub fn tell_once(folder: &Path, owner: Option<&Owner>, told: &mut bool, out: &mut Output) {
    signals::resume();
    if let (Some(owner), false) = (owner, *told) {
        *told = true;
        out.note(format_args!("{}: waiting: {owner}", folder.display()));
    }
}

/// Reads `0`, `0.5`, `30s`, `2m`, `1h`, `forever`.
pub fn parse_wait(text: &str) -> Result<Wait, String> {
    if text == "forever" {
        return Ok(Wait::Forever);
    }
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let wrong = || "expected seconds, or a number with s, m or h, or forever".to_string();
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = if plain { number.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    Duration::try_from_secs_f64(number * unit).map(Wait::For).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("0", 0.0), ("0.5", 0.5), ("30", 30.0), ("2m", 120.0), ("1h", 3600.0), ("7s", 7.0)] {
            assert!(matches!(parse_wait(text), Ok(Wait::For(d)) if d == Duration::from_secs_f64(seconds)), "{text}");
        }
        assert!(matches!(parse_wait("forever"), Ok(Wait::Forever)));
        for text in ["", "-1", "x", "m", "1d", "nan", "inf", "1e9", "99999999999999999999999"] {
            assert!(parse_wait(text).is_err(), "{text}");
        }
    }
}
