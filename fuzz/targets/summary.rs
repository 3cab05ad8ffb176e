//! The header of any mail: fields that fit the index, the same however the bytes came in, and nothing behind it counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::format::entry::{ENTRY_MAX, Entry, Seal};
use maildex::maildir::mime::texts;
use maildex::maildir::short;
use maildex::maildir::summary::{FIELD_MAX, HEADER_MAX, Summary, date_of, header_len, text_of, values_of};
use maildex_fuzz::{identity, write_entry};

fuzz_target!(|data: &[u8]| {
    // The first byte says where the bytes were cut when they came in.
    let Some((cut, mail)) = data.split_first() else { return };
    let summary = Summary::read(mail);
    let Summary { subject, from, to, cc, message_id, in_reply_to, references, .. } = &summary;
    let fields = [subject, from, to, cc, message_id, in_reply_to, references];
    assert!(fields.iter().all(|field| field.len() <= FIELD_MAX));
    let len = header_len(mail, 0);
    if let Some(len) = len.filter(|len| *len <= HEADER_MAX) {
        assert_eq!(Summary::read(&mail[..len]), summary, "what stands behind the header counts");
        assert_eq!(summary.header_crc, crc32c::crc32c(&mail[..len]));
    }
    let first = mail.len() * usize::from(*cut) / 256;
    // A CR that ends the bytes may go on; else a header that has ended has ended.
    match header_len(&mail[..first], 0) {
        Some(early) => assert_eq!(len, Some(early)),
        None => assert_eq!(header_len(mail, first), len, "cut at {first}"),
    }
    let identity = identity();
    let seal = Seal::new(&identity.id, identity.marker);
    let entry = Entry::new(b"1.fuzz", 1, mail.len() as u64, &summary);
    let bytes = write_entry(&entry, &seal, 4096, 1);
    assert!(bytes.len() <= ENTRY_MAX);
    let read = seal.open(&bytes, 4096).expect("what was just written");
    assert_eq!(Entry { uid: read.uid, added: read.added, ..entry }, read);
    let _ = (short::base_subject(subject), short::name(from), short::address(from));
    let header = &mail[..len.unwrap_or(mail.len())];
    let _ = (values_of(header, "received"), date_of(header), text_of(header), texts(mail, header.len()));
});
