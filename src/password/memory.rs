//! The memory of argon2id: taken fallibly, wiped, kept while somebody wants it.

use argon2::Block;
use zeroize::Zeroize as _;

/// Blocks that argon2id works in. Empty until first used; wiped when dropped.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl Memory {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `count` blocks of 1 KiB, or nothing if the machine has no more; never ends the process.
    pub(super) fn reserve(&mut self, count: usize) -> Option<&mut [Block]> {
        if self.0.len() < count {
            // Grown in place the old blocks would be copied; they are of no use.
            self.wipe();
            self.0 = Vec::new();
            self.0.try_reserve_exact(count).ok()?;
            self.0.resize(count, Block::new());
        }
        self.0.get_mut(..count)
    }

    fn wipe(&mut self) {
        for block in &mut self.0 {
            let words: &mut [u64] = block.as_mut();
            words.zeroize();
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wipe();
    }
}
