//! Lists of UIDs: what passes can be believed, and written again it says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::uidlist::{Format, Line, parse};

fuzz_target!(|data: &[u8]| {
    for format in [None, Some(Format::Tsv), Some(Format::Dovecot), Some(Format::Courier)] {
        let Ok(list) = parse(data, format) else { continue };
        assert!(list.lines.is_sorted_by(|a, b| a.uid < b.uid));
        assert!(list.lines.last().is_none_or(|last| u64::from(last.uid.get()) < list.uid_next));
        let format = list.format;
        let mut out = Vec::new();
        format.write_header(&mut out, list.uid_validity, list.uid_next, list.lines.len(), list.fields).expect("a Vec");
        for Line { uid, base, fields } in &list.lines {
            assert!(!base.is_empty() && !base.iter().any(|byte| b"/\0".contains(byte)), "{base:?}");
            assert!(format.can_hold(base));
            format.write_line(&mut out, *uid, base, fields).expect("a Vec");
        }
        let again = parse(&out, Some(format)).unwrap_or_else(|bad| panic!("{bad:?}: {}", out.escape_ascii()));
        assert_eq!((again.uid_validity, again.uid_next), (list.uid_validity, list.uid_next));
        assert_eq!(again.lines, list.lines, "{}", out.escape_ascii());
    }
});
