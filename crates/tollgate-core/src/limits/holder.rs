//! What a process has in the ledger: its record, and its chunks of seats.

/// A chunk of seats of this process.
#[derive(Debug)]
struct Chunk {
    number: usize,
    /// Bit n is set where its seat n is free.
    free: u64,
}

/// What a process has in the ledger. It is of use only in the process that registered: one that was
/// made before a fork must not be used after it.
#[derive(Debug)]
pub struct Holder {
    pub(super) record: usize,
    /// In order of their numbers.
    chunks: Vec<Chunk>,
    /// Seats in a chunk, at most 64.
    size: usize,
}

impl Holder {
    pub(super) fn new(record: usize, size: usize) -> Self {
        Self { record, chunks: Vec::new(), size }
    }

    /// How others name this process: never 0.
    #[must_use]
    pub fn owner(&self) -> u64 {
        self.record as u64 + 1
    }

    /// The bits of a chunk all of whose seats are free.
    fn whole(&self) -> u64 {
        match self.size {
            size @ 0..=63 => (1 << size) - 1,
            _ => u64::MAX,
        }
    }

    /// The number of a free seat, which is not free any more.
    pub(super) fn allot(&mut self) -> Option<usize> {
        // From the first chunk that has one: so the last ones become wholly free.
        let chunk = self.chunks.iter_mut().find(|chunk| chunk.free != 0)?;
        let bit = usize::try_from(chunk.free.trailing_zeros()).ok()?;
        chunk.free &= chunk.free.wrapping_sub(1);
        chunk.number.checked_mul(self.size)?.checked_add(bit)
    }

    /// Adds a chunk, wholly free.
    pub(super) fn add(&mut self, number: usize) {
        let at = self.chunks.partition_point(|chunk| chunk.number < number);
        self.chunks.insert(at, Chunk { number, free: self.whole() });
    }

    /// Makes a seat free again. Gives the number of a chunk that the process keeps no longer: of
    /// those that are wholly free it keeps one, so that a count that goes up and down does not make
    /// it take and put back the same chunk over and over.
    pub(super) fn put_back(&mut self, index: usize) -> Option<usize> {
        let (number, bit) = (index.checked_div(self.size)?, index.checked_rem(self.size)?);
        let at = self.chunks.binary_search_by_key(&number, |chunk| chunk.number).ok()?;
        let whole = self.whole();
        let chunk = self.chunks.get_mut(at)?;
        chunk.free |= 1 << bit;
        if chunk.free != whole {
            return None;
        }
        let mut idle = self.chunks.iter().enumerate().filter(|(_, chunk)| chunk.free == whole);
        let (_first, (last, _)) = (idle.next()?, idle.next_back()?);
        Some(self.chunks.remove(last).number)
    }
}
