use super::*;

fn list<'t>(format: Format, uid_next: u64, lines: &[(u32, &'t [u8])]) -> UidList<'t> {
    let line =
        |&(uid, base): &(u32, &'t [u8])| Line { uid: Uid::new(uid).unwrap(), base: Cow::Borrowed(base), fields: b"" };
    UidList { format, uid_validity: 7, uid_next, fields: b"", lines: lines.iter().map(line).collect() }
}

fn printed(list: &UidList<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let format = list.format;
    format.write_header(&mut out, list.uid_validity, list.uid_next, list.lines.len(), list.fields).unwrap();
    for Line { uid, base, fields } in &list.lines {
        format.write_line(&mut out, *uid, base, fields).unwrap();
    }
    out
}

/// The first line that is wrong, and what is said of it.
#[track_caller]
fn bad(text: &[u8]) -> (usize, String) {
    let bad = parse(text, None).expect_err("it must be refused");
    (bad.line, format!("found {}, expected {}", bad.found, bad.expected))
}

#[test]
fn lists_look_as_their_programs_write_them() {
    let dovecot = b"3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1 Xfoo\n\
        25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n\
        25017 W2481 Pa:b :1276533073.M242911P3632.kurkku:2,F\n";
    let read = parse(dovecot, None).unwrap();
    assert_eq!((read.format, read.uid_validity, read.uid_next), (Format::Dovecot, 1_275_660_208, 25022));
    assert_eq!(read.lines[0].base, b"1276528487.M364837P9451.kurkku,S=1355,W=1394".as_slice());
    assert_eq!(read.lines[1].fields, b"W2481 Pa:b");
    let again = printed(&read);
    assert_eq!(
        String::from_utf8(again).unwrap(),
        "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1 Xfoo\n\
         25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394\n\
         25017 W2481 Pa:b :1276533073.M242911P3632.kurkku\n"
    );
    let courier = b"1 1275660208 25022\n25006 a b\n25017 c:2,F\n";
    let read = parse(courier, None).unwrap();
    assert_eq!((read.format, read.uid_validity, read.uid_next), (Format::Courier, 1_275_660_208, 25022));
    assert_eq!((&*read.lines[0].base, &*read.lines[1].base), (b"a b".as_slice(), b"c".as_slice()));
    let ours = printed(&list(Format::Tsv, 30, &[(1, b"a"), (29, b"na\xefve \\\t")]));
    assert_eq!(
        String::from_utf8(ours).unwrap(),
        "maildex-uids 1\tuidvalidity 7\tuidnext 30\tmessages 2\n1\ta\n29\tna\\xefve\\x20\\\\\\x09\n"
    );
}

/// Dovecot appends lines and leaves the header as it is.
#[test]
fn the_uidnext_of_dovecot_lags() {
    assert_eq!(parse(b"3 N1 V5\n1 :a\n2 :b\n", None).unwrap().uid_next, 3);
    assert_eq!(parse(b"3 N9 V5\n1 :a\n", None).unwrap().uid_next, 9);
    assert_eq!(parse(b"3 N9 V5\n4294967295 :a\n", None).unwrap().uid_next, 1 << 32);
}

/// Every byte that a file name can have, in every place, and numbers at both ends.
#[test]
fn any_name_comes_back_from_every_format_that_can_hold_it() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let interesting = b" \t\n\r\\;!2,x:-\0\xff\x7f\x80ab09#";
    let mut odd: Vec<Vec<u8>> = (0..3000)
        .map(|_| {
            let len = 1 + random(12);
            (0..len)
                .map(|_| if random(2) == 0 { interesting[random(interesting.len())] } else { random(256) as u8 })
                .filter(|byte| !b"/\0".contains(byte))
                .collect()
        })
        .collect();
    odd.extend((1..=255u8).filter(|byte| *byte != b'/').map(|byte| vec![b'a', byte]));
    odd.extend([b"a;2,b:2,S".to_vec(), b"!2,:2,".to_vec(), vec![b'x'; 255]]);
    // What of these can be the base name of a file.
    let mut bases: Vec<Vec<u8>> =
        odd.iter().map(|name| base_of(name).to_vec()).filter(|base| !base.is_empty()).collect();
    bases.sort();
    bases.dedup();
    for format in Format::ALL {
        let lines: Vec<(u32, &[u8])> =
            (0..).zip(&bases).filter(|(_, base)| format.can_hold(base)).map(|(n, base)| (n * 7 + 1, &**base)).collect();
        assert!(lines.len() > 2000);
        let list = list(format, u32::MAX.into(), &lines);
        let text = printed(&list);
        for named in [None, Some(format)] {
            let read = parse(&text, named).unwrap_or_else(|bad| panic!("{format}: {bad:?}"));
            // The fields of the header are as they were written, V and N among them.
            assert!(UidList { fields: b"", ..read } == list, "{format}");
        }
    }
    let last = list(Format::Tsv, 1 << 32, &[(1, b"a"), (u32::MAX, b"b")]);
    assert_eq!(parse(&printed(&last), None).unwrap(), last);
}

