//! The last words of `cargo test`: what the tests in `it` have skipped, and how to have it tested.
//!
//! libtest cannot say so itself. Cargo runs test programs in the order of their names, so this one comes after `it`.

use std::path::Path;

fn main() {
    // Programs that list tests ask every test program; here is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    match std::fs::read_to_string(list) {
        Ok(skipped) => println!("\nSome tests were skipped:\n{skipped}"),
        Err(_) => println!("\nNo test was skipped."),
    }
}
