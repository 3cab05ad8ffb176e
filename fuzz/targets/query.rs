//! Queries: what is understood is printed, and the print means the same.
#![no_main]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use maildex::query::parse::{is_key, wants_text};
use maildex::query::{Clock, Query};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let clock = Clock { now, zone: TimeZone::UTC.into() };
    let arguments = || text.split('\0');
    let _ = (wants_text(arguments(), &clock), is_key(&text));
    let Ok(query) = Query::parse(arguments(), &clock) else { return };
    let printed = query.to_string();
    match Query::parse([&*printed], &clock) {
        Ok(again) => assert_eq!(again, query, "{printed:?}"),
        Err(error) => panic!("{printed:?}: {error}"),
    }
});
