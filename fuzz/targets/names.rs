//! File names of mail: the parts are the name, and what is put together anew is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::format::status::Status;
use maildex::maildir::Sub;
use maildex::maildir::name::{Name, arrival, base_of, canonical, in_order, own_fields, stem};

fuzz_target!(|data: &[u8]| {
    let name = Name::parse(data);
    assert_eq!([name.base, name.info].concat(), data);
    assert_eq!(base_of(data), name.base);
    assert!(!name.base.contains(&b':'));
    if name.is_canonical() {
        assert_eq!(canonical(name.base, name.flags, name.is_bare()), data);
    }
    // A base that was cut at a colon can have in it what is cut off where there is none.
    for bare in [true, false].into_iter().filter(|bare| !bare || base_of(name.base) == name.base) {
        let made = canonical(name.base, name.flags, bare);
        let again = Name::parse(&made);
        assert_eq!(again.base, name.base);
        assert!(again.is_canonical() && (bare || again.flags == name.flags));
    }
    if let Some(sorted) = in_order(data) {
        let again = Name::parse(&sorted);
        assert_eq!((again.base, again.flags), (name.base, name.flags));
        assert_eq!(in_order(&sorted), None, "once is enough");
        assert!(sorted.len() <= data.len());
    }
    assert!(name.base.starts_with(stem(name.base)) && !stem(name.base).contains(&b','));
    let own = own_fields(name.base);
    assert!(own.len() <= name.base.len() && own_fields(&own) == own);
    let _ = arrival(name.base);
    for sub in [Sub::New, Sub::Cur] {
        let status = Status::of_name(sub, &name);
        assert_eq!(Status::decode(status.encode()), Some(status));
        assert!(status.flags() == name.flags && status.sub() == sub);
    }
});
