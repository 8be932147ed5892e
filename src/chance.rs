//! Numbers for tests, the same in each run.

/// Xorshift (Marsaglia 2003); it must not begin with 0.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Any number but 0.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 on, below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }
}
