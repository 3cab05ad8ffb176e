use super::*;

fn identity() -> Identity {
    Identity {
        id: *b"0123456789abcdef",
        generation: 3,
        marker: [0, 255, 1, 2, 3, 4, 5, 6],
        hash_key: [9; 16],
        uid_validity: 1_700_000_000,
        uid_floor: 17,
    }
}

fn page() -> HeaderPage {
    let words = || std::array::from_fn(|_| Word::default());
    HeaderPage {
        record: std::array::from_fn(|_| Word::default()),
        zero: std::array::from_fn(|_| Word::default()),
        count: Word::default(),
        counter: Word::default(),
        oldest: Word::default(),
        marks: Word::default(),
        boot: std::array::from_fn(|_| Word::default()),
        accounted: Word::default(),
        stamp_new: words(),
        stamp_cur: words(),
        born: std::array::from_fn(|_| Word::default()),
        rest: std::array::from_fn(|_| Word::default()),
    }
}

#[test]
fn every_flipped_bit_of_a_record_shows() {
    let bytes = identity().encode(Kind::Offsets);
    assert_eq!(Identity::decode(Kind::Offsets, &bytes), Ok(identity()));
    assert_eq!(Identity::decode(Kind::Index, &bytes), Err(BadHeader::Magic(*b"MDXOFFST")));
    for bit in 0..RECORD_LEN * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Identity::decode(Kind::Offsets, &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_zeroed_page_says_nothing() {
    let page = page();
    assert_eq!((page.count(), page.counter(), page.oldest(), page.marks()), (None, None, None, None));
    assert_eq!((page.boot(), page.stamp(Sub::New), page.born()), (None, None, None));
}

#[test]
fn a_torn_stamp_is_unknown() {
    let page = page();
    let stamp = Stamp { dev: 1, ino: 2, btime_ns: 3, mtime_ns: -4, ctime_ns: 5, settled: true };
    page.set_stamp(Sub::Cur, &stamp);
    page.set_boot(b"0123456789abcdef");
    assert_eq!((page.stamp(Sub::Cur), page.stamp(Sub::New)), (Some(stamp), None));
    assert_eq!(page.boot(), Some(*b"0123456789abcdef"));
    page.stamp_cur[3].store(6);
    assert_eq!(page.stamp(Sub::Cur), None);
    page.set_born(-7);
    assert_eq!(page.born(), Some(-7));
}
