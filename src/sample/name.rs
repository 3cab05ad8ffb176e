//! The file names of the sample: what delivery agents and synchronising programs call their mail.

use super::random::Random;
use super::{SPACING_S, START_S};

/// Flags of mail in `cur/`, as often as they stand here times four percent.
const FLAGS: [&str; 25] = [
    "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "S", "RS", "RS", "RS", "FS", "FRS", "PS", "",
    "", "", "",
];

/// Rarer ones.
const RARE_FLAGS: [&str; 6] = ["ST", "T", "D", "DS", "F", "RST"];

/// What other programs put after the base name that is not written the usual way; it is to be kept as it is.
const ODD_INFO: [&str; 4] = ["", ":2,SR", ":2,S,ext", ":1,experimental"];

/// The base name of a message that was delivered at this second and has this text.
pub(super) fn base(number: u32, received: i64, text: &[u8], random: &mut Random) -> Vec<u8> {
    let host = random.pick(&["mail", "mx1.example.org", "imap"]);
    let pid = 300 + random.below(30_000);
    let micros = random.below(1_000_000);
    let size = text.len();
    let style = random.below(100);
    let name = match style {
        // Dovecot: size, and size with CRLF.
        0..50 => {
            let wire = size + memchr::memchr_iter(b'\n', text).count();
            format!("{received}.M{micros}P{pid}.{host},S={size},W={wire}")
        }
        // Courier
        50..60 => format!("{received}.M{micros}P{pid}V000000000000FE01I{:016X}_0.{host},S={size}", random.next() >> 32),
        // mbsync: the UID on the far side
        60..75 => format!("{received}.{pid}_{}.{host},U={}", number + 1, number + 1),
        // OfflineIMAP
        75..80 => format!(
            "{received}_{}.{pid}.{host},U={},FMD5={:016x}{:016x}",
            number % 10,
            number + 1,
            random.next(),
            random.next()
        ),
        // procmail, qmail, Exim
        80..87 => format!("{received}.{pid}_0.{host}"),
        87..94 => format!("{received}.{pid}.{host}"),
        94..99 => format!("{received}.H{micros}P{pid}.{host},S={size}"),
        // Scripts of people
        _ => match random.below(5) {
            0 => format!("{number}.{host}"),
            1 => format!("mail-{number:06}"),
            2 => format!("Grüße {number}"),
            3 => format!("it's & $HOME; {number}"),
            _ => return [b"Gr\xfc\xdfe-".as_slice(), number.to_string().as_bytes()].concat(),
        },
    };
    name.into_bytes()
}

/// What follows the base name in `cur/`.
pub(super) fn info(random: &mut Random) -> String {
    if random.chance(5) {
        return random.pick(&ODD_INFO).into();
    }
    let flags = if random.chance(40) { random.pick(&RARE_FLAGS) } else { random.pick(&FLAGS) };
    let keywords = if random.chance(60) { random.pick(&["a", "b", "ab", "c", "ac"]) } else { "" };
    format!(":2,{flags}{keywords}")
}

/// Which message has this base name, if any has.
pub(super) fn number_of(base: &[u8]) -> Option<u32> {
    let digits = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse::<i64>().ok());
    let is_no_digit = |b: &u8| !b.is_ascii_digit();
    let first = digits(base.split(is_no_digit).next().unwrap_or_default());
    let number = match first {
        Some(received) if received >= START_S => (received - START_S) / SPACING_S,
        Some(number) => number,
        None => digits(base.rsplit(is_no_digit).next().unwrap_or_default())?,
    };
    u32::try_from(number).ok()
}
