//! Numbers that look random and are the same each time, on every machine: `SplitMix64`, and integers only.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of a message for one purpose; so what one purpose draws does not shift another.
    pub(super) fn of(number: u32, purpose: u64) -> Random {
        let mut random = Random(u64::from(number) << 8 | purpose);
        Random(random.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Less than `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// True `permille` times in a thousand.
    pub(super) fn chance(&mut self, permille: usize) -> bool {
        self.below(1000) < permille
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The same, the first ones more often: as with correspondents and words.
    pub(super) fn pick_skewed<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len()) * (self.below(from.len()) + 1) / from.len();
        from[at]
    }
}
