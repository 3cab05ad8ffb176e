use super::*;
use crate::maildir::summary::header_len;

#[track_caller]
fn body(mail: &str) -> String {
    texts(mail.as_bytes(), header_len(mail.as_bytes(), 0).unwrap_or(mail.len())).body
}

#[test]
fn parts_are_told_apart_by_whole_lines() {
    const HEAD: &str = "Content-Type: multipart/mixed; boundary=B\n\npreamble\n";
    for (rest, expected) in [
        ("--B\n\none\n--B\n\ntwo\n--B--\nepilogue\n", "one\0two\0"),
        // Only at the beginning of a line, whatever follows there.
        ("--B\n\none --B\n x--B\n--B \t\n\ntwo\n--B--", "one --B\n x--B\0two\0"),
        ("--Bxyz\n\none\n--B--xyz\n", "one\0"),
        ("--B\r\n\r\none\r\n--B--\r\n", "one\0"),
        ("--B\r\rone\r--B\r\rtwo\r--B--\r", "one\0two\0"),
        // Never closed.
        ("--B\n\none\n--B\n\ntwo\n", "one\0two\n\0"),
        // Without a blank line, without a header, without anything.
        ("--B\nX-A: b\n--B\n\none\n--B\n--B--\n", "\0one\0\0"),
        // Never opened: as a person would see it.
        ("hello\n", "preamble\nhello\n\0"),
    ] {
        assert_eq!(body(&format!("{HEAD}{rest}")), expected, "{rest}");
    }
}

#[test]
fn an_outer_delimiter_ends_what_is_within() {
    let inner = |boundary: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n\
             --{boundary}\n\none\n--{boundary}\n\ntwo\n--B\n\nthree\n--{boundary}\nfour\n--B--\nfive\n--B\n\nsix\n"
        )
    };
    assert_eq!(body(&inner("I")), "one\0two\0three\n--I\nfour\0");
    // One boundary begins with the other.
    assert_eq!(body(&inner("BB")), "one\0two\0three\0".to_string() + "\0");
    let unopened = "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: multipart/mixed; boundary=I\n\n\
                    one\n--B\n\ntwo\n";
    assert_eq!(body(unopened), "one\0two\n\0");
}

#[test]
fn attached_mails_are_read_too() {
    let within = "Subject: s\nContent-Type: message/rfc822\n\nSubject: inner\n\none\n";
    assert_eq!(texts(within.as_bytes(), 41).headers, "Subject: inner\n");
    assert_eq!(body(within), "one\n\0");
    let digest = "Content-Type: multipart/digest; boundary=B\n\n--B\n\nSubject: a\n\none\n--B\nContent-Type: text/plain\n\n\
                  two\n--B--\n";
    assert_eq!(body(digest), "one\0two\0");
    // Encoded, which RFC 2046 forbids.
    let encoded = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogYQoKb25lCg==\n";
    assert_eq!(body(encoded), "one\n\0");
}

#[test]
fn what_makes_no_sense_is_text() {
    for (mail, expected) in [
        ("Content-Type: multipart/mixed\n\n--B\n\none\n", "--B\n\none\n\0"),
        ("Content-Type: /\n\none\n", "one\n\0"),
        ("Content-Type:\n\none\n", "one\n\0"),
        ("Content-Type: text\n\none\n", "one\n\0"),
        ("Content-Transfer-Encoding: 7-bit\n\none\n", "one\n\0"),
        ("Content-Type: image/png\n\none\n", ""),
        ("Content-Type: TEXT/Html; Charset=\"ISO-8859-1\"\n\none\n", "one\n\0"),
        ("no header at all", "\0"),
        ("", "\0"),
    ] {
        assert_eq!(body(mail), expected, "{mail}");
    }
}

/// Deep and broken mail takes one pass, and no stack.
#[test]
fn depth_has_a_bound() {
    let part = |n: i32| format!("--{}\nContent-Type: multipart/mixed; boundary={n}\n\n", n - 1);
    let deep = (0..5000).map(part).collect::<Vec<_>>().concat();
    let mails = format!("Content-Type: message/rfc822\n\n{}\nend\n", "Content-Type: message/rfc822\n\n".repeat(20_000));
    assert_eq!(body(&mails), "end\n\0");
    let parts = body(&format!("Content-Type: multipart/mixed; boundary=-1\n\n{deep}end\n"));
    assert!(parts.ends_with("end\n\0"));
    let dashes = format!("Content-Type: multipart/mixed; boundary=-\n\n{}", "---\n".repeat(100_000));
    assert_eq!(body(&dashes).len(), 100_000);
}

#[test]
fn mutated_mails_are_read_without_panic() {
    const SEED: &str = "Content-Type: multipart/mixed; boundary=B\n\npre\n--B\n\
        Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: quoted-printable\n\na=3D=\nb\n--B\n\
        Content-Type: multipart/digest; boundary=BB\r\n\r\n--BB\r\n\r\nSubject: s\r\n\r\none\r\n--BB--\r\n--B\n\
        Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogYQoKb25lCg==\n--B--\nend\n";
    const PIECES: [&str; 12] = [
        "--B",
        "--BB",
        "--",
        "\n",
        "\r",
        "\n\n",
        "=",
        "Content-Type: ",
        "message/rfc822",
        "; boundary=",
        "\"",
        "\u{fc}",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit.max(1) as u64).expect("is below a usize")
    };
    for _ in 0..5_000 {
        let mut mail = SEED.as_bytes().to_vec();
        for _ in 0..=below(12) {
            let at = below(mail.len());
            match below(4) {
                0 => mail[at] = u8::try_from(below(256)).expect("is below 256"),
                1 => drop(mail.drain(at..(at + below(40)).min(mail.len()))),
                2 => mail.extend_from_within(at..(at + below(80)).min(mail.len())),
                _ => drop(mail.splice(at..at, PIECES[below(PIECES.len())].bytes())),
            }
            if mail.is_empty() {
                mail.push(b'-');
            }
        }
        // Wherever the header ends.
        for len in [header_len(&mail, 0).unwrap_or(mail.len()), below(mail.len())] {
            let found = texts(&mail, len);
            // Charsets make more of it, but no more than they can.
            assert!(
                found.body.len() + found.headers.len() <= 16 * mail.len() + 64,
                "{:?}",
                String::from_utf8_lossy(&mail)
            );
        }
    }
}