#[test]
fn what_is_no_list_is_told_by_line() {
    for (text, line, says) in [
        (b"".as_slice(), 1, "an empty file"),
        (b"hello\n", 1, "the first line of a list"),
        (b"2 V1 N1\n", 1, "version 3"),
        (b"3 V1\n", 1, "N and UIDNEXT"),
        (b"3 N1\n", 1, "V and UIDVALIDITY"),
        (b"3 V0 N1\n", 1, "UIDVALIDITY: a number from 1"),
        (b"3 V4294967296 N1\n", 1, "UIDVALIDITY: a number from 1"),
        (b"3 V1 N0\n", 1, "UIDNEXT: a number from 1"),
        (b"3 V1 N4294967297\n", 1, "UIDNEXT: a number from 1"),
        (b"3 V1 N1\n1 a\n", 2, "after ` :`"),
        (b"3 V1 N1\n0 :a\n", 2, "a UID: a number from 1"),
        (b"3 V1 N1\n-1 :a\n", 2, "a UID: a number from 1"),
        (b"3 V1 N1\n4294967296 :a\n", 2, "a UID: a number from 1"),
        (b"3 V1 N1\n99999999999999999999999 :a\n", 2, "a UID: a number from 1"),
        (b"3 V1 N1\n2 :a\n1 :b\n", 3, "found UID 1, expected more than 2"),
        (b"3 V1 N1\n2 :a\n2 :b\n", 3, "found UID 2, expected more than 2"),
        (b"3 V1 N1\n1 :a:2,S\n2 :b\n3 :a:2,F\n", 4, "\"a\" for the second time"),
        (b"3 V1 N1\n1 ::2,S\n", 2, "the name of a mail"),
        (b"3 V1 N1\n1 :../a\n", 2, "without `/`"),
        (b"3 V1 N1\n1 :a\0b\n", 2, "and NUL"),
        (b"3 V1 N1\n1 :a\n2 :b", 3, "the list was cut"),
        (b"3 V1 N1", 1, "the list was cut"),
        (b"3 V1 N1\n1 :a\n\n", 3, "after ` :`"),
        (b"1 1\n", 1, "version, UIDVALIDITY and UIDNEXT"),
        (b"1 1 2\n2 a\n", 1, "found UIDNEXT 2, expected at least 3"),
        (b"1 1 2\na\n", 2, "a UID and the name"),
        (b"maildex-uids 2\tuidvalidity 1\tuidnext 1\tmessages 0\n", 1, "version 1"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 1\n", 1, "separated by tabs"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 1\tmessages 10000001\n", 1, "separated by tabs"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 1\tmessages 1\n1\ta\n", 1, "at least 2"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 2\n1\ta\n", 2, "found 1 messages, expected 2"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 1\n1\ta\\n\n", 2, "before `\\` or xNN"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 1\n1\ta\\xg0\n", 2, "before `\\` or xNN"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 1\n1\ta\\x2f\n", 2, "without `/`"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 1\n1\ta:2,\n", 2, "before the `:`"),
        (b"maildex-uids 1\tuidvalidity 1\tuidnext 9\tmessages 1\n1 a\n", 2, "a tab"),
    ] {
        let (found, said) = bad(text);
        assert!(found == line && said.contains(says), "{}: line {found}: {said}", text.escape_ascii());
    }
    let long = [b"3 V1 N1\n1 :".as_slice(), &vec![b'x'; BASE_MAX + 1], b"\n"].concat();
    assert!(bad(&long).1.contains("that a file can have"));
    // A named format is believed, not the look of the list.
    let other = parse(b"3 V1 N1\n", Some(Format::Courier)).unwrap_err();
    assert_eq!(other.expected, "version 1 of courierimapuiddb");
}

/// Any text is refused or read, and what was read can be written and read again. Cut anywhere a list is refused, but one
/// of the formats that do not say how many lines they have at the end of a line.
#[test]
fn cut_and_changed_lists_do_no_harm() {
    for format in Format::ALL {
        let list = list(format, 99, &[(1, b"a.host,S=1"), (5, b"b c"), (98, b"d")]);
        let text = printed(&list);
        for end in 0..text.len() {
            let cut = &text[..end];
            let may_be_whole = format != Format::Tsv && cut.ends_with(b"\n");
            assert_eq!(parse(cut, None).is_ok(), may_be_whole, "{}", cut.escape_ascii());
            for byte in [0, b'\n', b' ', b'/', b'0', b'9', b':', 0xff] {
                let mut changed = text.clone();
                changed[end] = byte;
                if let Ok(read) = parse(&changed, None) {
                    let again = printed(&read);
                    let reread = parse(&again, None).unwrap_or_else(|bad| panic!("{bad:?}"));
                    assert_eq!(reread.lines, read.lines);
                    assert_eq!(printed(&reread), again);
                }
            }
        }
    }
}

#[test]
fn a_list_with_too_many_lines_is_refused() {
    let text = b"3 V1 N1\n1 :a\n2 :b\n3 :c\n";
    assert!(parse_up_to(3, text, None).is_ok());
    let bad = parse_up_to(2, text, None).unwrap_err();
    assert_eq!((bad.line, &*bad.found), (4, "more than 2 messages"));
}
